"""Calls, in hooks that run for each batch, of what is slow or belongs into another hook."""

from __future__ import annotations

import builtins
import copy
import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader

from lightning_conformance.recording.events_state import CostlyCall
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.patching import wrapped

_WATCHED = (
    (torch.cuda, "empty_cache", "torch.cuda.empty_cache"),
    (torch.cuda, "synchronize", "torch.cuda.synchronize"),
    (gc, "collect", "gc.collect"),
    (DataLoader, "__init__", "DataLoader"),
    (torch, "save", "torch.save"),
    (torch, "load", "torch.load"),
    (copy, "deepcopy", "copy.deepcopy"),
    (time, "sleep", "time.sleep"),
    (builtins, "print", "print"),
)
_ANOMALY = "torch.autograd.set_detect_anomaly"
_PER_BATCH = {
    "training_step",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "optimizer_step",
}


class CostlyWatch(Instrument):
    """Writes down the user's calls of a few functions, batch by batch."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        run.tape.listeners.append(self._hook)

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        if begins and name == "training_step" and torch.is_anomaly_enabled():
            self.run.tape.add(CostlyCall(self.run.tape.now, _ANOMALY))

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
            if run.tape.stage == "train" and run.tape.hook in _PER_BATCH and is_large:
                place = run.places.here()
                if place is not None:
                    run.tape.add(CostlyCall(run.tape.now, name, place))
            return original(*args, **kwargs)

        return around
