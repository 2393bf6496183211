"""Where a tensor of an odd dtype comes from: the line that makes or casts it, an attribute, the batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from lightning_conformance.environments import Precision
from lightning_conformance.recording.events_precision import DtypesMet, OddTensor
from lightning_conformance.recording.instruments.base import Run
from lightning_conformance.recording.instruments.hidden import find_attribute_where, find_global_where
from lightning_conformance.recording.model import Place
from lightning_conformance.recording.places import user_functions

_CASTS = ("to", "float", "double", "half", "bfloat16", "type", "type_as")
# Of two operands that both could be changed, the one that its author can change.
_BLAMED: tuple[OddTensor, ...] = ("made", "cast", "attribute", "global", "buffer", "batch", "autocast", "layer")


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from, as in :class:`DtypesMet`."""

    kind: OddTensor
    name: str = ""
    place: Place | None = None


class DtypeTrail:
    """Follows the floating tensors of the steps that are not of the environment's dtype.

    Under autocast no dtype is odd in itself: there all floating tensors are followed.
    """

    def __init__(self, run: Run, environment: Precision) -> None:
        self._run, self._whole = run, environment.whole
        self._origins: Any = WeakIdKeyDictionary()
        self._told: set[tuple[str, Place | None]] = set()

    def meet_batch(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        """A batch was handed over: its tensors, with how each is reached."""
        for path, tensor in tensors:
            if tensor.is_floating_point():
                self._origins[tensor] = Origin("batch", path)

    def returned(self, name: str, given: list[torch.Tensor], results: list[torch.Tensor]) -> None:
        """A function was given floating tensors, and returned some."""
        for tensor in results:
            if tensor in self._origins or not self._is_odd(tensor):
                continue
            same = [each for each in given if each.dtype == tensor.dtype]
            origin = self._inherited(name, given, same) if same else self._made(name, given)
            if origin is not None:
                self._origins[tensor] = origin
            self._note_promotion(name, tensor, given)

    def refused(self, name: str, given: list[torch.Tensor], error: str) -> None:
        """A function raised an error: perhaps because of one of the dtypes."""
        odd = [tensor for tensor in given if self._is_odd(tensor)]
        if not odd or not (self._whole or len({tensor.dtype for tensor in given}) > 1):
            return
        wide = [tensor for tensor in odd if tensor.dtype == torch.float64]
        culprit = min(wide or odd, key=lambda tensor: self._blame(tensor))
        other = next((tensor for tensor in given if tensor.dtype != culprit.dtype), None)
        self._add(name, culprit, _name(other) if other is not None else self._whole, error)

    def _is_odd(self, tensor: torch.Tensor) -> bool:
        return _name(tensor) != self._whole

    def _inherited(self, name: str, given: list[torch.Tensor], same: list[torch.Tensor]) -> Origin | None:
        if self._whole:
            return self._origin(same[0])
        if _makes(name):
            return self._made(name, given)
        # Under autocast, what is computed from a tensor that was made and from a layer's output was not made.
        found = [self._origins.get(tensor) for tensor in given]
        return found[0] if all(found) else None

    def _made(self, name: str, given: list[torch.Tensor]) -> Origin:
        kind: OddTensor = "made" if _makes(name) or not given else "cast"
        if kind == "cast" and not self._whole and name not in _CASTS:
            kind = "autocast"
        return Origin(kind, name, self._run.places.here())

    def _origin(self, tensor: torch.Tensor) -> Origin:
        """Where a tensor comes from; what was not seen being made is looked for in the module."""
        known: Origin | None = self._origins.get(tensor)
        if known is None:
            known = self._origins[tensor] = _found(self._run.module, tensor)
        return known

    def _blame(self, tensor: torch.Tensor) -> int:
        kind = self._origin(tensor).kind
        return _BLAMED.index(kind) if kind in _BLAMED else len(_BLAMED)

    def _note_promotion(self, name: str, result: torch.Tensor, given: list[torch.Tensor]) -> None:
        """A constant of float64 makes float64 of what was computed with fewer bits."""
        if result.dtype != torch.float64 or not result.requires_grad or name in _CASTS:
            return
        learned = [tensor.dtype for tensor in given if tensor.requires_grad]
        constant = next((t for t in given if t.dtype == torch.float64 and t.dim() and not t.requires_grad), None)
        if constant is not None and learned and torch.float64 not in learned:
            self._add(name, constant, str(learned[0]).removeprefix("torch."), "")

    def _add(self, name: str, odd: torch.Tensor, other: str, error: str) -> None:
        tape, here, origin = self._run.tape, self._run.places.here(), self._origin(odd)
        if error or (name, here) not in self._told:
            self._told.add((name, here))
            what = (origin.kind, origin.name, origin.place)
            tape.add(DtypesMet(tape.now, name, _name(odd), other, error, *what, here))


def _found(module: Any, tensor: torch.Tensor) -> Origin:
    name, container = find_attribute_where(module, lambda other: other is tensor)
    if name:
        is_layer = container == "module" or "]." in name or isinstance(tensor, torch.nn.Parameter)
        return Origin("buffer" if container == "buffer" else "layer" if is_layer else "attribute", name)
    name = find_global_where(user_functions(module), lambda other: other is tensor)
    return Origin("global", name) if name else Origin("unknown")


def _makes(name: str) -> bool:
    """Whether a function takes no values from the tensors that it is given."""
    return name.endswith("_like") or name.startswith("new_")


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
