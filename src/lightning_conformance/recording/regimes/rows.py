"""Whether the output for one sample depends on the others: ``forward``, with one sample replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lightning_conformance.recording.events_batches import SampleReplaced
from lightning_conformance.recording.model import Moment, Place
from lightning_conformance.recording.places import Places

_DEPTH = 4
_TOLERANCE = 1e-3
_CHANGED, _OTHER = 0, -1


class ForwardCalls:
    """Remembers with what the module's ``forward`` was called last in training; and each of its networks, directly."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._calls: dict[str, Any] = {}
        networks = [(name, child) for name, child in module.named_children() if any(True for _ in child.parameters())]
        self._watched = dict([("", module), *networks])
        self._handles = [
            watched.register_forward_pre_hook(partial(self._note, name), with_kwargs=True)
            for name, watched in self._watched.items()
        ]

    def _note(self, name: str, watched: Any, args: Any, kwargs: Any) -> None:
        if watched.training and (not name or "" not in self._calls):
            self._calls[name] = _mapped((args, kwargs), lambda tensor: tensor.detach().clone())

    def compare(self, n: int, places: Places, at: Moment) -> SampleReplaced:
        """Run each on the batch of ``n`` samples, and again with one of them replaced; the most telling result."""
        for handle in self._handles:
            handle.remove()
        if "" in self._calls:
            self._calls = {"": self._calls[""]}
        seen = [self._compared(name, n, places, at) for name in self._calls]
        nothing = SampleReplaced(at, why_not="the training step calls neither forward nor a network of its own")
        return max(seen, key=lambda each: (each.changed, not each.why_not), default=nothing)

    def _compared(self, name: str, n: int, places: Places, at: Moment) -> SampleReplaced:
        call, what = self._calls[name], name or "forward"
        tensors = list(_tensors(call))
        if n < 3:
            return SampleReplaced(at, why_not="a batch has fewer than three samples")
        if not any(n in tensor.shape for tensor in tensors):
            return SampleReplaced(at, why_not=f"{what} is not given the samples of the batch")
        if any(list(tensor.shape).count(n) > 1 for tensor in tensors):
            return SampleReplaced(at, why_not=f"{what} is given relations between the samples of the batch")
        other = _mapped(call, lambda tensor: _with_sample_replaced(tensor.clone(), n))
        try:
            first, again, second = (self._run(name, each, n, places) for each in (call, call, other))
        except Exception as error:
            return SampleReplaced(at, why_not=f"{what} does not run in evaluation mode: {type(error).__name__}")
        return replace(_compared(first, again, second, n, at), network=name)

    def _run(self, name: str, call: Any, n: int, places: Places) -> tuple[list[torch.Tensor], _Results]:
        args, kwargs = _mapped(call, torch.Tensor.clone)
        torch.manual_seed(0)
        self._module.eval()
        results = _Results(n, places)
        with torch.no_grad(), results:
            output = self._watched[name](*args, **kwargs)
        return list(_tensors(output)), results


class _Results(TorchFunctionMode):
    """What each operation gave, for the samples that are not replaced."""

    def __init__(self, n: int, places: Places) -> None:
        super().__init__()
        self._n, self._places = n, places
        self.seen: list[tuple[str, Place | None, torch.Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, and keep what it gave."""
        result = func(*args, **(kwargs or {}))
        with suppress(Exception):
            for tensor in _tensors(result):
                rows = _other_rows(tensor, self._n)
                if rows is not None:
                    self.seen.append((getattr(func, "__name__", "").strip("_"), self._places.here(), rows.clone()))
        return result


def _compared(first: Any, again: Any, second: Any, n: int, at: Moment) -> SampleReplaced:
    changed, largest, compared = set[int](), 0.0, 0
    for one, same, other in zip(first[0], again[0], second[0], strict=False):
        rows, repeated, replaced = (_other_rows(tensor, n) for tensor in (one, same, other))
        if rows is None or repeated is None or replaced is None:
            continue
        if rows.shape != replaced.shape or not rows.is_floating_point():
            continue
        if _difference(rows, repeated).max() > 0:
            return SampleReplaced(at, why_not="forward gives another output for the same batch")
        compared += 1
        differences = _difference(rows, replaced).flatten(1).amax(1)
        largest = max(largest, float(differences.max()))
        changed |= {index for index, value in enumerate(differences.tolist()) if value > _TOLERANCE}
    if not compared:
        return SampleReplaced(at, why_not="the output of forward has no dimension for the samples of the batch")
    operation, place = _first_difference(first[1], second[1]) if changed else ("", None)
    return SampleReplaced(at, n - 1, len(changed), largest, operation, place)


def _difference(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    scale = one.abs().mean().clamp_min(1e-6)
    return ((one - other).abs() / scale).nan_to_num(0.0).reshape(one.shape[0], -1)


def _first_difference(first: _Results, second: _Results) -> tuple[str, Place | None]:
    for (name, place, one), (other_name, _, other) in zip(first.seen, second.seen, strict=False):
        if name != other_name or one.shape != other.shape:
            break
        if one.is_floating_point() and float(_difference(one, other).max()) > _TOLERANCE / 10:
            return name, place
    return "", None


def _batch_dim(tensor: torch.Tensor, n: int) -> int | None:
    shape = list(tensor.shape)
    return shape.index(n) if shape.count(n) == 1 else None


def _other_rows(tensor: torch.Tensor, n: int) -> torch.Tensor | None:
    """The samples that are not replaced, first dimension first; None where the tensor has none, or it is unclear."""
    dim = _batch_dim(tensor, n)
    return None if dim is None else tensor.detach().movedim(dim, 0)[1:]


def _with_sample_replaced(tensor: torch.Tensor, n: int) -> torch.Tensor:
    dim = _batch_dim(tensor, n)
    if dim is not None:
        moved = tensor.movedim(dim, 0)
        moved[_CHANGED] = moved[_OTHER].clone()
    return tensor


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor], depth: int = 0) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) is dict and depth < _DEPTH:
        return {key: _mapped(item, change, depth + 1) for key, item in value.items()}
    if type(value) in (list, tuple) and depth < _DEPTH:
        return type(value)(_mapped(item, change, depth + 1) for item in value)
    return value


def _tensors(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping) and depth < _DEPTH:
        for item in value.values():
            yield from _tensors(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < _DEPTH:
        for item in value:
            yield from _tensors(item, depth + 1)
