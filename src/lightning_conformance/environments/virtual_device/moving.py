"""Moves between the two sides, as copies: both are the CPU, where torch would hand back the tensor itself."""

from __future__ import annotations

from typing import Any

import torch

from lightning_conformance.environments.virtual_device.sides import Marks, Side


class _Across(torch.autograd.Function):
    """Copies a tensor to a side; its gradient goes back to the side where the tensor was."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, marks: Marks, side: Side) -> torch.Tensor:
        ctx.marks, ctx.side = marks, marks.of(tensor).side
        return _copy(tensor, marks, side)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return _Across.apply(gradients[0], ctx.marks, ctx.side), None, None  # type: ignore[no-untyped-call]


def move(tensor: torch.Tensor, marks: Marks, side: Side) -> torch.Tensor:
    """The tensor on a side: itself where it is there, or where the side is not known, else a copy."""
    before = marks.of(tensor).side
    if before is side:
        return tensor
    if side is Side.UNKNOWN:
        if before is Side.HOST:
            marks.put(tensor, Side.UNKNOWN)
        return tensor
    if tensor.requires_grad and torch.is_grad_enabled() and not _is_transformed():
        moved: torch.Tensor = _Across.apply(tensor, marks, side)  # type: ignore[no-untyped-call]
        return moved
    return _copy(tensor, marks, side)


def _copy(tensor: torch.Tensor, marks: Marks, side: Side) -> torch.Tensor:
    copy = tensor.clone()
    marks.put(copy, side)
    return copy


def _is_transformed() -> bool:
    """Whether ``torch.func`` is at work: its transforms take only functions of torch's own."""
    peek = getattr(torch._C._functorch, "peek_interpreter_stack", None)
    return peek is not None and peek() is not None
