"""Calls inside ``training_step`` of what is slow, or belongs into another hook."""

from __future__ import annotations

import builtins
import copy
import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader

from lightning_conformance.recording.events_state import CostlyCall
from lightning_conformance.recording.instruments.base import Instrument
from lightning_conformance.recording.instruments.patching import wrapped

_WATCHED = (
    (torch.cuda, "empty_cache", "torch.cuda.empty_cache"),
    (torch.cuda, "synchronize", "torch.cuda.synchronize"),
    (gc, "collect", "gc.collect"),
    (DataLoader, "__init__", "DataLoader"),
    (torch, "save", "torch.save"),
    (torch, "load", "torch.load"),
    (copy, "deepcopy", "copy.deepcopy"),
    (builtins, "print", "print"),
)


class CostlyWatch(Instrument):
    """Writes down calls of a few functions while ``training_step`` runs."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends."""
        with ExitStack() as stack:
            for owner, attribute, name in _WATCHED:
                stack.enter_context(wrapped(owner, attribute, self._noting(name)))
            yield

    def _noting(self, name: str) -> Any:
        run = self.run

        def around(original: Any, *args: Any, **kwargs: Any) -> Any:
            is_large = name != "copy.deepcopy" or (args and isinstance(args[0], torch.nn.Module))
            if run.tape.in_training_step and is_large and run.tape.hook == "training_step":
                run.tape.add(CostlyCall(run.tape.now, name, run.places.here()))
            return original(*args, **kwargs)

        return around
