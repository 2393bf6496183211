"""Draws the values of a batch from its nodes."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from lightning_conformance.errors import UsageError
from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    TensorSpec,
    UnknownSpec,
)


def draw_tensor(spec: TensorSpec, generator: torch.Generator) -> torch.Tensor:
    """A tensor of the spec's shape, dtype and range on the CPU, its values determined by ``generator``.

    Floats without a range are standard normal. Whole numbers come in equal shares, in random order,
    so that every value occurs where there is room for it.
    """
    shape = tuple(int(dim) for dim in spec.shape)
    if spec.is_whole:
        return _whole_numbers(spec, shape, generator).to(spec.torch_dtype)
    if spec.low is None or spec.high is None:
        normal = torch.complex64 if spec.torch_dtype.is_complex else torch.float32
        return torch.randn(shape, generator=generator, dtype=normal).to(spec.torch_dtype)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (spec.low + values * (spec.high - spec.low)).to(spec.torch_dtype)


def build(node: Node, draw: Callable[[TensorSpec], Any]) -> Any:
    """The concrete containers of ``node``, with ``draw`` called for each tensor, left to right.

    Raises:
        UsageError: An object that cannot be generated.
    """
    if isinstance(node, TensorSpec):
        return draw(node)
    if isinstance(node, LiteralSpec):
        return node.value
    if isinstance(node, OpaqueSpec | UnknownSpec):
        raise UsageError(
            f"the batch spec holds {node.body()}, and an object of that type cannot be generated from a spec",
            "Give the batch as a function that returns it: --lightning-batch path/to/file.py:function",
        )
    if isinstance(node, DictSpec):
        return {key: build(item, draw) for key, item in node.items}
    if isinstance(node, ObjectSpec):
        values = {key: build(item, draw) for key, item in node.items}
        return (node.cls or _named_tuple(node.type_name, tuple(values)))(**values)
    items = [build(item, draw) for item in node.items]
    return items if isinstance(node, ListSpec) else tuple(items)


@lru_cache
def _named_tuple(type_name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(type_name, fields)


def _whole_numbers(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    low, high = whole_range(spec)
    count, span = torch.Size(shape).numel(), high - low
    if count < span:
        values = torch.randint(low, high, (count,), generator=generator)
        return values.reshape(shape)
    start = torch.randint(span, (1,), generator=generator)
    values = (torch.randperm(count, generator=generator) + start) % span + low
    return values.reshape(shape)


def whole_range(spec: TensorSpec) -> tuple[int, int]:
    """First value, and first value beyond the last, of a tensor of whole numbers."""
    default = 256 if spec.dtype == "uint8" else 2
    return int(spec.low or 0), int(default if spec.high is None else spec.high)
