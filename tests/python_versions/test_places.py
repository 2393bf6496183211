"""Lines, columns and functions of frames, and the texts of methods, on every Python.

The file needs the standard library and the kit's source alone: ``python tests/python_versions/test_places.py`` calls
its tests.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import types
from pathlib import Path

from running import run_tests

from lightning_conformance.checks.source import line_of, log_call_for_epoch, method_tree
from lightning_conformance.recording.places import Places, assignments, method_sources, source_files
from lightning_conformance.subjects.tracebacks import user_frames, user_place, user_traceback

COLUMNS = sys.version_info >= (3, 11)
MODULE = """
class Module:
    def __init__(self, tell):
        self.tell = tell
        self.first: int = 1
        self.__dict__["second"] = 2

    def plain(self):
        self.tell("loss", 1)

    def in_a_row(self):
        x = 1; self.tell("loss", x); y = 2

    def over_lines(self):
        self.tell(
            "loss",
            1,
        )

    def in_a_block(self):
        with __import__("contextlib").nullcontext():
            try:
                self.tell("größe", 1)
            finally:
                x = 1

    def in_a_comprehension(self):
        return [self.tell("loss", x) for x in (1, 2)]

    def in_a_generator(self):
        return list(self.tell("loss", x) for x in (1, 2))

    def in_a_lambda(self):
        return (lambda: self.tell("loss", 1))()

    def in_an_inner_function(self):
        def inner():
            return self.tell("loss", 1)

        return inner()

    @property
    def in_a_property(self):
        return self.tell("loss", 1)

    @staticmethod
    def fails(value):
        return (
            value
            / 0
        )
"""


@contextlib.contextmanager
def loaded():
    """The class, in a file of a user's."""
    with tempfile.TemporaryDirectory() as folder:
        # A name that no file before had, as Python keeps the lines of a file.
        path = Path(os.path.realpath(folder)) / f"user_{os.path.basename(folder)}.py"
        path.write_text(MODULE, "utf-8")
        sys.path.insert(0, str(path.parent))
        try:
            yield __import__(path.stem).Module, path
        finally:
            sys.path.remove(str(path.parent))


# The kit looks from a file of its own, which is no user's.
KIT = {}
exec("def looking(places, seen):\n    return lambda *arguments, **named: seen.append(places.here())", KIT)


def number_of(text, start=0):
    lines = MODULE.splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line and i > start)


def test_the_users_line_and_columns():
    with loaded() as (cls, path):
        places = Places([str(path)])
        seen = []
        module = cls(KIT["looking"](places, seen))
        for name in [n for n in vars(cls) if n.startswith(("plain", "in_a", "over"))]:
            getattr(module, name)() if name != "in_a_property" else module.in_a_property
            place = seen[-1]
            start = number_of(f"def {name}(")
            assert place.line == number_of("self.tell(", start), name
            assert place.file == str(path)
            assert place.source == MODULE.splitlines()[place.line - 1]
            if COLUMNS and name != "over_lines":
                text = place.source.encode()[slice(*place.columns)].decode()
                assert text.startswith("self.tell("), (name, text)
                assert text.endswith(")"), (name, text)
            else:
                assert place.columns is None, name
            assert name in place.function or not COLUMNS, place.function


def test_the_line_of_an_exception():
    with loaded() as (cls, path):
        try:
            cls.fails(1)
        except ZeroDivisionError as error:
            caught = error
        place = Places([str(path)]).of_exception(caught)
        # Without columns, too, it is a line of the expression.
        assert place.line in range(number_of("return (", number_of("def fails")), number_of("/ 0") + 1)
        assert user_place(caught) == (str(path), place.line)
        assert user_frames(caught)[-1].name == "fails"
        assert "ZeroDivisionError: division by zero" in user_traceback(caught)
        try:
            compile("x = = 1", "typed.py", "exec")
        except SyntaxError as error:
            assert Places([]).of_exception(error).line == 1
            assert user_place(error) == ("typed.py", 1)


def test_groups_and_causes_are_shown():
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as error:
        text = user_traceback(error, keep=[__file__])
    assert "KeyError: 'first'" in text
    assert "ValueError: second" in text
    if COLUMNS:
        group = ExceptionGroup("several", [KeyError("inner")])  # noqa: F821
        try:
            raise group
        except Exception as error:
            assert "inner" in user_traceback(error, keep=[__file__])


def test_texts_of_methods():
    with loaded() as (cls, path):
        module = cls(print)
        assert source_files(module) == (str(path),)
        found = method_sources(module)
        for name in ("plain", "over_lines", "in_a_property", "fails"):
            method = found[name]
            assert method.text.startswith(f"def {name}("), method.text
            assert method.place.line == number_of(f"def {name}(")
            tree = method_tree(method)
            assert tree.name == name
            place = line_of(method, tree.body[-1])
            assert place.source == MODULE.splitlines()[place.line - 1]
        places = assignments(module)
        assert {name: place.line for name, place in places.items()} == {
            "tell": number_of("self.tell = tell"),
            "first": number_of("self.first"),
            "second": number_of('"second"'),
        }


def test_a_call_is_rewritten():
    with loaded() as (_, path):
        places = Places([str(path)])

        seen = []
        logs = types.SimpleNamespace(log=KIT["looking"](places, seen))
        text = 'self.log("train_loss", loss, prog_bar=True, on_step=True)'
        path.with_name("logging_step.py").write_text(f"def step(self, loss):\n    {text}\n")
        names = {}
        file = str(path.with_name("logging_step.py"))
        exec(compile(Path(file).read_text(), file, "exec"), names)
        places.user_files = places.user_files | {file}
        names["step"](logs, 1)
        wanted = 'self.log("train_loss", loss, prog_bar=True, on_step=False, on_epoch=True)'
        assert log_call_for_epoch(seen[0], "train_loss") == wanted


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
