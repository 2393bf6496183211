"""The tokens of the notation of batches, read one after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from lightning_conformance.errors import UsageError
from lightning_conformance.subjects.batch_nodes import BATCH_SYMBOL, Dim

EXAMPLE = "x: float[8,10], y: int[8]<2"

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
class Token:
    """A piece of the notation.

    Args:
        kind: ``number``, ``string``, ``opaque``, ``name``, ``sign`` or ``end``.
        text: As it was written.
        position: Where it starts.
    """

    kind: str
    text: str
    position: int

    def is_sign(self, sign: str) -> bool:
        """Whether it is this sign."""
        return self.kind == "sign" and self.text == sign


def tokens(text: str) -> list[Token]:
    """All tokens of ``text``; the last one is its end."""
    found = []
    for match in _TOKEN.finditer(text.rstrip()):
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
    return [*found, Token("end", "", len(text.rstrip()))]


def with_size(text: str, size: int) -> str:
    """The notation with the size that ``B`` stands for written at its first place."""
    found = tokens(text)
    for token, following in pairwise(found):
        is_key = following.is_sign(":") or following.is_sign("(")
        if token.kind == "name" and token.text == BATCH_SYMBOL and not is_key:
            end = token.position + len(BATCH_SYMBOL)
            return f"{text[:end]}={size}{text[end:]}"
    return text


class Reader:
    """Goes through the tokens of one spec."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.index = 0
        self.default_size: int | None = None

    @property
    def token(self) -> Token:
        """The token that is next."""
        return self.tokens[self.index]

    def error(self, expected: str, token: Token | None = None) -> UsageError:
        """What is wrong at ``token``, by default the next one."""
        token = token or self.token
        found = repr(token.text) if token.kind != "end" else "the end"
        line = self.text.replace("\n", " ")
        return UsageError(
            f"cannot read the batch spec at position {token.position + 1}: "
            f"expected {expected}, found {found}\n    {line}\n    {' ' * token.position}^",
            f"A correct one: {EXAMPLE}",
        )

    def take(self, sign: str) -> bool:
        """Go past ``sign``, if it is next."""
        if not self.token.is_sign(sign):
            return False
        self.index += 1
        return True

    def need(self, sign: str, expected: str | None = None) -> None:
        """Go past ``sign``, which has to be next."""
        if not self.take(sign):
            raise self.error(expected or f"{sign!r}")

    def advance(self) -> Token:
        """The next token, and go past it."""
        token = self.token
        self.index += 1
        return token

    def peek_is(self, sign: str) -> bool:
        """Whether ``sign`` is the token after the next."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)].is_sign(sign)

    def is_batch_symbol(self) -> bool:
        """Whether ``B`` is next."""
        return self.token.kind == "name" and self.token.text == BATCH_SYMBOL

    def batch_symbol(self) -> Dim:
        """``B``, which is next, or ``B=8``."""
        self.advance()
        if self.take("="):
            self._set_default_size()
        return "B"

    def _set_default_size(self) -> None:
        token = self.advance()
        if not token.text.isdigit() or int(token.text) < 1:
            raise self.error("the size that B stands for, 1 or more", token)
        if self.default_size not in (None, int(token.text)):
            raise self.error(f"one size for B, and it was {self.default_size} before", token)
        self.default_size = int(token.text)

    def whole(self, expected: str, minimum: int | None = None) -> int:
        """A whole number."""
        token = self.token
        if token.kind != "number" or not token.text.lstrip("-").isdigit():
            raise self.error(expected)
        if minimum is not None and int(token.text) < minimum:
            raise self.error(expected)
        return int(self.advance().text)
