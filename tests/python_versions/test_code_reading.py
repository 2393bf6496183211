"""What the running code does with a value is read, on every Python.

The file needs the standard library and the kit's source alone, so that it also runs where neither pytest nor torch is:
``python tests/python_versions/test_code_reading.py`` calls its tests.
"""

from __future__ import annotations

import contextlib
import itertools
import linecache
import sys
import textwrap

from running import run_tests

from lightning_conformance.subjects.code_reading import (
    Items,
    StarredCall,
    names_unpacked_next,
    read_items,
    read_starred_call,
    read_unpacking,
    unpacked_next,
)
from lightning_conformance.subjects.code_reading.targets import unpacking

COLUMNS = sys.version_info >= (3, 11)
OFTEN = 70  # calls, after which the interpreter has specialised the code
numbers = itertools.count()


class Value:
    """What a module would be fed: tells how it is used."""

    def __init__(self, *items):
        self.items = items
        self.seen = []

    def tell(self, frame):
        """The bytecode's answers, then the source's."""
        self.seen.append([(read_unpacking(frame, how), read_items(frame, how)) for how in (True, False)])

    def __iter__(self):
        self.tell(sys._getframe(1))
        return iter(self.items)

    def __len__(self):
        self.tell(sys._getframe(1))
        return len(self.items)


def to(*targets):
    """``to("x", ("a", "b"), "*rest")``: x, (a, b), *rest."""
    starred = next((i for i, t in enumerate(targets) if isinstance(t, str) and t.startswith("*")), None)
    names = [t.lstrip("*") or None if isinstance(t, str) else None for t in targets]
    return unpacking(names, [to(*t) if isinstance(t, tuple) else None for t in targets], starred)


def compiled(code, parameters="self, batch, f, other", within="function"):
    """A function with this body; a source that can be read belongs to it."""
    body = textwrap.dedent(code).strip()
    if within == "function":
        text = f"def step({parameters}):\n" + textwrap.indent(body, "    ") + "\n"
    else:
        text = body + "\n"
    name = f"<case {next(numbers)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    return compile(text, name, "exec")


def run(code, *items, times=1, within="function"):
    """What the value tells when ``code`` is run with it as ``batch``."""
    value = Value(*items)
    names = {"self": Namespace(), "batch": value, "f": lambda *a, **k: a, "other": [(0, 0)]}
    program = compiled(code, within=within)
    if within == "function":
        exec(program, names)
        arguments = [names[n] for n in ("self", "batch", "f", "other")]
        for _ in range(times):
            names["step"](*arguments)
    else:
        exec(program, names)
    return value.seen


class Namespace:
    pass


