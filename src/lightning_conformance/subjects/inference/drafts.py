"""A batch that is still being found out: a tree whose leaves become known one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    TensorSpec,
    TupleSpec,
)

Key: TypeAlias = "int | str"
Path: TypeAlias = "tuple[Key, ...]"
Kind: TypeAlias = Literal["unknown", "tensor", "tuple", "list", "dict", "object", "literal"]


@dataclass(frozen=True)
class Draft:
    """One node.

    Args:
        kind: What is known of it; an ``unknown`` node is fed to the module as a probe.
        children: Key and node of what it holds.
        spec: The tensor, where it is known; a tensor without one is fed as a stand-in.
        rank: Dimensions of the stand-in.
        name: What the module's code calls it.
        claims: What an unknown node says it is when it is asked: ``mapping``, ``list``, ``tuple``.
        denied: What it said that it is not.
        optional: Keys that were asked for with a default, and are left out.
        cls: The class of an object, where it is known.
        literal: What a leaf is that is no tensor, where it is known.
    """

    kind: Kind = "unknown"
    children: tuple[tuple[Key, Draft], ...] = ()
    spec: TensorSpec | None = None
    rank: int = 1
    name: str | None = None
    claims: str = ""
    denied: frozenset[str] = frozenset()
    optional: frozenset[Key] = frozenset()
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

    @property
    def has_choices(self) -> bool:
        """Whether something was left out or denied, so that another answer may lead elsewhere."""
        return bool(self.optional or self.denied) or any(child.has_choices for _, child in self.children)

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Draft]]:
        """Path and node of every leaf, left to right."""
        if self.kind in ("unknown", "tensor"):
            yield path, self
        for key, child in self.children:
            yield from child.leaves((*path, key))


def grown_tuple(names: tuple[str | None, ...], node: Draft | None = None) -> Draft:
    """A tuple of unknowns in the place of ``node``; a list where the code asked for one."""
    items = tuple((i, Draft(name=child)) for i, child in enumerate(names))
    kind: Kind = "list" if node is not None and node.claims == "list" else "tuple"
    return Draft(kind, items, name=node.name if node else None)


def finished(draft: Draft, unused: TensorSpec) -> Node:
    """The node of a batch spec that ``draft`` stands for; ``unused`` takes the place of unknowns."""
    if draft.literal is not None:
        return draft.literal
    if draft.kind in ("unknown", "tensor"):
        return replace(draft.spec or unused, name=None)
    if draft.kind == "tuple":
        return TupleSpec(_items(draft, unused))
    if draft.kind == "list":
        return ListSpec(_items(draft, unused))
    pairs = tuple((key, finished(child, unused)) for key, child in draft.children)
    if draft.kind == "object":
        type_name = draft.cls.__name__ if draft.cls else "Batch"
        return ObjectSpec(type_name, tuple((str(key), node) for key, node in pairs), cls=draft.cls)
    return DictSpec(pairs)


def _items(draft: Draft, unused: TensorSpec) -> tuple[Node, ...]:
    return tuple(_with_name(finished(child, unused), child.name) for _, child in draft.children)


def _with_name(node: Node, name: str | None) -> Node:
    is_telling = name is not None and name.strip("_") != ""
    return replace(node, name=name) if is_telling and not isinstance(node, LiteralSpec) else node
