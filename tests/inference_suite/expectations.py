"""Notes beside each module of the suite what its batch looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Expectation:
    """What a class's batch looks like.

    Args:
        patterns: In the notation of ``benchmarks/agreement.py``; several where several are right.
        example: One batch of that kind, as a batch spec or a function.
    """

    patterns: tuple[str, ...]
    example: str | Callable[[], Any]


SUITE: dict[type, Expectation] = {}


def batch_of(*patterns: str, example: str | Callable[[], Any]):
    """Say what a class's batch looks like, and give an example with which it trains."""

    def note(cls):
        SUITE[cls] = Expectation(patterns, example)
        return cls

    return note
