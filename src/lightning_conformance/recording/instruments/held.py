"""What the module keeps in its attributes from batch to batch: containers, and tensors with a graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from lightning_conformance.recording.events_state import EarlierGraphReached, Held, ReturnedForLogger
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.places import assignments

_CONTAINERS = (list, dict, set, deque, tuple)
_LIGHTNINGS = frozenset({"_parameters", "_modules", "_buffers", "_non_persistent_buffers_set", "_trainer", "_fabric"})
_FRAMEWORKS = ("torch", "lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics")
# A container is judged by its newest items; a graph is followed so far.
_NEWEST = 64
_NODES = 4000


class HeldWatch(Instrument):
    """Looks at the attributes of the module after each batch."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._places = assignments(run.module)
        self._left: dict[int, str] = {}
        self._given: set[int] = set()

    def callback(self) -> Any:
        """Looks when a batch is over."""
        watch = self

        class Look(self.run.package.Callback):  # type: ignore[misc, name-defined]
            def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
                watch.look()

            def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
                watch.look()

        return Look()

    def look(self) -> None:
        """Write down what the attributes hold."""
        self._left = {}
        for path, value in attributes(self.run.module):
            where = self.run.tape.now.where
            self._left |= {id(t): "" if id(t) in self._given else where for t in _with_graph(value)}
            event = self._describe(path, value)
            if event is not None:
                self.run.tape.add(event)

    def begin(self, trainer: Any) -> None:
        """Watch what the loss of each step depends on."""
        kept = (tensor for _, value in attributes(self.run.module) for tensor in _with_graph(value))
        self._given = {id(tensor) for tensor in kept}
        strategy = trainer.strategy
        step = strategy.training_step

        def training_step(*args: Any, **kwargs: Any) -> Any:
            kept = self._kept() if self._left else []
            returned = step(*args, **kwargs)
            self._note_returned(returned)
            if kept:
                self._note_earlier(returned, kept)
            return returned

        strategy.training_step = training_step

    def _note_returned(self, returned: Any) -> None:
        for key in ("log", "progress_bar") if isinstance(returned, dict) else ():
            values = returned.get(key)
            if isinstance(values, dict) and values:
                self.run.tape.add(ReturnedForLogger(self.run.tape.now, key, tuple(map(str, values))))

    def _kept(self) -> list[tuple[str, str, Any]]:
        """The attributes that hold a graph since an earlier batch: path, batch, and the graph's node."""
        return [
            (path, self._left[id(tensor)], tensor.grad_fn)
            for path, value in attributes(self.run.module)
            for tensor in _with_graph(value)
            if id(tensor) in self._left
        ]

    def _note_earlier(self, returned: Any, kept: list[tuple[str, str, Any]]) -> None:
        loss = returned.get("loss") if isinstance(returned, dict) else returned
        if not isinstance(loss, torch.Tensor) or loss.grad_fn is None:
            return
        nodes, told = _nodes(loss.grad_fn), set()
        for path, batch, node in kept:
            if node in nodes and path not in told:
                told.add(path)
                self.run.tape.add(
                    EarlierGraphReached(self.run.tape.now, path, batch, self._places.get(_attribute(path)))
                )

    def _describe(self, path: str, value: Any) -> Held | None:
        now, place = self.run.tape.now, self._places.get(_attribute(path))
        if isinstance(value, torch.Tensor):
            if value.grad_fn is None:
                return None
            return Held(
                now, path, type(value).__name__, 1, None, 1, 1, len(_nodes(value.grad_fn)), value.numel(), place
            )
        if not value:
            return None
        items = list(_newest(value))
        graphs = [tensor for item in items for tensor in islice(_with_graph(item), 1)]
        tensors = sum(any(True for _ in _tensors(item)) for item in items)
        bound = value.maxlen if isinstance(value, deque) else None
        nodes = len(_nodes(graphs[-1].grad_fn)) if graphs else 0
        elements = graphs[-1].numel() if graphs else 0
        return Held(now, path, type(value).__name__, len(value), bound, tensors, len(graphs), nodes, elements, place)


def attributes(module: Any) -> Iterator[tuple[str, Any]]:
    """The containers and tensors among the plain attributes of a module, and of the user's modules inside it.

    Only what stands in an object's ``__dict__`` is looked at: nothing of the user's runs.
    """
    for prefix, submodule in module.named_modules():
        if prefix and type(submodule).__module__.partition(".")[0] in _FRAMEWORKS:
            continue
        owner = f"self.{prefix}." if prefix else "self."
        for name, value in list(vars(submodule).items()):
            if name not in _LIGHTNINGS and not _is_lightnings(name, value):
                yield from _containers(f"{owner}{name}", value, 0)
        for name, buffer in submodule._buffers.items():
            if isinstance(buffer, torch.Tensor) and buffer.grad_fn is not None:
                yield f"{owner}{name}", buffer


def _is_lightnings(name: str, value: Any) -> bool:
    """Hooks of torch's modules, hyperparameters and the like: empty, or not the user's to fill."""
    return name.startswith("_") and (
        name.endswith(("_hooks", "_hooks_with_kwargs", "_always_called")) or "hparams" in name
    )


def _containers(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if type(value) in _CONTAINERS or isinstance(value, torch.Tensor):
        yield path, value
        if isinstance(value, dict) and depth < 2 and len(value) <= _NEWEST:
            for key, item in list(value.items()):
                if type(item) in _CONTAINERS:
                    yield from _containers(f"{path}[{key!r}]" if isinstance(key, str) else path, item, depth + 1)


def _attribute(path: str) -> str:
    return path.removeprefix("self.").partition("[")[0].rpartition(".")[2]


def _newest(value: Collection[Any]) -> Iterator[Any]:
    """The last items of a container (of a dict its values)."""
    items: Collection[Any] = list(value.values()) if isinstance(value, Mapping) else value
    skipped = max(0, len(items) - _NEWEST)
    return islice(iter(items), skipped, None)


def _tensors(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif type(value) in _CONTAINERS and depth < 3:
        for item in _newest(value):
            yield from _tensors(item, depth + 1)


def _with_graph(value: Any) -> Iterator[torch.Tensor]:
    return (tensor for tensor in _tensors(value) if tensor.grad_fn is not None)


def _nodes(root: Any) -> set[Any]:
    seen: set[Any] = set()
    stack = [root]
    while stack and len(seen) < _NODES:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(function for function, _ in node.next_functions)
    return seen
