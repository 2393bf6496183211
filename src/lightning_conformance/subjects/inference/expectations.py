"""What a consumer (a layer, a loss, a metric) can expect of an operand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

Shape: TypeAlias = "tuple[int, ...]"
Kind = Literal["float", "int", "any"]

TIME = 7  # a prime, and no multiple of the batch size
SIDE = 32


@dataclass(frozen=True)
class Expectation:
    """What one operand has to be.

    Args:
        shapes: Whole shapes that would do, the most plausible first.
        accepts: Whether a shape will do.
        kind: Floats or whole numbers.
        low: Smallest value, None for any.
        high: First whole number too large, or largest float; None for any.
        whole: Floats that stand for classes.
        weak: Whether only a leaf that is not known yet has to meet it, shape for shape.
        sequence: Whether a rank without a time dimension is as plausible as one with it.
        index: Whether it chooses among the rows of something else.
    """

    shapes: tuple[Shape, ...]
    accepts: Callable[[Shape], bool]
    kind: Kind = "float"
    low: float | None = None
    high: float | None = None
    whole: bool = False
    weak: bool = False
    sequence: bool = False
    index: bool = False

    def is_met_by(self, tensor: torch.Tensor) -> bool:
        """Whether shape, kind and range of a concrete operand will do."""
        if not self.accepts(tuple(tensor.shape)) or not self._kind_fits(tensor.dtype):
            return False
        if self.low is None or self.high is None or not tensor.numel() or tensor.dtype.is_complex:
            return True
        low, high = float(tensor.min()), float(tensor.max())
        is_whole = not tensor.dtype.is_floating_point
        return low >= self.low and (high < self.high if is_whole or self.whole else high <= self.high)

    def _kind_fits(self, dtype: torch.dtype) -> bool:
        if self.kind == "any":
            return True
        return dtype.is_floating_point if self.kind == "float" else not dtype.is_floating_point


Found: TypeAlias = "list[tuple[torch.Tensor, Expectation]]"


@dataclass(frozen=True)
class Context:
    """What a rule may know beside the arguments.

    Args:
        batch: The batch size of the search.
        is_unknown: Whether a tensor was made from a leaf that is not known yet.
        has_leaf: Whether a tensor was made from any leaf.
        classes: How many classes an operand that came out of an ``argmax`` ranges over.
    """

    batch: int
    is_unknown: Callable[[torch.Tensor], bool]
    has_leaf: Callable[[torch.Tensor], bool]
    classes: Callable[[torch.Tensor], int | None]


def exactly(shape: Shape, **more: Any) -> Expectation:
    """One shape and no other."""
    return Expectation((shape,), lambda s: s == shape, **more)
