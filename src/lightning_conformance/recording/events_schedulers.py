"""Learning-rate schedulers, and what the user's code asked the Trainer for to build them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class SchedulerSeen(Seen):
    """One scheduler that was made during the run, or that the Trainer has, as it was in the end.

    Args:
        name: Its class.
        known: Its place in ``trainer.lr_scheduler_configs``; None where Lightning does not know it.
        part: Whether another scheduler holds it.
        of_trainer: Whether its optimizer is one of the Trainer's.
        interval: ``epoch`` or ``step``, as Lightning counts; empty where it does not know the scheduler.
        monitor: The metric of a scheduler that waits for a plateau.
        horizon: The numbers that it, its parts and its functions were made with, by name.
        warmup: Calls until its functions reach their highest value; 0 where they do not rise.
        steps: Calls of ``step``; None where it does not count them.
        rates: Learning rates that it started from, one a group.
        place: The user's line that made it.
    """

    name: str
    known: int | None
    part: bool
    of_trainer: bool
    interval: str
    monitor: str
    horizon: Mapping[str, float] = field(default_factory=dict)
    warmup: int = 0
    steps: int | None = None
    rates: tuple[float, ...] = ()
    place: Place | None = None


@dataclass(frozen=True)
class TrainerAsked(Seen):
    """The user's code read a length of the run from the Trainer, and it was not known: negative or infinite."""

    attribute: str
    value: float
    place: Place | None = None


@dataclass(frozen=True)
class SchedulersBuilt(Seen):
    """The horizons of the Trainer's schedulers in a run of another length.

    Args:
        epochs: Epochs of that run.
        batches: Training batches an epoch, no more than there are.
        horizons: One a scheduler, as in ``SchedulerSeen.horizon``.
    """

    epochs: int
    batches: int
    horizons: tuple[Mapping[str, float], ...]
