"""What watches a run. An instrument of :data:`INSTRUMENTS` watches every run of the ``train`` regime."""

from __future__ import annotations

from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.costly import CostlyWatch
from lightning_conformance.recording.instruments.devices import DeviceWatch
from lightning_conformance.recording.instruments.held import HeldWatch
from lightning_conformance.recording.instruments.prepared import PreparedWatch

INSTRUMENTS: tuple[type[Instrument], ...] = (DeviceWatch, HeldWatch, CostlyWatch, PreparedWatch)

__all__ = ["INSTRUMENTS", "Instrument", "Run"]
