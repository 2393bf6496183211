"""What watches a run. Each subclass of :class:`Instrument` in a file here watches every run of the ``train`` regime."""

from __future__ import annotations

import importlib
import pkgutil

from lightning_conformance.recording.instruments.base import Instrument, Run

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

INSTRUMENTS: tuple[type[Instrument], ...] = tuple(sorted(Instrument.__subclasses__(), key=lambda cls: cls.__module__))

__all__ = ["INSTRUMENTS", "Instrument", "Run"]
