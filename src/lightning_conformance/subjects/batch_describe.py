"""Describes a concrete batch by the nodes of a spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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

FEW_VALUES = 8  # below this, floats that all lie in 0..1 may do so by chance


def node_of(value: Any) -> Node:
    """The node that describes ``value``: a tensor, a container, a literal, or whatever else by its type."""
    if isinstance(value, torch.Tensor):
        return _tensor_node(value)
    if value is None or type(value) in (bool, int, float, str):
        return LiteralSpec(value)
    if isinstance(value, Mapping):
        return DictSpec(tuple((_key_of(key), node_of(item)) for key, item in value.items()))
    fields = fields_of(value)
    if fields is not None:
        items = tuple((name, node_of(item)) for name, item in fields)
        cls = type(value) if constructible_from(type(value), dict(items)) else None
        return ObjectSpec(type(value).__name__, items, cls=cls)
    if isinstance(value, tuple):
        return TupleSpec(tuple(map(node_of, value)))
    if isinstance(value, list):
        return ListSpec(tuple(map(node_of, value)))
    return OpaqueSpec(type(value).__name__)


def _key_of(key: Any) -> str | int:
    return key if type(key) in (str, int) else str(key)


def fields_of(value: Any) -> list[tuple[str, Any]] | None:
    """The public attributes of a named tuple, a dataclass, or a plain object that holds tensors."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        return None if names is None else list(zip(names, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    found = [(k, v) for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("_")]
    return found if any(isinstance(item, torch.Tensor) for _, item in found) else None


def _tensor_node(tensor: torch.Tensor) -> Node:
    dtype = DTYPE_NAMES.get(tensor.dtype)
    if dtype is None:
        return OpaqueSpec(str(tensor.dtype))
    return TensorSpec(tuple(tensor.shape), dtype, **_observed_range(tensor.detach()))


def _observed_range(tensor: torch.Tensor) -> dict[str, Any]:
    if not tensor.numel() or tensor.is_meta or tensor.dtype.is_complex or tensor.dtype == torch.bool:
        return {}
    low, high = float(tensor.min()), float(tensor.max())
    if not tensor.dtype.is_floating_point:
        return {"low": int(min(low, 0)), "high": int(high) + 1}
    if low < 0 or high > 1:
        return {}
    if low < high and bool(((tensor == 0) | (tensor == 1)).all()):
        return {"low": 0, "high": 2, "whole": True}
    return {"low": 0.0, "high": 1.0} if tensor.numel() >= FEW_VALUES else {}
