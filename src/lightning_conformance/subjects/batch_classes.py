"""The user's own classes for batches: a batch written ``MyBatch(x: ...)`` is generated as that very class."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lightning_conformance.subjects.batch_nodes import DictSpec, ListSpec, Node, ObjectSpec, TupleSpec, children

Lookup = Callable[[str], "type | None"]


def is_record(cls: Any) -> bool:
    """Whether a class does nothing but hold named values: a dataclass, a named tuple, attrs, pydantic."""
    if not isinstance(cls, type):
        return False
    if issubclass(cls, tuple):
        return hasattr(cls, "_fields")
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or hasattr(cls, "model_fields")


def constructible_from(cls: Any, names: Iterable[str]) -> bool:
    """Whether a class of records can be constructed from values of these names."""
    if not is_record(cls):
        return False
    try:
        inspect.signature(cls).bind(**dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def with_classes(node: Node, lookup: Lookup) -> Node:
    """A copy of ``node`` whose objects know the class of their name, where there is one that fits."""
    if isinstance(node, TupleSpec | ListSpec):
        return replace(node, items=tuple(with_classes(item, lookup) for item in node.items))
    if isinstance(node, DictSpec):
        return replace(node, items=tuple((key, with_classes(item, lookup)) for key, item in node.items))
    if isinstance(node, ObjectSpec):
        items = tuple((key, with_classes(item, lookup)) for key, item in node.items)
        cls = node.cls or lookup(node.type_name)
        return replace(node, items=items, cls=cls if constructible_from(cls, dict(items)) else None)
    return node


def has_objects(node: Node) -> bool:
    """Whether there is an object in ``node``."""
    return isinstance(node, ObjectSpec) or any(map(has_objects, children(node)))


def classes_known_to(cls: type, annotated: Node | None) -> Lookup:
    """Looks a name up among the classes of a batch's annotation, then where the module's classes are written."""
    own = dict(_classes_of(annotated)) if annotated is not None else {}

    def lookup(name: str) -> type | None:
        if name in own:
            return own[name]
        for base in cls.__mro__[:-1]:
            namespace: Mapping[str, Any] = vars(sys.modules.get(base.__module__, object))
            found = namespace.get(name) or vars(base).get(name)
            if is_record(found):
                return found
        return None

    return lookup


def _classes_of(node: Node) -> Iterable[tuple[str, type]]:
    if isinstance(node, ObjectSpec) and node.cls is not None:
        yield node.type_name, node.cls
    for item in children(node):
        yield from _classes_of(item)
