"""The environments that the kit knows, and how the user chooses among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lightning_conformance.environments.base import Cpu, Cuda, Environment, Mps
from lightning_conformance.environments.virtual import Virtual
from lightning_conformance.errors import UsageError

ENVIRONMENTS: dict[str, Environment] = {e.name: e for e in (Cpu(), Virtual(), Cuda(), Mps())}


def check_names(words: Iterable[str]) -> list[str]:
    """Split the user's words at commas and see that each names an environment.

    Imports nothing heavy, so that a wrong word is reported before anything is started.

    Raises:
        UsageError: An unknown name.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()] or ["auto"]
    valid = ["auto", *ENVIRONMENTS]
    for name in names:
        if name not in valid:
            near = difflib.get_close_matches(name, valid, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"unknown environment {name!r}.{hint}", f"Valid are: {', '.join(valid)}.")
    return names


def select(words: Iterable[str]) -> list[Environment]:
    """The environments that the user's words choose; ``auto`` is every real one that is there.

    Raises:
        UsageError: An unknown name, or a named environment that is not there.
    """
    chosen: dict[str, Environment] = {}
    for name in check_names(words):
        if name == "auto":
            there = (e for e in ENVIRONMENTS.values() if e.automatic and e.unavailable() is None)
            chosen.update((e.name, e) for e in there)
            continue
        reason = ENVIRONMENTS[name].unavailable()
        if reason is not None:
            raise UsageError(f"environment {name!r} cannot be had here: {reason}.")
        chosen[name] = ENVIRONMENTS[name]
    return list(chosen.values())


__all__ = ["ENVIRONMENTS", "Cpu", "Cuda", "Environment", "Mps", "Virtual", "check_names", "select"]
