"""Reads the notation of a batch spec; `docs/batch-spec.md` describes it."""

from __future__ import annotations

import ast
import difflib
import keyword
import re
from dataclasses import dataclass, replace
from typing import Any

from lightning_conformance.errors import UsageError
from lightning_conformance.subjects.batch_nodes import (
    BATCH_SYMBOL,
    DEFAULT_BATCH_SIZE,
    DTYPES,
    DictSpec,
    Dim,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    TensorSpec,
    TupleSpec,
)

EXAMPLE = "x: float[8,10], y: int[8]<2"

ALIASES = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "int64": "int",
    "long": "int",
    "complex64": "complex",
}
LITERALS: dict[str, bool | None] = {
    "none": None,
    "None": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
}
ANY_DTYPE = "a dtype (" + ", ".join(DTYPES) + ")"
ANYTHING = "a tensor such as float[8,10], a literal, or one of ( [ {"

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<opaque><[A-Za-z_][\w.]*>)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>\.\.|.)
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str) -> tuple[Node, int]:
    """Read the notation.

    Returns:
        The outermost node, and the size that ``B`` stands for.

    Raises:
        UsageError: With the position, what was expected there, and a correct example.
    """
    return _Parser(text).batch()


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text.rstrip()):
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
    return [*found, _Token("end", "", len(text.rstrip()))]


