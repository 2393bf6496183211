"""Draws the values of a batch from its nodes."""

from __future__ import annotations

from typing import Any

import torch

from lightning_conformance.errors import UsageError
from lightning_conformance.subjects.batch_forms import DRAWN, ordered
from lightning_conformance.subjects.batch_nodes import (
    BatchSizeSpec,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    RepeatSpec,
    TensorSpec,
    TupleSpec,
    UnknownSpec,
)
from lightning_conformance.subjects.batch_objects import make_object


def draw_tensor(spec: TensorSpec, generator: torch.Generator) -> torch.Tensor:
    """A tensor of the spec's shape, dtype, range and form on the CPU, its values determined by ``generator``.

    Floats without a range are standard normal. Whole numbers come in equal shares, in random order,
    so that every value occurs where there is room for it; where there is none, the largest does.
    """
    shape = tuple(int(dim) for dim in spec.shape)
    if spec.form in DRAWN and shape:
        return DRAWN[spec.form](spec, shape, generator).to(spec.torch_dtype)
    values = _values(spec, shape, generator)
    return ordered(values, spec) if spec.form and shape else values


def _values(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if spec.is_whole:
        return _whole_numbers(spec, shape, generator).to(spec.torch_dtype)
    if spec.low is None or spec.high is None:
        normal = torch.complex64 if spec.torch_dtype.is_complex else torch.float32
        return torch.randn(shape, generator=generator, dtype=normal).to(spec.torch_dtype)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (spec.low + values * (spec.high - spec.low)).to(spec.torch_dtype)


def build(node: Node, size: int, generator: torch.Generator) -> Any:
    """The concrete containers of ``node``, with values drawn for each tensor, left to right.

    Args:
        node: What to make.
        size: The batch size.
        generator: Determines the values.

    Raises:
        UsageError: An object that cannot be generated.
    """
    if isinstance(node, TensorSpec):
        return draw_tensor(node.with_batch_size(size), generator)
    if isinstance(node, LiteralSpec | BatchSizeSpec):
        return node.value if isinstance(node, LiteralSpec) else size
    if isinstance(node, OpaqueSpec | UnknownSpec):
        raise UsageError(
            f"the batch spec holds {node.body()}, and an object of that type cannot be generated from a spec",
            "Give the batch as a function that returns it: --lightning-batch path/to/file.py:function",
        )
    return _container(node, size, generator)


def _container(
    node: TupleSpec | ListSpec | RepeatSpec | DictSpec | ObjectSpec, size: int, generator: torch.Generator
) -> Any:
    if isinstance(node, RepeatSpec):
        count = size if node.count == "B" else node.count
        return [build(node.item, size, generator) for _ in range(count)]
    if isinstance(node, DictSpec):
        return {key: build(item, size, generator) for key, item in node.items}
    if isinstance(node, ObjectSpec):
        values = {key: build(item, size, generator) for key, item in node.items}
        return node.cls(**values) if node.cls else make_object(node.type_name, values)
    items = [build(item, size, generator) for item in node.items]
    return items if isinstance(node, ListSpec) else tuple(items)


def _whole_numbers(spec: TensorSpec, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    low, high = whole_range(spec)
    count, span = torch.Size(shape).numel(), high - low
    if count < span:
        values = torch.randint(low, high, (count,), generator=generator)
        if count > 1 or (count and spec.form == "falling"):
            values[int(torch.randint(count, (1,), generator=generator))] = high - 1
        return values.reshape(shape)
    start = torch.randint(span, (1,), generator=generator)
    values = (torch.randperm(count, generator=generator) + start) % span + low
    return values.reshape(shape)


def whole_range(spec: TensorSpec) -> tuple[int, int]:
    """First value, and first value beyond the last, of a tensor of whole numbers."""
    default = 256 if spec.dtype == "uint8" else 2
    return int(spec.low or 0), int(default if spec.high is None else spec.high)
