"""Values that stand in a relation to each other: sorted ones, masks, probabilities, boxes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lightning_conformance.subjects.batch_nodes import Form, TensorSpec

BOXES_WITHIN = 32  # where no range is given


def ordered(values: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    """The values sorted along the last dimension."""
    return values.sort(dim=-1, descending=spec.form == "falling").values


def prefix(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Ones, then zeros: at least a one in each row, one row full and, where there is room, one that is not."""
    rows, width = torch.Size(shape[:-1]).numel(), shape[-1]
    if not rows * width:
        return torch.zeros(shape)
    lengths = torch.randint(1, width + 1, (rows,), generator=generator)
    chosen = torch.randperm(rows, generator=generator)
    if len(shape) > 1:
        lengths[chosen[0]] = width
    if rows > 1 and width > 1:
        lengths[chosen[1]] = torch.randint(1, width, (1,), generator=generator)[0]
    return (torch.arange(width) < lengths[:, None]).reshape(shape)


def suffix(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Zeros, then ones: what a prefix leaves out."""
    return prefix(spec, shape, generator) == 0


def simplex(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Positive fractions that sum to one along the last dimension."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).softmax(dim=-1)


def boxes(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Corners (x1, y1, x2, y2) with x1 < x2 and y1 < y2, within the range."""
    low = 0.0 if spec.low is None else spec.low
    high = BOXES_WITHIN if spec.high is None else spec.high - spec.is_whole
    near = torch.rand((*shape[:-1], 2), generator=generator, dtype=torch.float64) * 0.7
    part = torch.rand((*shape[:-1], 2), generator=generator, dtype=torch.float64) * 0.9 + 0.1
    corners = [low + near * (high - low), low + (near + part * (1 - near)) * (high - low)]
    if spec.is_whole:
        corners[0] = corners[0].floor()
        corners[1] = torch.maximum(corners[0] + 1, corners[1].floor())
    return torch.cat(corners, dim=-1)


DRAWN: dict[Form | None, Callable[[TensorSpec, tuple[int, ...], torch.Generator], torch.Tensor]] = {
    "prefix": prefix,
    "suffix": suffix,
    "simplex": simplex,
    "boxes": boxes,
}