class _Parser:
    """Recursive descent over the tokens of one spec."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0
        self.default_size: int | None = None

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def error(self, expected: str, token: _Token | None = None) -> UsageError:
        token = token or self.token
        found = repr(token.text) if token.kind != "end" else "the end"
        line = self.text.replace("\n", " ")
        return UsageError(
            f"cannot read the batch spec at position {token.position + 1}: "
            f"expected {expected}, found {found}\n    {line}\n    {' ' * token.position}^",
            f"A correct one: {EXAMPLE}",
        )

    def take(self, sign: str) -> bool:
        if self.token.kind != "sign" or self.token.text != sign:
            return False
        self.index += 1
        return True

    def need(self, sign: str, expected: str | None = None) -> None:
        if not self.take(sign):
            raise self.error(expected or f"{sign!r}")

    def advance(self) -> _Token:
        token = self.token
        self.index += 1
        return token

    def peek_is(self, sign: str) -> bool:
        following = self.tokens[min(self.index + 1, len(self.tokens) - 1)]
        return following.kind == "sign" and following.text == sign

    def batch(self) -> tuple[Node, int]:
        first = self.element()
        items = [first]
        comma = False
        while self.take(","):
            comma = True
            if self.token.kind == "end":
                break
            items.append(self.element())
        if self.token.kind != "end":
            raise self.error("',' or the end")
        return TupleSpec(tuple(items)) if comma else first, self.default_size or DEFAULT_BATCH_SIZE

    def element(self) -> Node:
        if self.token.kind == "name" and self.peek_is(":"):
            name = self.advance().text
            self.advance()
            return replace(self.node(), name=name)
        return self.node()

    def node(self) -> Node:
        if self.take("("):
            return self.parenthesized()
        if self.take("["):
            return ListSpec(tuple(self.elements("]")[0]))
        if self.take("{"):
            return DictSpec(tuple(self.pairs("}")))
        if self.token.kind == "name" and self.token.text not in LITERALS:
            return self.named_object() if self.peek_is("(") else self.tensor()
        return self.literal()

    def parenthesized(self) -> Node:
        items, comma = self.elements(")")
        return items[0] if len(items) == 1 and not comma else TupleSpec(tuple(items))

    def elements(self, closing: str) -> tuple[list[Node], bool]:
        items: list[Node] = []
        comma = False
        while not self.take(closing):
            items.append(self.element())
            comma = self.take(",")
            if not comma:
                self.need(closing, f"',' or {closing!r}")
                break
        return items, comma

    def named_object(self) -> Node:
        type_name = self.advance().text
        self.advance()
        start = self.token
        pairs = self.pairs(")")
        for key, _ in pairs:
            if not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key) or key[0] == "_":
                raise self.error(f"attribute names that start with a letter, not {key!r}", start)
        return ObjectSpec(type_name, tuple((str(key), node) for key, node in pairs))

    def pairs(self, closing: str) -> list[tuple[str | int, Node]]:
        found: list[tuple[str | int, Node]] = []
        while not self.take(closing):
            token = self.token
            key = self.key()
            if key in [known for known, _ in found]:
                raise self.error(f"each key once, and {key!r} stands twice", token)
            self.need(":", "':' after the key")
            found.append((key, self.node()))
            if not self.take(","):
                self.need(closing, f"',' or {closing!r}")
                break
        return found

    def key(self) -> str | int:
        token = self.token
        if token.kind == "name":
            return self.advance().text
        if token.kind == "string" or (token.kind == "number" and token.text.lstrip("-").isdigit()):
            return str(self.value(self.advance())) if token.kind == "string" else int(self.advance().text)
        raise self.error("a key (a name, or a string in quotes)")

    def literal(self) -> Node:
        token = self.token
        if token.kind == "name":
            return LiteralSpec(LITERALS[self.advance().text])
        if token.kind in {"string", "number"}:
            return LiteralSpec(self.value(self.advance()))
        if token.kind == "opaque":
            return OpaqueSpec(self.advance().text[1:-1])
        raise self.error(ANYTHING)

    def value(self, token: _Token) -> Any:
        try:
            return ast.literal_eval(token.text)
        except (SyntaxError, ValueError):
            raise self.error("a string or number that Python can read", token) from None

    def tensor(self) -> TensorSpec:
        token = self.advance()
        dtype = ALIASES.get(token.text, token.text)
        if dtype not in DTYPES:
            near = difflib.get_close_matches(token.text, [*DTYPES, *ALIASES], 1)
            raise self.error(ANY_DTYPE + (f"; did you mean {near[0]}?" if near else ""), token)
        self.need("[", f"'[' and the shape after {token.text}")
        return self.ranged(TensorSpec(self.shape(), dtype))

    def shape(self) -> tuple[Dim, ...]:
        dims: list[Dim] = []
        while not self.take("]"):
            dims.append(self.dimension())
            if not self.take(","):
                self.need("]", "',' or ']'")
                break
        return tuple(dims)

    def dimension(self) -> Dim:
        token = self.advance()
        if token.kind == "number" and token.text.isdigit():
            return int(token.text)
        if token.kind == "name" and token.text == BATCH_SYMBOL:
            if self.take("="):
                self.set_default_size()
            return "B"
        raise self.error("a dimension: a whole number, or B for the batch dimension", token)

    def set_default_size(self) -> None:
        token = self.advance()
        if not token.text.isdigit() or int(token.text) < 1:
            raise self.error("the size that B stands for, 1 or more", token)
        if self.default_size not in (None, int(token.text)):
            raise self.error(f"one size for B, and it was {self.default_size} before", token)
        self.default_size = int(token.text)

    def ranged(self, spec: TensorSpec) -> TensorSpec:
        token = self.token
        if token.kind == "opaque":
            raise self.error("the number of values after '<'", token)
        if self.take("<"):
            self.needs_range(spec, token)
            count = self.whole("how many values there are (<10 means 0 to 9)", minimum=1)
            return replace(spec, low=0, high=count, whole=spec.torch_dtype.is_floating_point)
        if token.kind == "name" and token.text == "in":
            self.advance()
            self.needs_range(spec, token)
            return self.interval(spec)
        return spec

    def needs_range(self, spec: TensorSpec, token: _Token) -> None:
        if spec.torch_dtype.is_complex or spec.dtype == "bool":
            raise self.error(f"no range after {spec.dtype}", token)

    def interval(self, spec: TensorSpec) -> TensorSpec:
        token = self.token
        low = self.bound(spec)
        self.need("..", "'..' between the smallest and the largest value")
        high = self.bound(spec)
        if high < low:
            raise self.error("the smaller value first", token)
        return replace(spec, low=low, high=high + 1 if spec.is_whole else high)

    def bound(self, spec: TensorSpec) -> float:
        if spec.is_whole:
            return self.whole("a whole number")
        if self.token.kind != "number":
            raise self.error("a number, as in `in 0..1`")
        return float(self.advance().text)

    def whole(self, expected: str, minimum: int | None = None) -> int:
        token = self.token
        if token.kind != "number" or not token.text.lstrip("-").isdigit():
            raise self.error(expected)
        if minimum is not None and int(token.text) < minimum:
            raise self.error(expected)
        return int(self.advance().text)
