"""What watches a run: each subclass of `Instrument` that has none itself watches every `train` run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from lightning_conformance.recording.instruments.base import Instrument, Run

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def _leaves(cls: type[Instrument]) -> Iterator[type[Instrument]]:
    """The subclasses that nobody subclasses further."""
    below = cls.__subclasses__()
    for each in below:
        yield from _leaves(each)
    if not below:
        yield cls


INSTRUMENTS: tuple[type[Instrument], ...] = tuple(sorted(_leaves(Instrument), key=lambda cls: cls.__module__))

__all__ = ["INSTRUMENTS", "Instrument", "Run"]
