"""Batch specs: read one, describe a concrete batch by one, take a concrete batch apart by samples."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from lightning_conformance.subjects.batch_describe import fields_of, node_of
from lightning_conformance.subjects.batch_grammar import parse
from lightning_conformance.subjects.batch_nodes import (
    BATCH_SYMBOL,
    DEFAULT_BATCH_SIZE,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    TensorSpec,
    TupleSpec,
    joined,
    leaves,
    map_tensors,
    named,
)
from lightning_conformance.subjects.batch_values import build, draw_tensor

__all__ = [
    "BATCH_SYMBOL",
    "DEFAULT_BATCH_SIZE",
    "BatchSpec",
    "DictSpec",
    "ListSpec",
    "LiteralSpec",
    "Node",
    "ObjectSpec",
    "OpaqueSpec",
    "TensorSpec",
    "TupleSpec",
    "batch_size_of",
    "describe",
    "map_tensors",
    "parse_batch_spec",
    "slice_batch",
    "spec_of",
    "tensors_of",
]


@dataclass(frozen=True)
class BatchSpec:
    """The structure of one batch.

    Args:
        root: The outermost node.
        default_size: What ``B`` stands for where no other batch size is asked for.
    """

    root: Node
    default_size: int = DEFAULT_BATCH_SIZE

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors of the batch, left to right."""
        return tuple(leaf for leaf in leaves(self.root) if isinstance(leaf, TensorSpec))

    @property
    def is_symbolic(self) -> bool:
        """Whether some dimension is written ``B``."""
        return any(BATCH_SYMBOL in tensor.shape for tensor in self.tensors)

    @property
    def batch_size(self) -> int | None:
        """The size of the batch dimension: ``B``, or else the leading dimension that all tensors share.

        Returns:
            None where the tensors' leading dimensions disagree, or no tensor has one.
        """
        if self.is_symbolic:
            return self.default_size
        sizes = {tensor.shape[0] for tensor in self.tensors if tensor.shape}
        return int(sizes.pop()) if len(sizes) == 1 else None

    def symbolic(self) -> BatchSpec:
        """The same spec with its batch dimension written ``B``; unchanged where it has none."""
        size = self.batch_size
        if self.is_symbolic or size is None or size < 1:
            return self
        return BatchSpec(map_tensors(self.root, _lead_with_symbol), size)

    def generate(self, batch_size: int | None = None, generator: torch.Generator | None = None) -> Any:
        """A concrete batch on the CPU.

        Args:
            batch_size: Samples in the batch; replaces the spec's own batch dimension wherever it
                stands, and does nothing in a spec that has none.
            generator: Determines the values; each call draws new ones. None draws from torch's own.

        Raises:
            UsageError: The spec holds an object that cannot be generated.
        """
        spec = self.symbolic()
        size = spec.default_size if batch_size is None else batch_size
        source = torch.default_generator if generator is None else generator
        return build(spec.root, lambda tensor: draw_tensor(tensor.with_batch_size(size), source))

    def __str__(self) -> str:
        root = self.root
        many = isinstance(root, TupleSpec) and len(root.items) > 1 and root.name is None
        text = joined(root.items) if many and isinstance(root, TupleSpec) else named(root)
        if self.default_size == DEFAULT_BATCH_SIZE or not self.is_symbolic:
            return text
        first = next(i for i, char in enumerate(text) if char == "B" and _is_dimension(text, i))
        return f"{text[:first]}B={self.default_size}{text[first + 1 :]}"


def _is_dimension(text: str, index: int) -> bool:
    return text[index - 1] in "[," and text[index + 1] in ",]"


def _lead_with_symbol(tensor: TensorSpec) -> TensorSpec:
    return replace(tensor, shape=("B", *tensor.shape[1:])) if tensor.shape else tensor


def parse_batch_spec(text: str) -> BatchSpec:
    """Read a batch spec.

    Args:
        text: The notation, for example ``x: float[8,10], y: int[8]<2``.

    Raises:
        UsageError: With the position, what was expected there, and a correct example.
    """
    root, size = parse(text)
    return BatchSpec(root, size)


class _CannotSlice(Exception):
    """A part of the batch has samples that cannot be told apart."""


def spec_of(batch: Any) -> BatchSpec:
    """The spec that describes a concrete batch: shapes, dtypes, the observed range of whole numbers."""
    return BatchSpec(node_of(batch))


def describe(batch: Any) -> str:
    """The notation of ``spec_of(batch)``; for what cannot be described, the type's name. Never raises."""
    try:
        return str(spec_of(batch))
    except Exception:
        return OpaqueSpec(type(batch).__name__).body()


def batch_size_of(batch: Any) -> int | None:
    """The leading dimension that all tensors of a batch share; None where they disagree or have none."""
    sizes = {len(tensor) for tensor in tensors_of(batch) if tensor.dim()}
    return sizes.pop() if len(sizes) == 1 else None


def slice_batch(batch: Any, size: int) -> Any | None:
    """The first ``size`` samples of a batch, in the batch's own containers.

    Lists of non-tensors as long as the batch (texts, file names) are cut too.

    Returns:
        None where the tensors do not share a leading dimension, where it is smaller than ``size``, or
        where the batch holds an object whose samples cannot be told apart.
    """
    whole = batch_size_of(batch)
    if whole is None or not 0 < size <= whole:
        return None
    try:
        return _slice(batch, size, whole)
    except Exception:
        return None


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of a concrete batch, left to right."""
    if isinstance(value, torch.Tensor):
        yield value
        return
    for item in _items(value):
        yield from tensors_of(item)


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    fields = fields_of(value)
    if fields is not None:
        return [item for _, item in fields]
    return list(value) if isinstance(value, list | tuple) else []


def _slice(value: Any, size: int, whole: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value[:size] if value.dim() else value
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if _is_column(value, whole):
        return value[:size]
    return _rebuilt(value, lambda item: _slice(item, size, whole))


def _is_column(value: Any, whole: int) -> bool:
    """Whether a list holds one text or number a sample."""
    is_list = isinstance(value, list | tuple) and len(value) == whole
    return is_list and all(isinstance(item, str | bytes | int | float) for item in value)


def _rebuilt(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same container with ``function`` applied to what it holds."""
    if isinstance(value, Mapping):
        return _rebuilt_mapping(value, function)
    if hasattr(value, "_fields") and isinstance(value, tuple):
        return type(value)(*map(function, value))
    if isinstance(value, list | tuple):
        return type(value)(map(function, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = copy.copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(changed, field.name, function(getattr(value, field.name)))
        return changed
    raise _CannotSlice(type(value).__name__)


def _rebuilt_mapping(value: Mapping[Any, Any], function: Callable[[Any], Any]) -> Any:
    items = {key: function(item) for key, item in value.items()}
    if type(value) is dict:
        return items
    changed: Any = copy.copy(value)
    for key, item in items.items():
        changed[key] = item
    return changed
