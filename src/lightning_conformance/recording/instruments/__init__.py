"""What watches a run. An instrument of :data:`INSTRUMENTS` watches every run of the ``train`` regime."""

from __future__ import annotations

from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.devices import DeviceWatch

INSTRUMENTS: tuple[type[Instrument], ...] = (DeviceWatch,)

__all__ = ["INSTRUMENTS", "Instrument", "Run"]