PAIR, TRIPLE = (1, 2), (1, 2, 3)
UNPACKED = [
    ("x, y = batch", PAIR, to("x", "y")),
    ("x, _ = batch", PAIR, to("x", "_")),
    ("_, _, y = batch", TRIPLE, to("_", "_", "y")),
    ("x, _, _ = batch", TRIPLE, to("x", "_", "_")),
    ("(x,) = batch", (1,), to("x")),
    ("[x, y] = batch", PAIR, to("x", "y")),
    ("x, *rest = batch", TRIPLE, to("x", "*rest")),
    ("*rest, y = batch", TRIPLE, to("*rest", "y")),
    ("x, *_, y = batch", TRIPLE, to("x", "*_", "y")),
    ("x, *self.rest = batch", TRIPLE, to("x", "*rest")),
    ("(a, b), y = batch", (PAIR, 3), to(("a", "b"), "y")),
    ("(a, b, c), y = batch", (TRIPLE, 3), to(("a", "b", "c"), "y")),
    ("x, (a, (b, *c)), y = batch", (0, (1, (2, 3)), 4), to("x", ("a", ("b", "*c")), "y")),
    ("self.x, y = batch", PAIR, to("x", "y")),
    ("x, self.y = batch", PAIR, to("x", "y")),
    ("self.x, self.y = batch", PAIR, to("x", "y")),
    ("d = {}\nd['x'], y = batch", PAIR, to("", "y")),
    ("d = {}\nx, d[f(1)[0]], y = batch", TRIPLE, to("x", "", "y")),
    ("d = {}\nx, d[(k := 1)], y = batch", TRIPLE, to("x", "", "y")),
    ("both = x, y = batch", PAIR, to("x", "y")),
    ("both = (x, y) = batch\nz = x", PAIR, to("x", "y")),
    ("x, y = batch; z = x + y", PAIR, to("x", "y")),
    ("(\n    x,\n    y,\n) = batch", PAIR, to("x", "y")),
    ("x, y = (\n    batch\n)", PAIR, to("x", "y")),
    ("x, y = \\\n    batch", PAIR, to("x", "y")),
    ("with __import__('contextlib').nullcontext():\n    x, y = batch", PAIR, to("x", "y")),
    ("try:\n    x, y = batch\nexcept Exception:\n    pass\nfinally:\n    z = 1", PAIR, to("x", "y")),
    ("if True:\n    x, y = batch\nelse:\n    a, b, c = batch", PAIR, to("x", "y")),
    ("def inner():\n    x, y = batch\n    return lambda: (x, y)\ninner()", PAIR, to("x", "y")),
    ("x, y = batch\ng = lambda: x + y", PAIR, to("x", "y")),
    ("global gx\ngx, y = batch", PAIR, to("gx", "y")),
    ("for x, y in [batch]:\n    pass", PAIR, to("x", "y")),
    ("z = [x + y for x, y in [batch]]", PAIR, to("x", "y")),
    ("z = sum(x + y for x, y in [batch])", PAIR, to("x", "y")),
    ("g = lambda b: [x + y for x, y in [b]]\ng(batch)", PAIR, to("x", "y")),
    ("x, y = list(batch)", PAIR, to("x", "y")),
    ("x, y = tuple(batch)", PAIR, to("x", "y")),
    ("x, y = map(f, batch)", PAIR, to("x", "y")),
    ("x, y = [f(part) for part in batch]", PAIR, to("x", "y")),
    ("x, y = (f(part) for part in batch)", PAIR, to("x", "y")),
    ("x, y = map(f, tuple(batch))", PAIR, to("x", "y")),
    ("for x, y in zip(*batch):\n    pass", (PAIR, PAIR), to("x", "y")),
]
NOT_UNPACKED = [
    ("z = sum(batch)", PAIR),
    ("z = sum(part for part in batch)", PAIR),
    ("f(*batch)", PAIR),
    ("x, y = f(*batch)", PAIR),
    ("x, y = f([part for part in batch], 1)", PAIR),
    ("x, y = zip(*batch)", (PAIR, PAIR)),
    ("x, y = [part for part in batch if part]", PAIR),
    ("x, y = [(p, q) for p in other for q in batch][0]", PAIR),
    ("x, y = max(batch), min((1, 2))", PAIR),
    ("z = (k := list(batch))", PAIR),
    ("z = list(batch); x, y = 1, 2", PAIR),
    ("z = [*batch]", PAIR),
    ("z = 1 in batch", PAIR),
]
LOOPED = [
    ("for x in batch:\n    pass", PAIR, Items("x")),
    ("for self.x in batch:\n    pass", PAIR, Items("x")),
    ("for x, y in batch:\n    pass", (PAIR, PAIR), Items(None, to("x", "y"))),
    ("for x, (a, *b) in batch:\n    pass", ((1, PAIR),), Items(None, to("x", ("a", "*b")))),
    ("for (\n    x,\n    y,\n) in batch:\n    z = x\n    w = y", (PAIR,), Items(None, to("x", "y"))),
    ("for _, _, y in batch:\n    pass", (TRIPLE,), Items(None, to("_", "_", "y"))),
    ("for self.x, y in batch:\n    pass", (PAIR,), Items(None, to("x", "y"))),
    ("z = [x for x in batch]", PAIR, Items("x")),
    ("z = [x + y for x, y in batch]", (PAIR,), Items(None, to("x", "y"))),
    ("z = {x for x, y in batch}", (PAIR,), Items(None, to("x", "y"))),
    ("z = {x: y for x, y in batch}", (PAIR,), Items(None, to("x", "y"))),
    ("z = sum(x + y for x, y in batch)", (PAIR,), Items(None, to("x", "y"))),
    ("z = [x for x, y in batch if f(x)]", (PAIR,), Items(None, to("x", "y"))),
    ("z = [lambda: x for x, y in batch]", (PAIR,), Items(None, to("x", "y"))),
    ("z = [self for x, y in batch]", (PAIR,), Items(None, to("x", "y"))),
    ("z = (lambda b: [x for x, y in b])(batch)", (PAIR,), Items(None, to("x", "y"))),
    ("def inner():\n    return sum(x for x, y in batch)\ninner()", (PAIR,), Items(None, to("x", "y"))),
    ("try:\n    z = [x for x, y in batch]\nfinally:\n    pass", (PAIR,), Items(None, to("x", "y"))),
    ("z = [a for a, b in [(x, y) for x, y in batch]]", (PAIR,), Items(None, to("x", "y"))),
]
# Where the line alone is known, and two answers are possible for it, there is no answer, and no wrong one.
AMBIGUOUS = {
    "(a, b), y = batch",
    "(a, b, c), y = batch",
    "x, (a, (b, *c)), y = batch",
    "z = [a for a, b in [(x, y) for x, y in batch]]",
}


