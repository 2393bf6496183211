"""The candidates for one argument: from its annotation, then from its name."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union

import torch
from torch import nn

from lightning_conformance.subjects.guessing import objects
from lightning_conformance.subjects.guessing.choices import choices, sizes_a_layer
from lightning_conformance.subjects.guessing.names import (
    BOOLEANS,
    FLOATS,
    INTEGERS,
    STRINGS,
    by_name,
    list_by_name,
    strings_by_name,
)
from lightning_conformance.subjects.guessing.networks import means_network
from lightning_conformance.subjects.guessing.slots import SIZES, Candidate, Path, member, plain, thing
from lightning_conformance.subjects.mappings import means_config
from lightning_conformance.subjects.parameters import type_text

NOWHERE = inspect.Parameter.empty
_MAPPINGS = ("dict", "Dict", "Mapping", "Namespace", "DictConfig", "AttributeDict", "EasyDict", "ConfigDict")
_SEQUENCES = (list, tuple, set, typing.Sequence)


@dataclass(frozen=True)
class Makers:
    """What only the whole guess can make.

    Args:
        owner: The class or function whose argument it is.
        network: Gives a network for a path.
        config: Gives a configuration for a path, all its values of one annotation where there is one.
        record: Gives an instance of a class for a path, its arguments guessed in turn.
    """

    owner: Any
    network: Callable[[Path], Any]
    config: Callable[[Path, Any], Any]
    record: Callable[[Path, type], Any]

    @property
    def owner_name(self) -> str:
        """Its name."""
        return str(getattr(self.owner, "__name__", ""))


def candidates(path: Path, annotation: Any, makers: Makers) -> list[Candidate]:
    """What the argument may be, most likely first; empty where nothing is known of it."""
    if annotation in (NOWHERE, Any, object):
        return list(_named(path, makers))
    return list(_annotated(path, annotation, makers))


def read_candidates(path: Path, makers: Makers) -> list[Candidate]:
    """What a key of a configuration may be: there, anything is better than nothing."""
    known = list(_named(path, makers))
    nested = _config(path, makers)
    if known and (known[0].is_plain or means_config(path[-1])):
        return [*known, *([] if means_config(path[-1]) else [nested])]
    words = plain(*choices(makers.owner, path[-1]))
    numbers = plain(SIZES["classes"], 1, 0.5, False, None)
    # `cfg.model`, `cfg.optimizer`: a part of the configuration; in a flat one, perhaps a word.
    return [*words, *([] if words else [nested]), *(c for c in known if c.kind != "network"), *numbers]


def _named(path: Path, makers: Makers) -> Iterator[Candidate]:
    name = path[-1]
    role = objects.object_role(name)
    words = choices(makers.owner, name)
    if words:
        yield from plain(*words)
        return
    if means_config(name):
        yield _config(path, makers)
    if role:
        yield from _object(role, makers)
    elif means_network(name):
        yield _network(path, makers)
    elif BOOLEANS.fullmatch(name.lower()):
        yield from plain(False, True)
    else:
        numbers, listed = by_name(INTEGERS, name), list_by_name(name)
        yield from plain(*numbers)
        yield from plain(listed) if listed is not None else ()
        yield from plain([numbers[0], numbers[0]]) if numbers and name.endswith("s") else ()
        yield from plain(*([] if numbers else by_name(FLOATS, name)))
        if not numbers and sizes_a_layer(makers.owner, name):
            yield from plain(SIZES["classes"], SIZES["hidden"], 1)
    yield from plain(*strings_by_name(path))


def _object(role: str, makers: Makers) -> list[Candidate]:
    if role == "loss":
        return objects.losses(makers.owner_name)
    if role == "metric":
        return objects.metrics(SIZES["classes"])
    return {
        "optimizer": objects.optimizers,
        "scheduler": objects.schedulers,
        "activation": objects.activations,
    }[role]()


def _annotated(path: Path, annotation: Any, makers: Makers) -> Iterator[Candidate]:
    name, text = path[-1], type_text(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        inner = [c for part in arguments if part is not type(None) for c in _annotated(path, part, makers)]
        yield from inner
        if type(None) in arguments:
            yield from plain(None)
    elif origin is typing.Annotated:
        yield from _annotated(path, arguments[0], makers)
    elif origin is Literal:
        yield from plain(*arguments)
    elif annotation in (bool, int, float, str):
        yield from plain(*_scalars(name, annotation, makers))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from map(member, annotation)
    elif "Optimizer" in text:
        yield from [objects.optimizer_class()] if origin is type else objects.optimizers()
    elif "scheduler" in text.lower():
        yield from objects.schedulers()[::-1]
    elif origin is not None and isinstance(origin, type) and issubclass(origin, (list, tuple, set)):
        yield from _sequence(path, origin, arguments, makers)
    elif annotation in _SEQUENCES or (origin is not None and "Sequence" in text):
        yield from _sequence(path, tuple if annotation is tuple else list, arguments, makers)
    elif annotation is functools.partial or "Callable" in text or "partial" in text or origin is type:
        yield from _called(path, makers)
    elif _is_mapping(annotation, text):
        values = arguments[1] if len(arguments) == 2 and arguments[1] not in (Any, object) else NOWHERE
        yield _config(path, makers, values)
    elif isinstance(annotation, type):
        yield from _instance(path, annotation, makers)
    elif isinstance(annotation, types.ModuleType):
        yield from _named(path, makers)
    elif isinstance(annotation, str):
        # An annotation that cannot be resolved says little: the name must.
        yield from _named(path, makers) if "Module" not in text else _module(path, nn.Module, makers)


def _scalars(name: str, kind: type, makers: Makers) -> tuple[Any, ...]:
    if kind is bool:
        return (False, True)
    if kind is int:
        return (*by_name(INTEGERS, name), *(SIZES["classes"], 1, 2, SIZES["hidden"]))
    if kind is float:
        return (*by_name(FLOATS, name), 0.5, 1.0)
    return (*choices(makers.owner, name), *by_name(STRINGS, name))


def _sequence(path: Path, kind: type, arguments: tuple[Any, ...], makers: Makers) -> Iterator[Candidate]:
    name = path[-1]
    if (listed := list_by_name(name)) is not None:
        yield from plain(kind(listed))
    inner = [part for part in arguments if part is not Ellipsis]
    if kind is tuple and inner and Ellipsis not in arguments:
        parts = [candidates(path, part, makers) for part in inner]
        if all(parts):
            yield _listing(kind, [part[0] for part in parts])
        return
    singular = (*path[:-1], name.removesuffix("es") if name.endswith("sses") else name.removesuffix("s"))
    if means_network(name):
        singular = path
    items = candidates(singular, inner[0] if inner else int, makers) or candidates(
        path, inner[0] if inner else int, makers
    )
    if not items and inner == [str]:
        items = plain("a")
    yield from (_listing(kind, [item, item]) for item in items[:3])


def _listing(kind: type, items: list[Candidate]) -> Candidate:
    if all(item.is_plain for item in items):
        return Candidate(lambda: kind(item.make() for item in items))
    text = ", ".join(item.text for item in items)
    if kind is list and items[0].kind == "network":
        return thing(f"[{text}]", lambda: nn.ModuleList(item.make() for item in items), "network")
    return thing(f"[{text}]", lambda: kind(item.make() for item in items))


def _called(path: Path, makers: Makers) -> list[Candidate]:
    role = objects.object_role(path[-1])
    if role == "loss":
        return objects.loss_functions(makers.owner_name) + objects.losses(makers.owner_name)
    if role:
        return _object(role, makers)
    made = re.sub(r"_?(fn|func|factory|builder|cls|class|constructor|ctor)$", "", path[-1])
    if means_network(made):
        return [thing("", lambda: _function_of(makers.network, (*path[:-1], made)), "network")]
    if any(word in path[-1].lower() for word in ("transform", "augment", "preprocess", "collate", "postprocess")):
        return [thing("torch.nn.Identity()", nn.Identity)]
    return [thing("torch.nn.LayerNorm", lambda: nn.LayerNorm)] if "norm" in path[-1] else []


def _function_of(make: Callable[[Path], Any], path: Path) -> Callable[..., Any]:
    return lambda *args, **named: make(path)


def _instance(path: Path, cls: type, makers: Makers) -> Iterator[Candidate]:
    if cls.__module__.startswith("torchmetrics"):
        yield from objects.metrics(SIZES["classes"], cls)
    elif issubclass(cls, nn.Module):
        yield from _module(path, cls, makers)
    elif cls is torch.device:
        yield thing("torch.device('cpu')", lambda: torch.device("cpu"))
    elif cls is torch.dtype:
        yield thing("torch.float32", lambda: torch.float32)
    elif cls is torch.Tensor and "weight" in path[-1].lower():
        yield thing("torch.ones(...)", lambda: torch.ones(SIZES["classes"]))
    elif dataclasses.is_dataclass(cls) or hasattr(cls, "model_fields"):
        yield Candidate(lambda: makers.record(path, cls), cls.__name__, "record")


def _module(path: Path, cls: type, makers: Makers) -> Iterator[Candidate]:
    role = objects.object_role(path[-1])
    if cls is nn.Module or cls in (nn.Sequential, nn.ModuleList):
        yield from _object(role, makers) if role in ("loss", "metric", "activation") else [_network(path, makers)]
    elif cls.__module__.startswith("torch.nn.modules.loss"):
        yield thing(f"torch.nn.{cls.__name__}()", cls)
    else:
        yield Candidate(lambda: makers.record(path, cls), cls.__name__, "object")
        yield _network(path, makers)


def _is_mapping(annotation: Any, text: str) -> bool:
    origin = typing.get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, nn.Module):
        return False
    words = {part for part in text.replace("[", ".").split(".") if part}
    return bool(words & set(_MAPPINGS)) or (isinstance(origin, type) and issubclass(origin, dict))


def _config(path: Path, makers: Makers, values: Any = NOWHERE) -> Candidate:
    return Candidate(lambda: makers.config(path, values), "configuration", "mapping")


def _network(path: Path, makers: Makers) -> Candidate:
    return Candidate(lambda: makers.network(path), "network", "network")
