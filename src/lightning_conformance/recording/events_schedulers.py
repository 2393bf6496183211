"""What is seen of learning rate schedulers."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class SchedulerSeen(Seen):
    """One scheduler that the run made, written when the run is over; parts of another scheduler are left out.

    Args:
        name: Its class.
        returned: Whether ``configure_optimizers`` returned it.
        interval: When Lightning steps it: ``epoch`` or ``step``; empty where it was not returned.
        frequency: Every how many of them.
        steps: How often it was stepped in training.
        horizons: Numbers that say how long it lasts, by name (``T_max``, ``total_steps``, ...).
        planned_epochs: Epochs of the run, as the Trainer was told.
        planned_steps: Optimizer steps of the run, as the Trainer estimates them; -1 where it could not.
        place: The user's line that made it.
    """

    name: str
    returned: bool
    interval: str
    frequency: int
    steps: int
    horizons: tuple[tuple[str, float], ...]
    planned_epochs: int
    planned_steps: int
    place: Place | None = None