def answers(code, items, **how):
    """The answers of the one use that the code makes of the value, by bytecode and by source."""
    # One call alone, and one after the code was specialised.
    for times in (1, OFTEN) if how.get("within", "function") == "function" else (1,):
        seen = run(code, *items, times=times, **how)
        assert len(seen) in (times, times * 2), (code, seen)  # `list` and others ask for the length, too
        yield from seen[-1:] if len(seen) == times else seen[-2:-1]


def test_targets_of_an_unpacking():
    for code, items, wanted in UNPACKED:
        for (by_bytecode, _), (by_source, _) in answers(code, items):
            assert by_bytecode == wanted, (code, by_bytecode)
            assert by_source == (wanted if COLUMNS or code not in AMBIGUOUS else None), (code, by_source)


def test_targets_of_an_unpacking_at_the_top_of_a_file():
    for code, items, wanted in UNPACKED:
        if "global" in code:
            continue
        for (by_bytecode, _), (by_source, _) in answers(code, items, within="file"):
            assert by_bytecode == wanted, (code, by_bytecode)
            assert by_source == (wanted if COLUMNS or code not in AMBIGUOUS else None), (code, by_source)


def test_what_is_no_unpacking():
    # Without columns the source alone cannot tell two uses on one line apart.
    for code, items in NOT_UNPACKED:
        for (by_bytecode, _), (by_source, _) in answers(code, items):
            if COLUMNS or "=" not in code.replace("z =", ""):
                assert by_source is None, (code, by_source)
            assert by_bytecode is None, (code, by_bytecode)


def test_targets_of_a_loop():
    for code, items, wanted in LOOPED:
        for (no_unpacking, by_bytecode), (_, by_source) in answers(code, items):
            assert no_unpacking is None, (code, no_unpacking)
            assert by_bytecode == wanted, (code, by_bytecode)
            assert by_source == (wanted if COLUMNS or code not in AMBIGUOUS else None), (code, by_source)


def test_targets_of_a_loop_at_the_top_of_a_file():
    for code, items, wanted in LOOPED:
        for (_, by_bytecode), _ in answers(code, items, within="file"):
            assert by_bytecode == wanted, (code, by_bytecode)


