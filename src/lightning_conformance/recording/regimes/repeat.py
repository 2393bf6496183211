"""Train twice with one seed."""

from __future__ import annotations

from dataclasses import replace

from lightning_conformance.recording.model import Compared, Recording
from lightning_conformance.recording.regimes.base import folder, plain_fit
from lightning_conformance.recording.setup import Setup


def record(setup: Setup, blank: Recording) -> Recording:
    """Two fits from the same seed, and their losses side by side."""
    with folder() as where:
        first, second = (plain_fit(setup, where) for _ in range(2))
    events = [
        Compared(first.tape.now, f"loss of step {index}", one, other)
        for index, (one, other) in enumerate(zip(first.losses, second.losses, strict=False))
    ]
    return replace(blank, tape=tuple(events))
