"""What validation, testing and prediction did, inside ``fit`` and outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightning_conformance.recording.events import Place, Seen
from lightning_conformance.recording.model import Failure


@dataclass(frozen=True)
class ValidationWatched(Seen):
    """One validation inside ``fit`` is over; for the sanity check ``at.stage`` says so.

    Args:
        parameters: Names of the parameters that it changed, and that stayed changed.
        buffers: Names of the buffers that it changed, and that stayed changed; states of metric objects not counted.
        statistics: Those of them that are running statistics of a normalisation.
        training_layers: Layers that ran in training mode, by name and class.
        root_training: Whether the module itself was in training mode while a step ran.
        steps: How many validation steps returned.
        returned: How many of them returned something.
    """

    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    statistics: tuple[str, ...]
    training_layers: Mapping[str, str]
    root_training: bool
    steps: int
    returned: int


@dataclass(frozen=True)
class FunctionalInTraining(Seen):
    """A function that was called as in training, while evaluating: ``dropout(..., training=True)``."""

    name: str
    place: Place | None = None


@dataclass(frozen=True)
class EntryTried(Seen):
    """``Trainer.validate``, ``test`` or ``predict``, tried twice on the same batches, with other random numbers.

    Args:
        entry: The Trainer's method.
        step: The module's.
        failure: What it raised.
        own_batches: Whether the batches were made for this step, or are the module's own.
        first: What was logged the first time.
        second: What was logged the second time.
        parameters: Names of the parameters that changed.
        buffers: Names of the buffers that changed, running statistics among them.
        changed_batches: Whether the step got other values the second time, though the loader gave the same.
        nothing: Whether ``predict_step`` returned nothing for every batch.
    """

    entry: str
    step: str
    failure: Failure | None = None
    own_batches: bool = False
    first: Mapping[str, float] = field(default_factory=dict)
    second: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()
    changed_batches: bool = False
    nothing: bool = False