def test_items_through_a_call():
    cases = [
        ("for i, x in enumerate(batch):\n    pass", Items("x")),
        ("for i, (x, y) in enumerate(batch):\n    pass", Items(None, to("x", "y"))),
        ("z = [x for i, (x, y) in enumerate(batch)]", Items(None, to("x", "y"))),
        ("x, y = zip(*batch)", Items(None, to("x", "y"))),
        ("z = [x for x, y in list(batch)]", Items(None, to("x", "y"))),
    ]
    for code, wanted in cases:
        for (_, found), (_, by_source) in answers(code, (PAIR, PAIR)):
            assert found == by_source == wanted, (code, found, by_source)


def test_a_walrus_and_plain_names_are_no_targets():
    ((unpacked, items), _) = run("if (z := batch) and len(z):\n    pass", 1, 2)[0]
    assert unpacked is None
    assert items is None


class Spread:
    """A mapping whose keys may be asked for."""

    def __init__(self, *items):
        self.items = items
        self.seen = []

    def __iter__(self):
        self.seen.append(read_starred_call(sys._getframe(1)))
        return iter(self.items)

    def keys(self):
        self.seen.append(read_starred_call(sys._getframe(1), mapping=True))
        return ["k1", "k2"]

    def __getitem__(self, key):
        return 0


def spread(code):
    value = Spread(1, 2)
    names = {"self": Namespace(), "f": lambda *a, **k: a, "batch": value}
    names["self"].net = Namespace()
    names["self"].net.run = names["self"].loss = names["f"]
    exec(compiled(code, "self, batch, f"), names)
    names["step"](names["self"], value, names["f"])
    return value.seen


def test_calls_over_whose_arguments_a_value_is_spread():
    cases = [
        ("f(*batch)", StarredCall("f")),
        ("x, y = f(*batch)", StarredCall("f")),
        ("return f(1, *batch)", StarredCall("f", 1)),
        ("f(1, 2, *batch, key=3)", StarredCall("f", 2, ("key",))),
        ("self.net.run(*batch)", StarredCall("self.net.run")),
        ("f(self.loss(*batch), 1)", StarredCall("self.loss")),
        ("f(\n    1,\n    *batch,\n)", StarredCall("f", 1)),
        ("f(**batch)", StarredCall("f")),
        ("f(1, **batch)", StarredCall("f", 1)),
        ("f(a=1, **batch)", StarredCall("f", 0, ("a",))),
        ("loss = self.net.run(**batch)", StarredCall("self.net.run")),
        ("with __import__('contextlib').nullcontext():\n    self.loss(**batch)", StarredCall("self.loss")),
        ("(lambda b: f(**b))(batch)", StarredCall("f")),
    ]
    for code, wanted in cases:
        assert spread(code) == [wanted], (code, spread(code))
    for code in ("z = {**batch}", "z = dict(batch)", "z = [*batch]"):
        assert set(spread(code)) == {None}, code


class Tensor:
    """Tells what its shape is unpacked into."""

    def __init__(self):
        self.seen = []

    def _tell(self, frame):
        self.seen.append([(names_unpacked_next(frame, how), unpacked_next(frame, how)) for how in (True, False)])
        return (1, 2, 3, 4)

    @property
    def shape(self):
        return self._tell(sys._getframe(1))

    def size(self, dim=None):
        return self._tell(sys._getframe(1))

    def __len__(self):
        return len(self._tell(sys._getframe(1)))


class Unsized:
    def __init__(self):
        self.seen = []

    _tell = Tensor._tell

    def __iter__(self):
        return iter(self._tell(sys._getframe(1)))


def shapes(code, times=1):
    x = Tensor()
    names = {"x": x, "self": Namespace()}
    exec(compiled(code, "self, x"), names)
    for _ in range(times):
        names["step"](names["self"], x)
    assert len(x.seen) == times
    return x.seen[-1]


