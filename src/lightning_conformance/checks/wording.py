"""Numbers and names in the sentences of findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_FEW = 4


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 step``, ``8 steps``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str]) -> str:
    """Names in backticks, the first few of many: `a`, `b` and 3 more."""
    all_names: Sequence[str] = [f"`{name}`" for name in names]
    shown, rest = all_names[:_FEW], len(all_names) - _FEW
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def number(value: float, beside: float | None = None) -> str:
    """Four significant digits, or as many more as tell it from the number beside it."""
    digits = next((d for d in range(4, 9) if beside is None or f"{value:.{d}g}" != f"{beside:.{d}g}"), 9)
    return f"{value:.{digits}g}"
