"""The regimes beside ``train``: each runs the subject in another way, and writes a recording of its own.

A regime is a function in a file of its own; :data:`REGIMES` names them.
"""

from __future__ import annotations

from collections.abc import Callable

from lightning_conformance.recording.model import Recording
from lightning_conformance.recording.regimes import ladder, operations, overfit, own_data, repeat
from lightning_conformance.recording.regimes.base import DoesNotApply
from lightning_conformance.recording.setup import Setup

REGIMES: dict[str, Callable[[Setup, Recording], Recording]] = {
    "ladder": ladder.record,
    "operations": operations.record,
    "overfit": overfit.record,
    "own_data": own_data.record,
    "repeat": repeat.record,
}

__all__ = ["REGIMES", "DoesNotApply"]
