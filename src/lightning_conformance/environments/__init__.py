"""The environments that the kit knows, and how the user chooses among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from lightning_conformance.environments.base import SPECIAL, Cpu, Cuda, Environment, Mps
from lightning_conformance.environments.precision import PRECISIONS, Precision
from lightning_conformance.environments.processes import Ddp
from lightning_conformance.environments.virtual import Virtual
from lightning_conformance.errors import UsageError

AUTO = "auto"
SECOND_DEVICE = Cuda("cuda-1", "one process on the second CUDA device", index=1)
ENVIRONMENTS: dict[str, Environment] = {
    e.name: e for e in (Cpu(), Virtual(), *PRECISIONS, Ddp(), Cuda(), SECOND_DEVICE, Mps())
}


def check_names(words: Iterable[str]) -> list[str]:
    """Split the user's words at commas and see that each names an environment.

    Imports nothing heavy, so that a wrong word is reported before anything is started.

    Raises:
        UsageError: An unknown name.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()] or [AUTO]
    valid = [AUTO, *ENVIRONMENTS]
    for name in names:
        if name not in valid:
            near = difflib.get_close_matches(name, valid, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"unknown environment {name!r}.{hint}", f"Valid are: {', '.join(valid)}.")
    return names


def select(words: Iterable[str]) -> list[Environment]:
    """The environments that the user's words choose.

    ``auto`` is every real one that is there, every one that a computer without an accelerator can pretend, and the
    precision that GPUs train in. Beside an ordinary environment, the others judge what only they can show; alone, they
    judge everything.

    Raises:
        UsageError: An unknown name, or a named environment that is not there.
    """
    chosen: dict[str, Environment] = {}
    for name in check_names(words):
        if name == AUTO:
            found = (replace(e, asked=False) for e in ENVIRONMENTS.values() if e.in_auto())
            chosen.update((e.name, e) for e in found if e.name not in chosen)
            continue
        reason = ENVIRONMENTS[name].unavailable()
        if reason is not None:
            raise UsageError(f"environment {name!r} cannot be had here: {reason}.")
        chosen[name] = ENVIRONMENTS[name]
    return [e.beside() for e in chosen.values()] if reference(chosen.values()) else list(chosen.values())


def reference(chosen: Iterable[Environment]) -> Environment | None:
    """The environment that shows whether a module trains at all, so that others need not say so; None for none."""
    return next((e for e in chosen if e.ordinary), None)


def judging(family: str) -> list[str]:
    """Names of the environments in which checks of a family are judged."""
    return [e.name for e in ENVIRONMENTS.values() if e.judges(family)]


def environments_text() -> str:
    """A line for each environment: name, whether it is there, what it is; imports torch."""
    rows = [(e.name, e.unavailable(), e.summary) for e in ENVIRONMENTS.values()]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {'not here' if reason else 'here':<8}  {summary}" for name, reason, summary in rows]
    why = {name: f" ({reason})" if reason else "" for name, reason, _ in rows}
    return "\n".join(line + why[line.split()[0]] for line in lines)


__all__ = [
    "AUTO",
    "ENVIRONMENTS",
    "SPECIAL",
    "Cpu",
    "Cuda",
    "Ddp",
    "Environment",
    "Mps",
    "Precision",
    "Virtual",
    "check_names",
    "environments_text",
    "judging",
    "reference",
    "select",
]
