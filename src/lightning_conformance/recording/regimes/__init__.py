"""The regimes beside ``train``: each runs the subject in another way, and writes a recording of its own.

A regime is a function in a file of its own; :data:`REGIMES` names them.
"""

from __future__ import annotations

from collections.abc import Callable

from lightning_conformance.recording.model import Recording
from lightning_conformance.recording.regimes import repeat
from lightning_conformance.recording.regimes.base import DoesNotApply
from lightning_conformance.recording.setup import Setup

REGIMES: dict[str, Callable[[Setup, Recording], Recording]] = {
    "repeat": repeat.record,
}

__all__ = ["REGIMES", "DoesNotApply"]
