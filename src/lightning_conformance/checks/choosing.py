"""Which checks are judged: by name, by family, or by a pattern over both."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from lightning_conformance.checks.registry import FAMILIES, Check, all_checks
from lightning_conformance.environments import ENVIRONMENTS, Environment
from lightning_conformance.errors import UsageError


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> list[Check]:
    """The checks that ``select`` names (all, where it is empty), without those that ``ignore`` names.

    Args:
        select: Names of checks or families, or patterns such as ``*_logged``.
        ignore: The same.

    Raises:
        UsageError: A word names nothing; the message lists the nearest ones.
    """
    wanted = named(select) if select else {check.name for check in all_checks()}
    unwanted = named(ignore)
    return [check for check in all_checks() if check.name in wanted - unwanted]


def judged_in(environments: Sequence[Environment], checks: Sequence[Check]) -> dict[str, list[Check]]:
    """The checks that each environment judges, by the environment's name.

    Raises:
        UsageError: There are checks, and none of the environments judges any of them.
    """
    found = {place.name: [check for check in checks if place.judges(check.family)] for place in environments}
    if checks and not any(found.values()):
        names = ", ".join(check.name for check in checks[:3])
        able = [e.name for e in ENVIRONMENTS.values() if any(e.judges(check.family) for check in checks)]
        rest = f" (or {', '.join(able[1:])})" if able[1:] else ""
        said = ", ".join(found)
        raise UsageError(
            f"{names}: not judged in the environment {said}.", f"Add --lightning-environment={able[0]}{rest}."
        )
    return found


def named(words: Iterable[str]) -> set[str]:
    """Names of the checks that the words name.

    Raises:
        UsageError: A word names nothing.
    """
    found: set[str] = set()
    for word in split(words):
        matching = {c.name for c in all_checks() if fnmatchcase(c.name, word) or fnmatchcase(c.family, word)}
        if not matching:
            raise _unknown(word)
        found |= matching
    return found


def split(words: Iterable[str]) -> list[str]:
    """The words, taken apart at commas."""
    return [part.strip() for word in words for part in str(word).split(",") if part.strip()]


def _unknown(word: str) -> UsageError:
    families = {check.family for check in all_checks()}
    known = [*(check.name for check in all_checks()), *(family for family in FAMILIES if family in families)]
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UsageError(
        f"no check and no family is named {word!r}.", f"{hint}`pytest --lightning-list-checks` lists them."
    )
