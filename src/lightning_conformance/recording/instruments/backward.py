"""Backward passes: who asked for them, and what they differentiate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.recording.facts import Graph, tensor_facts
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import BackwardRan
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.tape import Tape


class BackwardWatch:
    """Writes each outermost backward pass on the tape.

    Args:
        before: Called when a pass starts.
        after: Called with the graph that was differentiated when a pass is over.
    """

    def __init__(self, tape: Tape, places: Places, before: Callable[[], None], after: Callable[[Graph], None]) -> None:
        self._tape, self._places, self._before, self._after = tape, places, before, after
        self._depth = 0
        self._in_step: list[tuple[int, torch.Tensor]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends."""
        with wrapped(torch.autograd, "backward", self._around):
            yield

    def _around(self, original: Any, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if self._depth:
            return original(tensors, *args, **kwargs)
        self._before()
        tensor = tensors if isinstance(tensors, torch.Tensor) else next(iter(tensors), None)
        graph = self._note(tensor) if isinstance(tensor, torch.Tensor) else None
        self._depth += 1
        try:
            result = original(tensors, *args, **kwargs)
        finally:
            self._depth -= 1
        if graph is not None:
            self._after(graph)
        return result

    def _note(self, tensor: torch.Tensor) -> Graph:
        tape = self._tape
        through_lightning = tape.lightning_backward > 0 or tape.hook == "backward"
        place = self._places.here() if tape.in_training_step or not through_lightning else None
        event = BackwardRan(tape.now, through_lightning, tape.in_training_step, tensor_facts(tensor), place=place)
        tape.add(event)
        if tape.in_training_step and tensor.grad_fn is not None:
            self._in_step.append((len(tape.events) - 1, tensor))
        return Graph(tensor)

    def step_returned(self, graph: Graph | None) -> None:
        """``training_step`` is over: say which of its own backward passes belong to the loss that it returned."""
        for index, tensor in self._in_step:
            event = self._tape.events[index]
            if graph is not None and graph.holds(tensor) and isinstance(event, BackwardRan):
                self._tape.events[index] = replace(event, of_returned_loss=True)
        self._in_step.clear()
