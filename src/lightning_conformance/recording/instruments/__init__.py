"""What watches a run. An instrument of :data:`INSTRUMENTS` watches every run of the ``train`` regime."""

from __future__ import annotations

from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.kept import KeptContainers
from lightning_conformance.recording.instruments.metric_objects import MetricObjects
from lightning_conformance.recording.instruments.monitors import Monitors
from lightning_conformance.recording.instruments.names import Names
from lightning_conformance.recording.instruments.seeding import Seeding

INSTRUMENTS: tuple[type[Instrument], ...] = (
    KeptContainers,
    MetricObjects,
    Monitors,
    Names,
    Seeding,
)

__all__ = ["INSTRUMENTS", "Instrument", "Run"]
