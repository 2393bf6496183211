"""What is known of a batch before the search: a partly known tree, and the module's example inputs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
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

MOST_VARIANTS = 4
TARGET = re.compile(r"target|label|truth|^y(_|$)", re.IGNORECASE)
FILLER = 8  # stands for a dimension that is not known, where a whole tensor is wanted


def drafts_of(seed: Node | None, batch: int) -> list[Draft]:
    """What a search may start from, the most hopeful first.

    First with stand-ins for what is not known in full, so that the module's own operations say the rest; then
    with whole tensors, for modules that check their batch against its annotation when they run.
    """
    if seed is None:
        return []
    bare, *fuller = _variants(seed)
    late, whole = (_draft(bare, batch, whole=is_whole) for is_whole in (False, True))
    return [late, *(_draft(each, batch, whole=False) for each in fuller), *([whole] if whole != late else [])]


def _variants(seed: Node) -> list[Node]:
    """Without what may be left out, then with one such part after the other (targets, where names tell), then all."""
    optional = list(_optional_names(seed))
    if not optional:
        return [seed]
    places = range(len(optional))
    likely = [place for place in places if TARGET.search(optional[place])] or list(places)
    chosen = [set[int](), *({place} for place in likely[:MOST_VARIANTS]), *([set(places)] if len(places) > 1 else [])]
    return [_with_optional(seed, each, itertools.count()) for each in chosen]


def _optional_names(node: Node) -> Iterator[str]:
    """In the order in which ``_with_optional`` meets them."""
    for key, item in node.items if isinstance(node, DictSpec | ObjectSpec) else enumerate(children(node)):
        if isinstance(item, UnknownSpec) and item.optional:
            yield str(key)
        else:
            yield from _optional_names(item)


def _with_optional(node: Node, wanted: set[int], number: Iterator[int]) -> Node:
    """A copy that leaves out each optional field that is not among the wanted ones."""
    if isinstance(node, TupleSpec | ListSpec):
        return replace(node, items=tuple(_with_optional(item, wanted, number) for item in node.items))
    if isinstance(node, DictSpec | ObjectSpec):
        kept = []
        for key, item in node.items:
            is_optional = isinstance(item, UnknownSpec) and item.optional
            if not is_optional or next(number) in wanted:
                kept.append((key, _with_optional(item, wanted, number)))
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
            return Draft("object", pairs, name=name, cls=node.cls)
        return Draft("dict", pairs, name=name)
    return Draft(name=name)


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
