"""Turn live tensors into plain facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from lightning_conformance.recording.model import Gradient, TensorFacts


def tensor_facts(tensor: torch.Tensor) -> TensorFacts:
    """Facts of a loss tensor of any shape."""
    with torch.no_grad():
        value = tensor.detach()
        finite = bool(torch.isfinite(value).all())
        number = _number(value) if value.numel() == 1 else None
    return TensorFacts(
        tuple(tensor.shape),
        str(tensor.dtype).removeprefix("torch."),
        tensor.requires_grad,
        tensor.is_leaf,
        finite,
        number,
    )


def _number(value: torch.Tensor) -> float:
    number = value.item()
    return abs(number) if isinstance(number, complex) else float(number)


def fingerprint(tensor: torch.Tensor) -> bytes | None:
    """A digest of a tensor's exact values; None where it has none yet (lazy, meta)."""
    if is_lazy(tensor) or tensor.is_meta:
        return None
    data = tensor.detach()
    if data.layout != torch.strided:
        data = data.to_dense()
    flat = data.cpu().contiguous().reshape(-1)
    if flat.dtype.is_complex:
        flat = torch.view_as_real(flat.resolve_conj()).reshape(-1)
    return hashlib.blake2b(flat.view(torch.uint8).numpy().tobytes(), digest_size=12).digest()


def gradient_norm(parameter: torch.Tensor) -> float | None:
    """The norm of a parameter's gradient; None where it has none."""
    if is_lazy(parameter) or parameter.grad is None:
        return None
    gradient = parameter.grad.detach()
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return float(gradient.abs().double().norm()) if gradient.numel() else 0.0


def grade(norm: float | None) -> Gradient:
    """``none``, ``zero`` or ``nonzero`` (a gradient that is nan is not zero)."""
    if norm is None:
        return "none"
    return "zero" if norm == 0.0 else "nonzero"


class Graph:
    """The autograd graph behind a tensor: its nodes, and the leaves that it would send gradients to."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.nodes: set[Any] = set()
        self.leaves: dict[int, torch.Tensor] = {}
        if tensor.grad_fn is None:
            if tensor.requires_grad:
                self.leaves[id(tensor)] = tensor
            return
        for node in _walk(tensor.grad_fn, self.nodes):
            leaf = getattr(node, "variable", None)
            if isinstance(leaf, torch.Tensor):
                self.leaves[id(leaf)] = leaf

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor was made inside this graph."""
        return tensor.grad_fn in self.nodes if tensor.grad_fn is not None else id(tensor) in self.leaves


def _walk(root: Any, seen: set[Any]) -> Iterator[Any]:
    stack = [root]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(function for function, _ in node.next_functions)
