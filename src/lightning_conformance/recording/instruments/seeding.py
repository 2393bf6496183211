"""Calls that seed a global random number generator while a hook is running."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.recording.events_logging import Reseeded
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.patching import wrapped


class Seeding(Instrument):
    """Watches the functions that seed, and those that put a state back."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._open: list[int] = []

    def watching(self) -> AbstractContextManager[Any]:
        """Wrap the functions."""
        return self._patched()

    @contextmanager
    def _patched(self) -> Iterator[None]:
        numpy = sys.modules.get("numpy")
        seeds = [(torch, "torch.manual_seed"), (torch.random, "torch.manual_seed"), (random, "random.seed")]
        states = [torch, torch.random]
        with ExitStack() as stack:
            for owner, name in seeds:
                stack.enter_context(wrapped(owner, name.rpartition(".")[2], self._seeding(name)))
            if numpy is not None:
                stack.enter_context(wrapped(numpy.random, "seed", self._seeding("numpy.random.seed")))
            for owner in states:
                stack.enter_context(wrapped(owner, "set_rng_state", self._restoring))
            self.run.tape.listeners.append(self._hook)
            stack.callback(self.run.tape.listeners.remove, self._hook)
            yield

    def _seeding(self, function: str) -> Callable[..., Any]:
        def around(original: Any, *args: Any, **kwargs: Any) -> Any:
            tape = self.run.tape
            place = self.run.places.here() if tape.hook else None
            if place is not None:
                self._open.append(len(tape.events))
                seed = next(iter((*args, *kwargs.values())), "")
                tape.add(Reseeded(tape.now, function, str(seed), False, place))
            return original(*args, **kwargs)

        return around

    def _restoring(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        events = self.run.tape.events
        for index in self._open:
            event = events[index]
            if isinstance(event, Reseeded):
                events[index] = replace(event, restored=True)
        self._open.clear()
        return original(*args, **kwargs)

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        self._open.clear()
