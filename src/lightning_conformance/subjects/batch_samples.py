"""Tells lists of samples from lists of other things, in the description of a concrete batch."""

from __future__ import annotations

from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    OpaqueSpec,
    RepeatSpec,
    TensorSpec,
    children,
    leaves,
    rebuilt,
    sizes,
)

MANY = 4  # fewer things are rather inputs side by side, or the batches of several loaders
IMAGE_CHANNELS = (1, 3)


def folded(root: Node) -> Node:
    """The same batch with each list of samples written as one sample, repeated.

    A list is one of samples if its items are alike and hold tensors, and its length is the batch size that
    the rest of the batch shows. Where there is no rest, sizes and number of the items must say so.
    """
    candidates = list(_candidates(root))
    outside = set(_sizes_outside(root))
    counts = {len(node.items) for node in candidates if _are_samples(node, outside)}
    return _folded(root, outside | counts) if counts else root


def merged(first: Node, other: Node) -> Node | None:
    """The node that stands for two alike, with the sizes of the first; None where they are not alike."""
    if isinstance(first, TensorSpec) and isinstance(other, TensorSpec):
        return _merged_tensors(first, other)
    if isinstance(first, LiteralSpec | OpaqueSpec):
        is_alike = type(first) is type(other) and _kind(first) == _kind(other)
        return first if is_alike else None
    if type(first) is not type(other) or _keys(first) != _keys(other):
        return None
    pairs = zip(children(first), children(other), strict=True)
    below = [merged(one, two) for one, two in pairs]
    if any(node is None for node in below):
        return None
    found = iter(below)
    return rebuilt(first, lambda child: next(found) or child)


def _merged_tensors(first: TensorSpec, other: TensorSpec) -> TensorSpec | None:
    if first.dtype != other.dtype or len(first.shape) != len(other.shape):
        return None
    form = first.form if first.form == other.form else None
    lows = [low for low in (first.low, other.low) if low is not None]
    highs = [high for high in (first.high, other.high) if high is not None]
    if first.whole != other.whole or len(lows) < 2 or len(highs) < 2:
        return replace(first, low=None, high=None, whole=False, form=form)
    return replace(first, low=min(lows), high=max(highs), form=form)


def _kind(node: Node) -> object:
    return type(node.value) if isinstance(node, LiteralSpec) else node


def _keys(node: Node) -> object:
    if isinstance(node, DictSpec | ObjectSpec):
        return [key for key, _ in node.items]
    return len(children(node))


def _sample(node: Node) -> Node | None:
    """What all items of a list are; None where it cannot be a list of samples."""
    if not isinstance(node, ListSpec) or len(node.items) < 2:
        return None
    sample: Node | None = node.items[0]
    for item in node.items[1:]:
        sample = sample and merged(sample, item)
    holds_tensors = sample is not None and any(isinstance(leaf, TensorSpec) for leaf in leaves(sample))
    return sample if holds_tensors else None


def _candidates(node: Node) -> list[ListSpec]:
    if isinstance(node, ListSpec) and _sample(node) is not None:
        return [node]
    return [found for child in children(node) for found in _candidates(child)]


def _sizes_outside(node: Node) -> list[int]:
    """The leading dimensions of the tensors that are in no list of like things."""
    if isinstance(node, TensorSpec):
        return [int(dim) for dim in node.shape[:1]]
    if _sample(node) is not None:
        return []
    return [size for child in children(node) for size in _sizes_outside(child)]


def _are_samples(node: ListSpec, outside: set[int]) -> bool:
    count, first = len(node.items), node.items[0]
    inside = {size for item in node.items for size in sizes(item)}
    if outside:
        # As long as the batch is, and not just a list of tensors that have this many rows themselves.
        return outside == {count} and not (isinstance(first, TensorSpec) and inside == outside)
    is_ragged = len(inside) != 1
    if isinstance(first, DictSpec | ObjectSpec):
        return is_ragged or count >= MANY
    if isinstance(first, TensorSpec):
        is_image = len(first.shape) == 3 and first.shape[0] in IMAGE_CHANNELS
        return count >= MANY and (is_ragged or is_image)
    return count >= MANY


def _folded(node: Node, known: set[int]) -> Node:
    sample = _sample(node)
    if isinstance(node, ListSpec) and sample is not None:
        return RepeatSpec(sample, len(node.items), node.name) if _are_samples(node, known) else node
    return rebuilt(node, lambda child: _folded(child, known))
