"""Train with each torch operation of ``training_step`` under watch, on the same batches in both epochs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import DataLoader

from lightning_conformance.recording.events_operations import BatchChanged, GraphKept, GraphsAlive
from lightning_conformance.recording.facts import Graph, fingerprint
from lightning_conformance.recording.instruments.operations import OperationMode
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import Place, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import folder, plain_fit
from lightning_conformance.recording.setup import Setup
from lightning_conformance.recording.tape import Tape
from lightning_conformance.subjects.sources import MadeBatches, identity
from lightning_conformance.subjects.validating import WithValidation


def record(setup: Setup, blank: Recording) -> Recording:
    """One fit as in training; where the kit makes the batches, both epochs get the same tensors."""
    steady = _Steady(setup.subject, setup.environment, setup.source, setup.plan, setup.settled)
    module = steady.build()
    tape, places = Tape(), Places(source_files(module))
    watch = _Watch(tape, places, steady.given, own_data=not steady.is_made)
    with folder() as where, wrapped(torch.autograd, "backward", watch.around_backward):
        callback = _callback(setup.package, watch)
        run = plain_fit(steady, where, module=module, callbacks=[callback])
        watch.end()
        del run
    return replace(blank, tape=tuple(tape.events))


@dataclass(frozen=True)
class _Steady(Setup):
    """Feeds the very same training batches in each epoch, where the kit made them.

    Args:
        given: The values of their tensors, by ``id``.
    """

    given: dict[int, bytes | None] = field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        """Whether the kit makes the training batches."""
        source = self.source.training if isinstance(self.source, WithValidation) else self.source
        return isinstance(source, MadeBatches)

    def fit_arguments(self, module: Any) -> dict[str, Any]:
        """The usual ones, with a training loader over a list of batches."""
        arguments = super().fit_arguments(module)
        if self.is_made and "train_dataloaders" in arguments:
            batches: Any = list(arguments["train_dataloaders"])
            for tensor in (tensor for _, tensor in _parts("batch", batches)):
                self.given[id(tensor)] = fingerprint(tensor)
            arguments["train_dataloaders"] = DataLoader(batches, batch_size=None, collate_fn=identity)
        return arguments


class _Box:
    """Holds a tensor that a backward pass will need; the graph alone refers to it."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class _Watch:
    """What is seen of one fit."""

    def __init__(self, tape: Tape, places: Places, given: dict[int, bytes | None], own_data: bool) -> None:
        self.tape, self._places, self._given, self._own_data = tape, places, given, own_data
        self._mode = OperationMode(tape, places)
        self._boxes: list[weakref.WeakSet[_Box]] = []
        self._changed: set[bytes | None] = set()
        self._kept: list[tuple[str, set[Any], Place | None]] = []
        self._depth = 0

    def step(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        """Run ``training_step`` under watch."""
        parts = dict(_parts("batch", (*args, *kwargs.values())[:1]))
        before = {path: fingerprint(tensor) for path, tensor in parts.items()}
        for path, tensor in parts.items():
            if self._given.get(id(tensor), before[path]) != before[path]:
                self.tape.add(BatchChanged(self.tape.now, path, False, self.tape.epoch > 0, before_step=True))
        boxes: weakref.WeakSet[_Box] = weakref.WeakSet()
        self._boxes.append(boxes)

        def pack(tensor: torch.Tensor) -> _Box:
            # Detached: an operation's own result would refer to the graph that refers to the box.
            box = _Box(tensor.detach())
            boxes.add(box)
            return box

        self._mode.begin(parts)
        self.tape.in_training_step = True
        returned = None
        try:
            with saved_tensors_hooks(pack, _unpack), self._mode:
                returned = original(*args, **kwargs)
        finally:
            self.tape.in_training_step = False
            self._mode.end(returned.get("loss") if isinstance(returned, dict) else returned)
        self._note_changes(parts, before)
        return returned

    def _note_changes(self, parts: dict[str, torch.Tensor], before: dict[str, bytes | None]) -> None:
        for path, tensor in parts.items():
            after = fingerprint(tensor)
            if id(tensor) in self._given:
                self._given[id(tensor)] = after
            if after != before[path]:
                lasting = before[path] in self._changed
                self._changed.add(after)
                place = self._mode.changes.get(path)
                self.tape.add(BatchChanged(self.tape.now, path, self._own_data, lasting, place=place))

    def around_backward(self, original: Any, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        """Note whether a pass keeps its graph, and whether it uses one that was kept."""
        if self._depth:
            return original(tensors, *args, **kwargs)
        tensor = tensors if isinstance(tensors, torch.Tensor) else next(iter(tensors), None)
        nodes = Graph(tensor).nodes if isinstance(tensor, torch.Tensor) else set()
        self._use_again(nodes)
        create = bool(kwargs.get("create_graph") or (len(args) > 2 and args[2]))
        if create or kwargs.get("retain_graph") or (len(args) > 1 and args[1]):
            option = "create_graph" if create else "retain_graph"
            self._kept.append((option, nodes, self._places.here()))
        self._depth += 1
        try:
            return original(tensors, *args, **kwargs)
        finally:
            self._depth -= 1

    def _use_again(self, nodes: set[Any]) -> None:
        for option, kept, place in self._kept:
            if kept & nodes:
                self.tape.add(GraphKept(self.tape.now, option, True, place))
        self._kept = [each for each in self._kept if not each[1] & nodes]

    def batch_ends(self) -> None:
        """A batch is over: count what is still there."""
        for option, _, place in self._kept:
            self.tape.add(GraphKept(self.tape.now, option, False, place))
        self._kept = []
        self.tape.add(GraphsAlive(self.tape.now, tuple(map(len, self._boxes))))

    def end(self) -> None:
        """The fit is over: what only waits for the garbage collector is let go first."""
        if any(len(boxes) for boxes in self._boxes):
            gc.collect()
        self.tape.stage = "end"
        self.tape.add(GraphsAlive(self.tape.now, tuple(map(len, self._boxes))))


def _unpack(box: _Box) -> torch.Tensor:
    return box.tensor


def _parts(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of the arguments of a step, the batch being the first."""
    if isinstance(value, torch.Tensor):
        if not value.is_inference():
            yield path, value
    elif isinstance(value, dict) and depth < 5:
        for key, item in value.items():
            yield from _parts(f"{path}[{key!r}]", item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 5:
        for index, item in enumerate(value):
            # The first is the tuple of a step's arguments.
            yield from _parts(f"{path}[{index}]" if depth else path, item, depth + 1)


def _callback(package: Any, watch: _Watch) -> Any:
    class Progress(package.Callback):  # type: ignore[misc]
        def on_fit_start(self, trainer: Any, module: Any) -> None:
            strategy = trainer.strategy
            original = strategy.training_step
            strategy.training_step = lambda *args, **kwargs: watch.step(original, *args, **kwargs)

        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any) -> None:
            tape = watch.tape
            tape.stage, tape.epoch, tape.batch = "train", int(trainer.current_epoch), int(batch_idx)

        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            watch.batch_ends()

    return Progress()
