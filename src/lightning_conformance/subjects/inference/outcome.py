"""What an inference hands back, and the ways in which it can end."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.errors import Signal, SubjectError
from lightning_conformance.subjects.batch_spec import BatchSpec


@dataclass(frozen=True)
class Inference:
    """A batch spec found by trying: a real training step ran with it.

    Args:
        spec: The batch.
        doubts: What makes it less than certain, in sentences for the user.
        attempts: Training steps tried.
        seconds: Time taken.
        seeded: Whether the search started from what was known, and got there.
        is_by_chance: Whether it runs with no other batch size, and something else is as large as that.
    """

    spec: BatchSpec
    doubts: tuple[str, ...]
    attempts: int
    seconds: float
    seeded: bool = False
    is_by_chance: bool = False


class ModuleOwnError(SubjectError):
    """The module raises whatever batch it is given.

    Args:
        cause: What it raises.
        spec: A batch with which it does; None where it is not even asked for one.
    """

    def __init__(self, cause: BaseException, spec: BatchSpec | None = None) -> None:
        message = f"the module raises {type(cause).__name__} whatever batch it is given: {cause}"
        super().__init__("batch", message, "", cause)
        self.spec = spec


class Private(Signal):
    """Base of what the search throws through the user's code; no `except Exception` there may swallow it."""


class LeaveFit(Private):
    """Ends ``Trainer.fit`` once the search is over."""


class OutOfTime(Private):
    """The budget's seconds have passed."""
