"""Train once more, with the seed that the ``train`` regime had."""

from __future__ import annotations

from dataclasses import replace

from lightning_conformance.recording.model import LossSeen, Recording
from lightning_conformance.recording.regimes.base import folder, plain_fit
from lightning_conformance.recording.setup import Setup


def record(setup: Setup, blank: Recording) -> Recording:
    """The losses, to be compared with those of the ``train`` regime."""
    with folder() as where:
        run = plain_fit(setup, where)
    return replace(blank, tape=tuple(event for event in run.tape.events if isinstance(event, LossSeen)))
