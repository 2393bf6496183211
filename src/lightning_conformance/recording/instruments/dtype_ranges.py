"""What does not fit into a low precision: results that overflow, numbers that are rounded to 0 or 1."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

import torch

from lightning_conformance.recording.events_precision import NumberRounded, Overflowed, RefusedUnderAutocast
from lightning_conformance.recording.instruments.base import Run
from lightning_conformance.recording.model import Place
from lightning_conformance.subjects.batch_spec import tensors_of

_REFUSED_BY_CUDA = ("binary_cross_entropy",)
_LOW = (torch.bfloat16, torch.float16)
_NOT_COMPUTED = ("empty_like", "new_empty", "resize")
_BORDERS = ("clamp", "clip", "clamp_min", "clamp_max")
_ADDING = ("add", "radd", "sub", "rsub", "iadd", "maximum")


class RangeWatch:
    """Looks at what each function of a step returned."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._told: set[tuple[type, Place | None]] = set()

    def returned(
        self, name: str, func: Any, args: Any, kwargs: Any, given: list[torch.Tensor], results: list[torch.Tensor]
    ) -> None:
        """A function was given floating tensors, and returned some."""
        if name in _REFUSED_BY_CUDA and given and _is_under_autocast(given[0]) and not self._switches_autocast():
            self._add(RefusedUnderAutocast, name)
        low = next((tensor for tensor in (*given, *results) if tensor.dtype in _LOW), None)
        if low is None:
            return
        dtype = str(low.dtype).removeprefix("torch.")
        for number in _numbers(name, args, kwargs):
            rounded = float(torch.tensor(number, dtype=low.dtype))
            if rounded != number and rounded in (0.0, 1.0):
                self._add(NumberRounded, name, number, rounded, dtype)
        is_in_place = any(result is tensor for result in results for tensor in given)
        if is_in_place or not given or name in _NOT_COMPUTED:
            return
        if not all(map(_is_finite, results)) and all(map(_is_finite, given)):
            largest = _largest_in_float32(func, args, kwargs, low.device.type)
            if largest is not None:
                self._add(Overflowed, name, dtype, largest)

    def optimizers(self, optimizers: Iterable[Any]) -> None:
        """The epsilon that an optimizer adds to a denominator, in the dtype of its parameters."""
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                epsilon, dtype = group.get("eps"), next((p.dtype for p in group["params"]), None)
                if isinstance(epsilon, float) and epsilon and dtype in _LOW and not torch.tensor(epsilon, dtype=dtype):
                    kind = str(dtype).removeprefix("torch.")
                    self._add(NumberRounded, type(optimizer).__name__, epsilon, 0.0, kind, True)

    def _add(self, event: Any, *said: Any) -> None:
        here, tape = self._run.places.here(), self._run.tape
        if (event, here) not in self._told:
            self._told.add((event, here))
            tape.add(event(tape.now, *said, place=here))

    def _switches_autocast(self) -> bool:
        """Whether the user's running functions choose themselves where autocast is on."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if self._run.places.is_own(frame.f_code.co_filename) and "autocast" in frame.f_code.co_names:
                return True
            frame = frame.f_back
        return False


def _is_under_autocast(tensor: torch.Tensor) -> bool:
    kind = tensor.device.type
    try:
        return torch.is_autocast_enabled(kind)
    except TypeError:  # torch before 2.4
        return torch.is_autocast_cpu_enabled() if kind == "cpu" else torch.is_autocast_enabled()


def _numbers(name: str, args: Any, kwargs: Any) -> Iterator[float]:
    """The numbers that a function adds to a tensor, or keeps it between."""
    if name in _BORDERS or name in _ADDING:
        given = (*args[1:], *(value for key, value in kwargs.items() if key in ("min", "max", "other")))
        yield from (value for value in given if isinstance(value, float))


def _is_finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())


def _largest_in_float32(func: Any, args: Any, kwargs: Any, kind: str) -> float | None:
    """The largest magnitude that a function gives where it computes in float32; None where that is not finite."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), torch.autocast(kind, enabled=False):
        result = func(*map(_wide, args), **{key: _wide(value) for key, value in kwargs.items()})
    found = [tensor.float() for tensor in tensors_of(result) if tensor.is_floating_point()]
    if not found or not all(map(_is_finite, found)):
        return None
    return max(float(tensor.abs().max()) for tensor in found if tensor.numel())


def _wide(value: Any) -> Any:
    """A value, with tensors of low precision as float32."""
    if isinstance(value, torch.Tensor):
        return value.detach().float() if value.dtype in _LOW else value.detach()
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_wide, value))
    return torch.float32 if isinstance(value, torch.dtype) and value in _LOW else value
