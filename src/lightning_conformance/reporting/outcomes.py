"""How a verdict counts in the census."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OUTCOMES = ("passed", "failed", "expected", "not applicable", "inconclusive")


def outcome_of(verdict: Mapping[str, Any]) -> str:
    """The outcome of a verdict in plain data, ``expected`` for a failure that is known or expected."""
    return "expected" if verdict["outcome"] == "failed" and verdict["expected"] else str(verdict["outcome"])
