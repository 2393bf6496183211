"""The regimes beside ``train``: each runs the subject in another way, and writes a recording of its own.

A regime is a file here with a function ``record(setup, blank)``; its name is the file's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from lightning_conformance.recording.model import Recording
from lightning_conformance.recording.regimes.base import DoesNotApply
from lightning_conformance.recording.setup import Setup

_MODULES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]

REGIMES: dict[str, Callable[[Setup, Recording], Recording]] = {
    module.__name__.rpartition(".")[2]: module.record for module in _MODULES if hasattr(module, "record")
}

__all__ = ["REGIMES", "DoesNotApply"]
