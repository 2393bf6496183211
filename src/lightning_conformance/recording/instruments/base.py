"""What watches a run: one class an aspect, each of which writes events on the tape."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_conformance.lightning_api import LightningPackage
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
