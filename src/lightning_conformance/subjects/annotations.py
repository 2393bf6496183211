"""What the annotations of ``training_step`` and ``forward`` tell of a batch."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import torch

from lightning_conformance.lightning_api import is_lightning_file
from lightning_conformance.subjects.array_annotations import array_node, tensor_node
from lightning_conformance.subjects.batch_nodes import (
    DictSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    TensorSpec,
    TupleSpec,
    UnknownSpec,
)

_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping, collections.OrderedDict)
_SCALARS: dict[Any, Any] = {bool: True, int: 1, float: 1.0, str: "text"}
_UNKNOWN = UnknownSpec()


def annotated_batch(cls: type) -> Node | None:
    """The batch, as ``training_step`` annotates its first argument.

    Returns:
        None where it is not annotated, or so loosely that nothing follows.
    """
    hints = _parameter_hints(cls, "training_step")
    node = node_of_annotation(next(iter(hints.values()))) if hints else _UNKNOWN
    # A bare `Tensor` or `list` is what people write of tuples, too.
    is_loose = isinstance(node, UnknownSpec) and node.shape is None
    return None if is_loose else node


def annotated_inputs(cls: type) -> Node | None:
    """The arguments of ``forward`` whose shapes are annotated, by name.

    Returns:
        None where there is none.
    """
    nodes = {name: node_of_annotation(hint) for name, hint in _parameter_hints(cls, "forward").items()}
    known = tuple((name, node) for name, node in nodes.items() if isinstance(node, TensorSpec))
    if len(nodes) == 1 and known:
        return known[0][1]
    return DictSpec(known) if known else None


def node_of_annotation(annotation: Any, _inside: tuple[Any, ...] = ()) -> Node:
    """What a value of that annotation looks like, with unknown parts where it does not say."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return node_of_annotation(arguments[0], _inside)
    if origin is typing.Union or isinstance(annotation, types.UnionType):
        alternatives = [each for each in arguments if each is not type(None)]
        return node_of_annotation(alternatives[0], _inside) if len(alternatives) == 1 else _UNKNOWN
    if annotation in _inside or isinstance(annotation, str):
        return _UNKNOWN
    node = array_node(annotation) or tensor_node(annotation)
    if node is not None:
        return node
    inside = (*_inside, annotation)
    if origin is tuple:
        # Tuple[Tensor] is written of any number of tensors.
        is_fixed = len(arguments) > 1 and Ellipsis not in arguments
        return TupleSpec(tuple(node_of_annotation(each, inside) for each in arguments)) if is_fixed else _UNKNOWN
    if (origin or annotation) in _MAPPINGS:
        return DictSpec(())
    return _node_of_class(annotation, inside) if isinstance(annotation, type) else _UNKNOWN


def _node_of_class(cls: type, inside: tuple[Any, ...]) -> Node:
    if cls in _SCALARS:
        return LiteralSpec(_SCALARS[cls])
    if typing.is_typeddict(cls):
        required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        return DictSpec(tuple((k, node_of_annotation(h, inside)) for k, h in _hints(cls).items() if k in required))
    names = getattr(cls, "_fields", None) if issubclass(cls, tuple) else None
    if names is not None:
        return _record(cls, [n for n in names if n not in getattr(cls, "_field_defaults", ())], names, inside)
    if dataclasses.is_dataclass(cls):
        fields = [f for f in dataclasses.fields(cls) if f.init]
        needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
        return _record(cls, needed, [f.name for f in fields], inside)
    return _UNKNOWN


def _record(cls: type, required: Any, names: Any, inside: tuple[Any, ...]) -> Node:
    """The fields that the class cannot do without, and those with a default that hold tensors all the same."""
    hints = _hints(cls)
    nodes = {name: node_of_annotation(hints.get(name), inside) for name in names}
    taken = [n for n in names if n in required or _is_tensor(nodes[n])]
    nodes |= {n: _optional(nodes[n]) for n in taken if n not in required and _may_be_none(hints.get(n))}
    return ObjectSpec(cls.__name__, tuple((name, nodes[name]) for name in taken), cls=cls)


def _is_tensor(node: Node) -> bool:
    return isinstance(node, TensorSpec) or (isinstance(node, UnknownSpec) and node.tensor)


def _optional(node: Node) -> Node:
    if isinstance(node, TensorSpec):
        return UnknownSpec(True, node.shape, node.dtype, optional=True)
    assert isinstance(node, UnknownSpec)
    return dataclasses.replace(node, optional=True)


def _may_be_none(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)


def _parameter_hints(cls: type, method: str) -> dict[str, Any]:
    """The annotations of a method's arguments, in order; nothing where the method is not the user's."""
    function = inspect.unwrap(getattr(cls, method, None) or _nothing)
    code = getattr(function, "__code__", None)
    if code is None or is_lightning_file(code.co_filename) or code.co_filename.startswith(_TORCH):
        return {}
    owner = next((base for base in cls.__mro__ if method in vars(base)), cls)
    names = list(inspect.signature(function).parameters)[1:]
    hints = _hints(function, vars(owner), names)
    return {name: hints.get(name) for name in names}


_TORCH = str(torch.__path__[0])


def _nothing() -> None: ...


def _hints(obj: Any, local: Mapping[str, Any] | None = None, names: Any = None) -> dict[str, Any]:
    """The annotations of a function or class, evaluated; without those that cannot be."""
    try:
        found = typing.get_type_hints(obj, localns=dict(local) if local else None, include_extras=True)
        return {name: _plain(hint) for name, hint in found.items()}
    except Exception:
        pass  # one of them names something that exists for type checkers only
    owners = obj.__mro__[::-1] if isinstance(obj, type) else [obj]
    evaluated: dict[str, Any] = {}
    for owner in owners:
        namespace = vars(sys.modules.get(owner.__module__, object))
        for name, annotation in vars(owner).get("__annotations__", getattr(owner, "__annotations__", {})).items():
            evaluated[name] = _plain(_evaluated(annotation, namespace, local or {}))
    return evaluated


def _evaluated(annotation: Any, namespace: Mapping[str, Any], local: Mapping[str, Any]) -> Any:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(namespace), dict(local))
    except Exception:
        return None


def _plain(annotation: Any) -> Any:
    """Without the marks of a TypedDict's keys."""
    marks = [getattr(module, name, None) for module in _TYPING for name in ("Required", "NotRequired", "ReadOnly")]
    origin = typing.get_origin(annotation)
    return typing.get_args(annotation)[0] if origin is not None and origin in marks else annotation


_TYPING = tuple(m for m in (typing, sys.modules.get("typing_extensions")) if m is not None)
