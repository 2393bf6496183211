"""Find the user's line: the innermost frame that is not torch's, Lightning's, Python's or ours."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import sysconfig
import textwrap
import traceback
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from lightning_conformance.lightning_api import IMPORT_NAMES
from lightning_conformance.recording.model import MethodSource, Place

_FRAMEWORKS = (
    *IMPORT_NAMES,
    "torch",
    "torchmetrics",
    "lightning_conformance",
    "pytest",
    "_pytest",
    "pluggy",
    "xdist",
    "execnet",
    "jsonargparse",
    "numpy",
)
_REGISTERING = ("register_parameter", "register_buffer", "register_module", "add_module")
_NAMING = (*_REGISTERING, "setattr", "__setattr__")
_RUN_FILE = str(Path(__file__).with_name("run.py"))


def _framework_folders() -> tuple[str, ...]:
    folders = [sysconfig.get_paths()["stdlib"], str(Path(inspect.__file__).parent)]
    for name in _FRAMEWORKS:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            folders.append(str(Path(file).parent))
    return tuple(folder.rstrip("/\\") + sep for folder in folders for sep in ("/", "\\"))


class Places:
    """Tells the user's files from the frameworks'.

    Args:
        user_files: Files that hold the subject's classes; they are the user's even inside a framework's folder.
    """

    def __init__(self, user_files: Iterable[str]) -> None:
        self.user_files = frozenset(user_files)
        self._frameworks = _framework_folders()
        self._packages = {"", *map(_installed_package, self.user_files)}

    def is_user(self, file: str) -> bool:
        """Whether the file holds the user's code (or that of a package that is no framework)."""
        if file in self.user_files:
            return True
        installed = _installed_package(file)
        if installed:
            return installed not in _FRAMEWORKS
        return not file.startswith(("<", *self._frameworks))

    def is_own(self, file: str) -> bool:
        """Whether the file holds the user's code, and is no part of another package that the user's code calls."""
        return self.is_user(file) and (file in self.user_files or _installed_package(file) in self._packages)

    def here(self, overrides: Collection[str] = (), within: Any = None) -> Place | None:
        """The innermost user frame of the calling thread, up to where the run was started.

        A line of the subject's own files or package goes before one of another package that it calls.

        Args:
            overrides: Methods of Lightning's; where the user's class overrides one and passes the call on, the
                caller's line is meant.
            within: An object: where one of its methods is running, the line of that one is meant.
        """
        frame: FrameType | None = sys._getframe(1)
        own = outer = None
        while frame is not None and frame.f_code.co_filename != _RUN_FILE:
            file = frame.f_code.co_filename
            if self.is_own(file) and not _is_override(frame, overrides):
                own = own or frame
                if within is None or frame.f_locals.get("self") is within:
                    return _place_of_frame(frame)
            elif outer is None and self.is_user(file):
                outer = frame
            frame = frame.f_back
        meant = own or outer
        return _place_of_frame(meant) if meant else None

    def of_exception(self, error: BaseException) -> Place | None:
        """The innermost user frame of the exception's traceback, or the line of a SyntaxError."""
        if isinstance(error, SyntaxError) and error.filename:
            return Place(error.filename, error.lineno or 1, "", (error.text or "").rstrip("\n"))
        frames = list(traceback.walk_tb(error.__traceback__))
        own = [pair for pair in frames if self.is_own(pair[0].f_code.co_filename)]
        users = own or [pair for pair in frames if self.is_user(pair[0].f_code.co_filename)]
        if not users:
            return None
        frame, line = users[-1]
        return _place(frame.f_code.co_filename, line, _function_name(frame))


def _installed_package(file: str) -> str:
    """The top-level package of an installed file, empty for a file that is not installed."""
    for folder in ("site-packages", "dist-packages"):
        _, found, tail = file.replace("\\", "/").rpartition(f"/{folder}/")
        if found:
            return tail.partition("/")[0].removesuffix(".py")
    return ""


def _function_name(frame: FrameType) -> str:
    code = frame.f_code
    return getattr(code, "co_qualname", code.co_name)


def _place(file: str, line: int, function: str, columns: tuple[int, int] | None = None) -> Place:
    return Place(file, line, function, linecache.getline(file, line).rstrip("\n"), columns)


def _is_override(frame: FrameType, names: Collection[str]) -> bool:
    return frame.f_code.co_name in names and hasattr(frame.f_locals.get("self"), "training_step")


def _place_of_frame(frame: FrameType) -> Place:
    code, line = frame.f_code, frame.f_lineno
    columns = None
    if sys.version_info >= (3, 11):
        positions = list(code.co_positions())[frame.f_lasti // 2]
        first, last, start, end = positions
        if first == last == line and start is not None and end is not None:
            columns = (start, end)
        elif first is not None:
            line = first
    return _place(code.co_filename, line, _function_name(frame), columns)


def user_classes(module: Any) -> Iterator[type]:
    """The classes of a module's MRO that are not the frameworks' base classes."""
    for cls in type(module).__mro__:
        if cls.__name__ == "LightningModule" and cls.__module__.partition(".")[0] in _FRAMEWORKS:
            return
        yield cls


def source_files(module: Any) -> tuple[str, ...]:
    """The files that define the module's classes."""
    files = []
    for cls in user_classes(module):
        try:
            files.append(inspect.getfile(cls))
        except (TypeError, OSError):
            continue
    return tuple(dict.fromkeys(files))


def user_functions(module: Any) -> Iterator[Any]:
    """The plain functions among the methods that the user's classes define."""
    for cls in user_classes(module):
        for member in vars(cls).values():
            function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
            if inspect.isfunction(function):
                yield function


def method_sources(module: Any) -> dict[str, MethodSource]:
    """The methods that the user's classes define, by name; the most derived one wins."""
    found: dict[str, MethodSource] = {}
    for cls in user_classes(module):
        for name, member in vars(cls).items():
            if name not in found and (source := _method_source(cls, name, member)):
                found[name] = source
    return found


def _method_source(cls: type, name: str, member: Any) -> MethodSource | None:
    function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
    if not inspect.isfunction(function):
        return None
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    offset = next((i for i, line in enumerate(lines) if line.lstrip().startswith(("def ", "async def "))), 0)
    text = textwrap.dedent("".join(lines[offset:]))
    place = Place(function.__code__.co_filename, first + offset, function.__qualname__, lines[offset].rstrip("\n"))
    return MethodSource(name, place, text)


def assignments(module: Any) -> dict[str, Place]:
    """Where the user's classes first assign, or register, each attribute of ``self``."""
    found: dict[str, Place] = {}
    for method in method_sources(module).values():
        try:
            tree = ast.parse(method.text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            for attribute in _assigned(node):
                line = method.place.line + getattr(node, "lineno", 1) - 1
                found.setdefault(attribute, _place(method.place.file, line, method.place.function))
    return found


def _assigned(node: ast.AST) -> Iterator[str]:
    """The attributes of ``self`` that a node assigns, or registers by name."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in (each for t in targets for each in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])):
            if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                yield target.attr
            elif isinstance(target, ast.Subscript) and ast.unparse(target.value) in ("self.__dict__", "vars(self)"):
                yield str(getattr(target.slice, "value", ""))
    if isinstance(node, ast.Call) and node.args:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        named = node.args[1:2] if called in ("setattr", "__setattr__") else node.args[:1]
        name = getattr(named[0], "value", None) if named and called in _NAMING else None
        if isinstance(name, str):
            yield name
