"""What is seen when tools around the Trainer are used on a module."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class ToolTried(Seen):
    """A tool was used on a module that had been trained for a few steps.

    Args:
        tool: ``deepcopy``, ``pickle``, ``forward``, ``predict``, ``example``, ``export`` or ``cli``.
        error: What it raised, ``Type: message``; empty where it worked.
        attribute: The attribute that is the reason, where that can be told; of ``cli``, the argument.
        kind: Type name of its value.
        place: Where it is assigned, or the line of the user's that failed.
        wanted: Whether the user's own files show that they use the tool.
    """

    tool: str
    error: str = ""
    attribute: str = ""
    kind: str = ""
    place: Place | None = None
    wanted: bool = False


@dataclass(frozen=True)
class LearningRateTried(Seen):
    """``configure_optimizers`` was called with one learning rate and with another.

    Args:
        attribute: How the module calls it.
        first: What it was.
        second: What it was set to.
        same: Whether the optimizers and schedulers were the same both times.
        rates: The learning rates that they had.
    """

    attribute: str
    first: float
    second: float
    same: bool
    rates: tuple[float, ...]
    place: Place | None = None
