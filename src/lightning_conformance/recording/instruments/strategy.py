"""The Trainer's strategy calls ``training_step``, ``backward`` and ``optimizer_step``: watch it there.

The module itself stays as its author wrote it, so that copying, pickling or inspecting it is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lightning_conformance.recording.facts import Graph, tensor_facts
from lightning_conformance.recording.instruments.backward import BackwardWatch
from lightning_conformance.recording.instruments.parameters import ParameterWatch
from lightning_conformance.recording.model import StepRan
from lightning_conformance.recording.tape import Tape


def watch_strategy(strategy: Any, tape: Tape, parameters: ParameterWatch, backward: BackwardWatch) -> None:
    """Watch a Trainer's strategy; it lives as long as its Trainer, so nothing is undone."""
    step, back, update = strategy.training_step, strategy.backward, strategy.optimizer_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        parameters.note_trainable()
        tape.in_training_step = True
        graph = None
        try:
            returned = step(*args, **kwargs)
            event, graph = _describe(returned, tape, parameters)
            tape.add(event)
        finally:
            tape.in_training_step = False
            backward.step_returned(graph)
        return returned

    def backward_pass(*args: Any, **kwargs: Any) -> Any:
        with _counting(tape, "lightning_backward"):
            return back(*args, **kwargs)

    def optimizer_step(*args: Any, **kwargs: Any) -> Any:
        with _counting(tape, "lightning_step"):
            return update(*args, **kwargs)

    strategy.training_step = training_step
    strategy.backward = backward_pass
    strategy.optimizer_step = optimizer_step


@contextmanager
def _counting(tape: Tape, name: str) -> Iterator[None]:
    setattr(tape, name, getattr(tape, name) + 1)
    try:
        yield
    finally:
        setattr(tape, name, getattr(tape, name) - 1)


def _describe(returned: Any, tape: Tape, parameters: ParameterWatch) -> tuple[StepRan, Graph | None]:
    loss = returned.get("loss") if isinstance(returned, dict) else returned
    keys = tuple(map(str, returned)) if isinstance(returned, dict) else ()
    kind = _kind(returned)
    if not isinstance(loss, torch.Tensor):
        loss_type = "" if loss is None else type(loss).__name__
        return StepRan(tape.now, kind, keys, None, loss_type, batch_size=tape.batch_size), None
    graph, names = Graph(loss), parameters.names()
    reached = tuple(names[key] for key in graph.leaves if key in names)
    return (
        StepRan(
            tape.now,
            kind,
            keys,
            tensor_facts(loss),
            "Tensor",
            reached,
            tape.batch_size,
        ),
        graph,
    )


def _kind(returned: Any) -> str:
    if returned is None:
        return "none"
    if isinstance(returned, torch.Tensor):
        return "tensor"
    return "dict" if isinstance(returned, dict) else type(returned).__name__
