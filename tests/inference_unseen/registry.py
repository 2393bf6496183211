"""Notes beside each module, written when the search was finished, what its batch looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inference_suite.expectations import Expectation

UNSEEN: dict[type, Expectation] = {}


def batch_of(*patterns: str, example: str | Callable[[], Any]):
    """Say what a class's batch looks like, and give an example with which it trains."""

    def note(cls):
        UNSEEN[cls] = Expectation(patterns, example)
        return cls

    return note