def test_names_into_which_a_shape_is_unpacked():
    cases = [
        ("b, c, h, w = x.shape", 4, to("b", "c", "h", "w")),
        ("b, c, h, w = x.size()", 4, to("b", "c", "h", "w")),
        ("(\n    b, c,\n    h, w\n) = x.shape", 4, to("b", "c", "h", "w")),
        ("_, _, h, w = x.shape", 4, to("_", "_", "h", "w")),
        ("b, *_ = x.shape", None, to("b", "*_")),
        ("*_, h, w = x.size()", None, to("*_", "h", "w")),
        ("b, self.c, h, w = x.shape", 4, to("b", "c", "h", "w")),
        ("n = len(x)", None, None),
        ("n = x.shape", None, None),
        ("n = x.shape[0]", None, None),
        ("n = x.size(0)", None, None),
        ("b, c = x.shape[:2]", None, None),
        ("b, c = x.shape[0], 3", None, None),
        ("n = len(x.shape)", None, None),
        ("return x.size()", None, None),
    ]
    for code, count, wanted in cases:
        for times in (1, OFTEN):
            assert shapes(code, times) == [(count, wanted)] * 2, (code, times, shapes(code, times))


def test_result_of_a_builtin_that_is_specialised():
    # Python 3.11 makes such a call in the instruction before the call.
    for function in ("sorted", "tuple", "set"):
        x = Unsized()
        names = {}
        exec(compiled(f"b, c, h, w = {function}(x)", "x"), names)
        for _ in range(OFTEN):
            names["step"](x)
        assert {seen[0] for seen in x.seen} == {(4, to("b", "c", "h", "w"))}, function


def test_more_targets_and_names_than_fit_into_one_byte():
    many = [f"n{i}" for i in range(300)]
    before = "\n".join(f"m{i} = {i}" for i in range(300))
    for within in ("function", "file"):
        code = f"{before}\n{', '.join(many)} = batch"
        ((by_bytecode, _), (by_source, _)) = run(code, *range(300), within=within)[0]
        assert by_bytecode == by_source == to(*many)
        code = f"{before}\nx, *rest, {', '.join(many)} = batch"
        ((by_bytecode, _), (by_source, _)) = run(code, *range(302), within=within)[0]
        assert by_bytecode == by_source == to("x", "*rest", *many)
        code = f"{before}\nfor x, {', '.join(many)} in batch:\n    pass"
        ((_, by_bytecode), (_, by_source)) = run(code, range(301), within=within)[0]
        assert by_bytecode == by_source == Items(None, to("x", *many))


def test_code_that_is_traced():
    """A debugger or a measurement of coverage rewrites the running code on some Pythons."""

    def trace(frame, event, argument):
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        seen = run("x, y = batch", 1, 2, times=OFTEN)
        looped = run("for x, y in batch:\n    pass", PAIR, times=OFTEN)
        shaped = shapes("b, c, h, w = x.shape", OFTEN)
    finally:
        sys.settrace(before)
    assert {answer for answer in seen for answer, _ in answer} == {to("x", "y")}
    assert {answer for answer in looped for _, answer in answer} == {Items(None, to("x", "y"))}
    assert shaped == [(4, to("b", "c", "h", "w"))] * 2


def test_code_without_source():
    value = Value(1, 2)
    exec("x, y = batch", {"batch": value})
    assert value.seen == [[(to("x", "y"), None), (None, None)]]


def test_source_that_cannot_be_parsed():
    value = Value(1, 2)
    program = compiled("x, y = batch", within="file")
    text = "x, y = = batch\n"
    linecache.cache[program.co_filename] = (len(text), None, [text], program.co_filename)
    exec(program, {"batch": value})
    assert value.seen == [[(to("x", "y"), None), (None, None)]]


def test_generators_and_coroutines():
    value = Value(1, 2)

    def generator():
        x, y = value
        yield x

    async def coroutine():
        x, y = value
        return x

    next(generator())
    with contextlib.suppress(StopIteration):
        coroutine().send(None)
    assert {answer for seen in value.seen for answer, _ in seen} == {to("x", "y")}


def test_columns_in_bytes():
    ((by_bytecode, _), (by_source, _)) = run("größe, y = list(batch); z = 'ü'", 1, 2)[0]
    assert by_bytecode == by_source == to("größe", "y")


def test_the_least_length():
    assert to("x", "*y", "z").least == 2
    assert to("x", "y").least == 2


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
