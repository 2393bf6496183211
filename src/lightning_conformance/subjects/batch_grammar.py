"""Reads the notation of a batch spec; `docs/batch-spec.md` describes it."""

from __future__ import annotations

import ast
import keyword
from dataclasses import replace
from typing import Any

from lightning_conformance.subjects.batch_nodes import (
    DEFAULT_BATCH_SIZE,
    BatchSizeSpec,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    RepeatSpec,
    TupleSpec,
)
from lightning_conformance.subjects.batch_tensors import TensorReader
from lightning_conformance.subjects.batch_tokens import Token

LITERALS: dict[str, bool | None] = {
    "none": None,
    "None": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
}
ANYTHING = "a tensor such as float[8,10], a literal, or one of ( [ {"


def parse(text: str) -> tuple[Node, int]:
    """Read the notation.

    Returns:
        The outermost node, and the size that ``B`` stands for.

    Raises:
        UsageError: With the position, what was expected there, and a correct example.
    """
    return _Parser(text).batch()


class _Parser(TensorReader):
    """Recursive descent over the tokens of one spec."""

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
            return self.sequence()
        if self.take("{"):
            return DictSpec(tuple(self.pairs("}")))
        if self.token.kind != "name" or self.token.text in LITERALS:
            return self.literal()
        if self.peek_is("("):
            return self.named_object()
        if self.is_batch_symbol() and not self.peek_is("["):
            self.batch_symbol()
            return BatchSizeSpec()
        return self.tensor()

    def sequence(self) -> Node:
        items, _ = self.elements("]")
        star = self.token
        if not self.take("*"):
            return ListSpec(tuple(items))
        if len(items) != 1:
            raise self.error("one item in a list that is repeated", star)
        if self.is_batch_symbol():
            return RepeatSpec(items[0], self.batch_symbol())
        return RepeatSpec(items[0], self.whole("how many items the list has, a number or B", minimum=1))

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

    def value(self, token: Token) -> Any:
        try:
            return ast.literal_eval(token.text)
        except (SyntaxError, ValueError):
            raise self.error("a string or number that Python can read", token) from None
