"""What watches a run: one class an aspect, each of which writes events on the tape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.recording.events_logging import Edge
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.setup import Setup
from lightning_conformance.recording.tape import Tape


@dataclass(frozen=True)
class Run:
    """A run that is about to begin.

    Args:
        module: The instance that is trained.
        folder: Where the run may write; removed when it is over.
    """

    setup: Setup
    package: LightningPackage
    module: Any
    tape: Tape
    places: Places
    folder: Path


class Instrument:
    """Watches one aspect of a run.

    A subclass overrides what it needs. To see every hook of module, callbacks and strategy begin and end, add a
    function to ``run.tape.listeners``.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def watching(self) -> AbstractContextManager[Any]:
        """Entered before the Trainer is made, left when the run is over."""
        return nullcontext()

    def callback(self) -> Any:
        """A Callback of the package for the Trainer; None for none."""
        return None

    def begin(self, trainer: Any) -> None:
        """The Trainer is there, and nothing has happened."""

    def end(self, trainer: Any) -> None:
        """The run is over, perhaps by an exception (the Trainer may be None): write closing events."""


class EpochEdges(Instrument):
    """Calls :meth:`edge` when an epoch of a loop begins with its first step, and when its steps are over."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._met: set[tuple[str, int, str]] = set()

    def watching(self) -> AbstractContextManager[Any]:
        """Listen to the steps and the ends of epochs."""
        return self._listening()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        self.run.tape.listeners.append(self._hook)
        try:
            yield
        finally:
            self.run.tape.listeners.remove(self._hook)

    def edge(self, which: Edge) -> None:
        """The tape tells loop and epoch."""

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        tape = self.run.tape
        if not begins or name not in _EDGES or (_EDGES[name] == "begin" and tape.batch > 0):
            return
        if name in _AFTER_TRAINING and tape.stage != "train":
            return
        # Callbacks and the module have hooks of one name.
        at = (tape.stage, tape.epoch, _EDGES[name])
        if at not in self._met:
            self._met.add(at)
            self.edge(_EDGES[name])


# Validation runs before the training epoch ends; what is seen then is not of the training steps.
_AFTER_TRAINING = ("on_validation_model_eval", "on_validation_start")
_EDGES: dict[str, Edge] = {
    "training_step": "begin",
    "validation_step": "begin",
    "on_validation_model_eval": "end",
    "on_validation_start": "end",
    "on_train_epoch_end": "end",
    "on_validation_epoch_end": "end",
}
