"""Describes a concrete batch by the nodes of a spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch

from lightning_conformance.subjects.batch_classes import constructible_from
from lightning_conformance.subjects.batch_nodes import (
    DTYPE_NAMES,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    TensorSpec,
    TupleSpec,
)
from lightning_conformance.subjects.batch_objects import BatchObject

FEW_VALUES = 8  # below this, what holds of all values may hold by chance
FEW_LENGTHS = 5  # below this, they may be sorted by chance


def node_of(value: Any, with_ranges: bool = True) -> Node:
    """The node that describes ``value``: a tensor, a container, a literal, or whatever else by its type.

    Args:
        value: What to describe.
        with_ranges: Whether to look at the values, too, and not at the shapes alone.
    """
    below = partial(node_of, with_ranges=with_ranges)
    if isinstance(value, torch.Tensor):
        return _tensor_node(value, with_ranges)
    if value is None or type(value) in (bool, int, float, str):
        return LiteralSpec(value)
    if isinstance(value, Mapping):
        return DictSpec(tuple((_key_of(key), below(item)) for key, item in value.items()))
    fields = fields_of(value)
    if fields is not None:
        items = tuple((name, below(item)) for name, item in fields)
        cls = type(value) if constructible_from(type(value), dict(items)) else None
        return ObjectSpec(type(value).__name__, items, cls=cls)
    if isinstance(value, tuple):
        return TupleSpec(tuple(map(below, value)))
    if isinstance(value, list):
        return ListSpec(tuple(map(below, value)))
    return OpaqueSpec(type(value).__name__)


def _key_of(key: Any) -> str | int:
    return key if type(key) in (str, int) else str(key)


def fields_of(value: Any) -> list[tuple[str, Any]] | None:
    """The public attributes of a named tuple, a dataclass, or a plain object that holds tensors."""
    if isinstance(value, BatchObject):
        return value.items()
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        return None if names is None else list(zip(names, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    found = [(k, v) for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("_")]
    return found if any(isinstance(item, torch.Tensor) for _, item in found) else None


def _tensor_node(tensor: torch.Tensor, with_ranges: bool) -> Node:
    dtype = DTYPE_NAMES.get(tensor.dtype)
    if dtype is None:
        return OpaqueSpec(str(tensor.dtype))
    spec = TensorSpec(tuple(tensor.shape), dtype)
    is_looked_at = with_ranges and tensor.numel() and not tensor.is_meta and not tensor.dtype.is_complex
    return _with_values(spec, tensor.detach()) if is_looked_at else spec


def _with_values(spec: TensorSpec, tensor: torch.Tensor) -> TensorSpec:
    """The spec with the range and the form that the values show."""
    if tensor.dtype == torch.bool:
        return replace(spec, form=_form_of_mask(tensor))
    low, high = float(tensor.min()), float(tensor.max())
    if not tensor.dtype.is_floating_point:
        return _with_whole_numbers(spec, tensor, int(low), int(high))
    if low < 0 or high > 1:
        return spec
    if low < high and bool(((tensor == 0) | (tensor == 1)).all()):
        return replace(spec, low=0, high=2, whole=True, form=_form_of_mask(tensor))
    if tensor.numel() < FEW_VALUES:
        return spec
    return replace(spec, form="simplex") if _sums_to_one(tensor) else replace(spec, low=0.0, high=1.0)


def _with_whole_numbers(spec: TensorSpec, tensor: torch.Tensor, low: int, high: int) -> TensorSpec:
    if _are_lengths(tensor, low):
        return replace(spec, low=low, high=high + 1, form="falling")
    form = _form_of_mask(tensor) if (low, high) == (0, 1) else None
    return replace(spec, low=min(low, 0), high=high + 1, form=form)


def _are_lengths(tensor: torch.Tensor, low: int) -> bool:
    """Whether they are positive, and sorted as packed sequences need it, which few numbers may be by chance."""
    is_column = tensor.dim() == 1 and len(tensor) >= FEW_LENGTHS and low > 0
    return is_column and bool((tensor[1:] <= tensor[:-1]).all() and tensor[0] > tensor[-1])


def _form_of_mask(tensor: torch.Tensor) -> Literal["prefix", "suffix"] | None:
    """Whether the ones come first in each row of a mask, or the zeros do, and not all rows are full of them."""
    if tensor.dim() < 2 or tensor.shape[-1] < 2 or tensor.numel() < FEW_VALUES:
        return None
    rows = tensor.to(torch.int8).flatten(0, -2)
    if len(rows) < 2 or bool((rows == rows[0, 0]).all()):
        return None
    if bool((rows[:, 0] == 1).all() and (rows[:, 1:] <= rows[:, :-1]).all()):
        return "prefix"
    is_suffix = bool((rows[:, 0] == 0).all() and (rows[:, 1:] >= rows[:, :-1]).all())
    return "suffix" if is_suffix else None


def _sums_to_one(tensor: torch.Tensor) -> bool:
    if tensor.dim() < 2 or tensor.shape[-1] < 2:
        return False
    sums = tensor.double().sum(dim=-1)
    return bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-2 if tensor.element_size() == 2 else 1e-4))
