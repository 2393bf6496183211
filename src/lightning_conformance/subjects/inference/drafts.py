"""A batch that is still being found out: a tree whose leaves become known one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from lightning_conformance.subjects.batch_nodes import (
    BatchSizeSpec,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    RepeatSpec,
    TensorSpec,
    TupleSpec,
)

Key: TypeAlias = "int | str"
Path: TypeAlias = "tuple[Key, ...]"
Kind: TypeAlias = Literal["unknown", "tensor", "tuple", "list", "dict", "object", "literal", "samples"]


@dataclass(frozen=True)
class Draft:
    """One node.

    Args:
        kind: What is known of it; an ``unknown`` node is fed to the module as a probe. The children of ``samples``
            are alike: they are as many as the batch has samples.
        children: Key and node of what it holds.
        spec: The tensor, where it is known; a tensor without one is fed as a stand-in.
        rank: Dimensions of the stand-in.
        name: What the module's code calls it.
        claims: What an unknown node says it is when it is asked: ``mapping``, ``list``, ``tuple``.
        denied: What it said that it is not.
        optional: Keys that were asked for with a default, and are left out.
        cls: The class of an object, where it is known.
        literal: What a leaf is that is no tensor, where it is known.
        is_ranked: Whether the code asked for a stand-in's rank.
        copied: Whether a dict was gone through as a whole, so that its copy may be asked for more keys.
        steps: Time steps of the sequence that it is, or of those that it holds the lengths of; 0 where it is neither.
        free: Whether its tensors have no batch dimension: it belongs to one sample, or to nodes and edges.
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
    literal: LiteralSpec | BatchSizeSpec | None = None
    is_ranked: bool = False
    copied: bool = False
    free: bool = False
    steps: int = 0

    def at(self, path: Path) -> Draft:
        """The node at ``path``."""
        return self if not path else dict(self.children)[path[0]].at(path[1:])

    def put(self, path: Path, node: Draft) -> Draft:
        """A copy with ``node`` at ``path``."""
        if not path:
            return node
        if self.kind == "samples":
            alike = dict(self.children)[path[0]].put(path[1:], node)
            return replace(self, children=tuple((key, alike) for key, _ in self.children))
        items = tuple((k, c.put(path[1:], node) if k == path[0] else c) for k, c in self.children)
        return replace(self, children=items)

    def with_spec(self, path: Path, spec: TensorSpec) -> Draft:
        """A copy whose tensor at ``path`` is ``spec``."""
        return self.put(path, replace(self.at(path), kind="tensor", spec=spec, rank=1))

    def freed(self) -> Draft:
        """A copy in which no tensor has a batch dimension."""
        return replace(self, free=True, children=tuple((key, child.freed()) for key, child in self.children))

    def copies(self, path: Path) -> list[Path]:
        """``path``, and the same place in all other samples."""
        if not path:
            return [()]
        keys = [key for key, _ in self.children] if self.kind == "samples" else [path[0]]
        below = dict(self.children)[path[0]].copies(path[1:])
        return [(key, *rest) for key in keys for rest in below]

    @property
    def has_samples(self) -> bool:
        """Whether a list of samples is part of it."""
        return self.kind == "samples" or any(child.has_samples for _, child in self.children)

    @property
    def has_choices(self) -> bool:
        """Whether something was left out or denied, so that another answer may lead elsewhere."""
        return bool(self.optional or self.denied or self.claims) or any(child.has_choices for _, child in self.children)

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Draft]]:
        """Path and node of every leaf, left to right."""
        if self.kind in ("unknown", "tensor"):
            yield path, self
        for key, child in self.children:
            yield from child.leaves((*path, key))


def grown_tuple(names: tuple[str | None, ...], node: Draft | None = None) -> Draft:
    """A tuple of unknowns in the place of ``node``; a list where the code asked for one."""
    is_free = node is not None and node.free
    items = tuple((i, Draft(name=child, free=is_free)) for i, child in enumerate(names))
    kind: Kind = "list" if node is not None and node.claims == "list" else "tuple"
    return Draft(kind, items, name=node.name if node else None, free=is_free)


def sample_list(node: Draft, batch: int, item: Draft) -> Draft:
    """A list of samples in the place of ``node``."""
    return Draft("samples", tuple((i, item.freed()) for i in range(batch)), name=node.name, free=node.free)


def finished(draft: Draft, unused: TensorSpec) -> Node:
    """The node of a batch spec that ``draft`` stands for; ``unused`` takes the place of unknowns."""
    if draft.literal is not None:
        return draft.literal
    if draft.kind == "samples":
        return RepeatSpec(finished(draft.children[0][1], unused), "B")
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
