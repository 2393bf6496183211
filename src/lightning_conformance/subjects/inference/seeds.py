"""What is known of a batch before the search: a partly known tree, and the module's example inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    TensorSpec,
    TupleSpec,
    UnknownSpec,
    children,
    leaves,
)
from lightning_conformance.subjects.inference.drafts import Draft, Key

FILLER = 8  # stands for a dimension that is not known, where a whole tensor is wanted


def drafts_of(seed: Node | None, batch: int) -> list[Draft]:
    """What a search may start from, the most hopeful first.

    First with stand-ins for what is not known in full, so that the module's own operations say the rest; then
    with whole tensors, for modules that check their batch against its annotation when they run.
    """
    if seed is None:
        return []
    late, whole = (_draft(_bare(seed), batch, whole=is_whole) for is_whole in (False, True))
    return [late] if late == whole else [late, whole]


def _bare(node: Node) -> Node:
    """A copy without the fields that may be left out: the search adds them where they are missed."""
    if isinstance(node, TupleSpec | ListSpec):
        return replace(node, items=tuple(map(_bare, node.items)))
    if isinstance(node, DictSpec | ObjectSpec):
        kept = [(k, _bare(item)) for k, item in node.items if not (isinstance(item, UnknownSpec) and item.optional)]
        return replace(node, items=tuple(kept))  # type: ignore[arg-type]
    return node


def _draft(node: Node, batch: int, whole: bool, name: str | None = None) -> Draft:
    name = node.name or name
    if isinstance(node, TensorSpec | UnknownSpec):
        return _tensor_draft(node, batch, whole, name)
    if isinstance(node, LiteralSpec):
        return Draft("literal", literal=node, name=name)
    if isinstance(node, TupleSpec | ListSpec):
        items = tuple((i, _draft(item, batch, whole)) for i, item in enumerate(node.items))
        return Draft("tuple", items, name=name)
    if isinstance(node, DictSpec | ObjectSpec):
        pairs: tuple[tuple[Key, Draft], ...] = tuple(
            (key, _draft(item, batch, whole, str(key))) for key, item in node.items
        )
        if isinstance(node, ObjectSpec):
            return Draft("object", pairs, name=name, cls=node.cls, optional=frozenset(_defaulted(node)))
        return Draft("dict", pairs, name=name)
    return Draft(name=name)


def _defaulted(node: ObjectSpec) -> set[Key]:
    """The fields of a known class that are left to their defaults."""
    if node.cls is None:
        return set()
    fields = getattr(node.cls, "_fields", None) or [f.name for f in dataclasses.fields(node.cls) if f.init]
    return set(fields) - {name for name, _ in node.items}


def _tensor_draft(node: TensorSpec | UnknownSpec, batch: int, whole: bool, name: str | None) -> Draft:
    if isinstance(node, UnknownSpec) and not node.tensor:
        return Draft(name=name)
    if isinstance(node, UnknownSpec) and node.shape is None:
        return Draft("tensor", name=name)
    assert node.shape is not None
    known = isinstance(node, TensorSpec) and (not node.is_whole or node.dtype in ("bool", "uint8") or node.high)
    if not (known or whole or not node.shape):
        return Draft("tensor", rank=len(node.shape), name=name)
    shape = tuple(batch if dim == "B" else FILLER if dim is None else dim for dim in node.shape)
    spec = node if isinstance(node, TensorSpec) else TensorSpec(shape, node.dtype or "float")
    return Draft("tensor", spec=replace(spec, shape=shape, name=None), name=name)


def draft_of(seed: Node, name: str | None = None) -> Draft:
    """The draft of a partly known tree, with stand-ins for what is not known in full."""
    return _draft(_bare(seed), 0, whole=False, name=name)


def reconciled(found: Node, seed: Node) -> Node:
    """``found``, with the dimensions and dtypes that ``seed`` knows of the tensors in the same places."""
    if isinstance(found, TensorSpec) and isinstance(seed, TensorSpec | UnknownSpec):
        return _agreed(found, seed)
    if isinstance(found, TupleSpec | ListSpec) and len(children(found)) == len(children(seed)):
        pairs = zip(found.items, children(seed), strict=True)
        return replace(found, items=tuple(reconciled(item, known) for item, known in pairs))
    if isinstance(found, DictSpec | ObjectSpec) and isinstance(seed, DictSpec | ObjectSpec):
        known = dict[str | int, Node](seed.items)
        items = tuple((key, reconciled(item, known[key]) if key in known else item) for key, item in found.items)
        return replace(found, items=items)  # type: ignore[arg-type]
    return found


def _agreed(found: TensorSpec, seed: TensorSpec | UnknownSpec) -> TensorSpec:
    shape = found.shape
    if seed.shape is not None and len(seed.shape) == len(found.shape):
        shape = tuple(old if new is None else new for old, new in zip(found.shape, seed.shape, strict=True))
    if seed.dtype is None or seed.dtype == found.dtype:
        return replace(found, shape=shape)
    was_whole, becomes = found.is_whole, TensorSpec(shape, seed.dtype, name=found.name)
    ranged = was_whole and becomes.is_whole and becomes.dtype != "bool"
    return replace(becomes, low=found.low, high=found.high) if ranged else becomes


class Examples:
    """The inputs that are known (``example_input_array``, the annotations of ``forward``), as leaves of a batch.

    Args:
        node: One tensor, a tuple in the order of ``forward``'s arguments, or a dict of arguments by name.
    """

    def __init__(self, node: Node | None) -> None:
        self._named: dict[str, TensorSpec] = {}
        self._ordered: list[TensorSpec | None] = []
        if isinstance(node, DictSpec):
            for key, item in node.items:
                if isinstance(item, TensorSpec):
                    self._named[str(key)] = item
        elif node is not None:
            self._ordered = [leaf if isinstance(leaf, TensorSpec) else None for leaf in leaves(node)]

    def fitted(self, draft: Draft, batch: int, fits: Callable[[Draft], bool]) -> Draft:
        """A draft whose first tensors, or those of the same name, are the known ones, where ``fits`` says so."""
        for number, (path, node) in enumerate(list(draft.leaves())):
            ordered = self._ordered[number] if number < len(self._ordered) else None
            known = self._named.get(node.name or "") or ordered
            if known is not None and fits(node):
                shape = (batch, *known.shape[1:]) if known.shape else ()
                draft = draft.with_spec(path, replace(known, shape=shape, name=None))
        return draft
