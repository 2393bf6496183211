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
    children,
    is_symbolic,
    joined,
    leaves,
    map_tensors,
    named,
    rebuilt,
    sizes,
)
from lightning_conformance.subjects.batch_samples import folded
from lightning_conformance.subjects.batch_tokens import with_size
from lightning_conformance.subjects.batch_values import build

__all__ = [
    "BATCH_SYMBOL",
    "DEFAULT_BATCH_SIZE",
    "BatchSizeSpec",
    "BatchSpec",
    "DictSpec",
    "ListSpec",
    "LiteralSpec",
    "Node",
    "ObjectSpec",
    "OpaqueSpec",
    "RepeatSpec",
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
        """Whether some dimension, number of samples or range is written ``B``."""
        return is_symbolic(self.root)

    @property
    def batch_size(self) -> int | None:
        """The size of the batch dimension: ``B``, or else the leading dimension that all tensors share.

        A list of samples counts as a tensor that has as many rows as the list has samples.

        Returns:
            None where the tensors' leading dimensions disagree, or no tensor has one.
        """
        if self.is_symbolic:
            return self.default_size
        found = set(sizes(self.root))
        return int(found.pop()) if len(found) == 1 else None

    def symbolic(self) -> BatchSpec:
        """The same spec with its batch dimension written ``B``; unchanged where it has none."""
        size = self.batch_size
        if self.is_symbolic or size is None or size < 1:
            return self
        return BatchSpec(_lead_with_symbol(self.root), size)

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
        return build(spec.root, size, source)

    def __str__(self) -> str:
        root = self.root
        many = isinstance(root, TupleSpec) and len(root.items) > 1 and root.name is None
        text = joined(root.items) if many and isinstance(root, TupleSpec) else named(root)
        if self.default_size == DEFAULT_BATCH_SIZE or not self.is_symbolic:
            return text
        return with_size(text, self.default_size)


def _lead_with_symbol(node: Node) -> Node:
    if isinstance(node, TensorSpec):
        return replace(node, shape=(BATCH_SYMBOL, *node.shape[1:])) if node.shape else node
    if isinstance(node, RepeatSpec):
        return replace(node, count=BATCH_SYMBOL)
    return rebuilt(node, _lead_with_symbol)


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
    return BatchSpec(folded(node_of(batch)))


def describe(batch: Any) -> str:
    """The notation of ``spec_of(batch)``; for what cannot be described, the type's name. Never raises."""
    try:
        return str(spec_of(batch))
    except Exception:
        return OpaqueSpec(type(batch).__name__).body()


def batch_size_of(batch: Any) -> int | None:
    """The leading dimension that all tensors of a batch share; None where they disagree or have none.

    A list of samples counts as a tensor that has as many rows as the list has samples.
    """
    return BatchSpec(_structure(batch)).batch_size


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
        return _slice(batch, _structure(batch), size, whole)
    except Exception:
        return None


def _structure(batch: Any) -> Node:
    return folded(node_of(batch, with_ranges=False))


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


def _slice(value: Any, node: Node, size: int, whole: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value[:size] if value.dim() else value
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if _is_column(value, whole) or isinstance(node, RepeatSpec):
        return value[:size]
    below = iter(children(node))
    return _rebuilt(value, lambda item: _slice(item, next(below), size, whole))


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
