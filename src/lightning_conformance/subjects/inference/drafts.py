"""A batch that is still being found out: a tree whose leaves become known one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    TensorSpec,
    TupleSpec,
)

Key: TypeAlias = "int | str"
Path: TypeAlias = "tuple[Key, ...]"
Kind: TypeAlias = Literal["unknown", "tensor", "tuple", "dict", "object", "literal"]


@dataclass(frozen=True)
class Draft:
    """One node.

    Args:
        kind: What is known of it; an ``unknown`` node is fed to the module as a probe.
        children: Key and node of what it holds.
        spec: The tensor, where it is known; a tensor without one is fed as a stand-in.
        rank: Dimensions of the stand-in.
        name: What the module's code calls it.
        cls: The class of an object, where it is known.
        literal: What a leaf is that is no tensor, where it is known.
    """

    kind: Kind = "unknown"
    children: tuple[tuple[Key, Draft], ...] = ()
    spec: TensorSpec | None = None
    rank: int = 1
    name: str | None = None
    cls: type | None = None
    literal: LiteralSpec | None = None

    def at(self, path: Path) -> Draft:
        """The node at ``path``."""
        return self if not path else dict(self.children)[path[0]].at(path[1:])

    def put(self, path: Path, node: Draft) -> Draft:
        """A copy with ``node`` at ``path``."""
        if not path:
            return node
        items = tuple((k, c.put(path[1:], node) if k == path[0] else c) for k, c in self.children)
        return replace(self, children=items)

    def with_spec(self, path: Path, spec: TensorSpec) -> Draft:
        """A copy whose tensor at ``path`` is ``spec``."""
        return self.put(path, replace(self.at(path), kind="tensor", spec=spec, rank=1))

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Draft]]:
        """Path and node of every leaf, left to right."""
        if self.kind in ("unknown", "tensor"):
            yield path, self
        for key, child in self.children:
            yield from child.leaves((*path, key))


def grown_tuple(names: tuple[str | None, ...], name: str | None) -> Draft:
    """A tuple of unknowns."""
    items = tuple((i, Draft(name=child)) for i, child in enumerate(names))
    return Draft("tuple", items, name=name)


def finished(draft: Draft, unused: TensorSpec) -> Node:
    """The node of a batch spec that ``draft`` stands for; ``unused`` takes the place of unknowns."""
    if draft.literal is not None:
        return draft.literal
    if draft.kind in ("unknown", "tensor"):
        return replace(draft.spec or unused, name=None)
    if draft.kind == "tuple":
        items = [(child.name, finished(child, unused)) for _, child in draft.children]
        return TupleSpec(tuple(_with_name(node, name) for name, node in items))
    pairs = tuple((key, finished(child, unused)) for key, child in draft.children)
    if draft.kind == "object":
        type_name = draft.cls.__name__ if draft.cls else "Batch"
        return ObjectSpec(type_name, tuple((str(key), node) for key, node in pairs), cls=draft.cls)
    return DictSpec(pairs)


def _with_name(node: Node, name: str | None) -> Node:
    is_telling = name is not None and name.strip("_") != ""
    return replace(node, name=name) if is_telling and not isinstance(node, LiteralSpec) else node
