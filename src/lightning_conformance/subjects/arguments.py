"""Constructor arguments as the user writes them.

``jsonargparse`` types the arguments, one parameter at a time, so that an annotation which it cannot handle
costs that parameter its typing (it is then read as YAML) and nothing else.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from ..errors import UsageError
from .lookup import did_you_mean
from .mappings import OpenDict, means_config
from .parameters import Parameter, is_lightning_module, parameters, takes_any_keyword, type_text

INIT_FORM = "Write --lightning-init name=value, or --lightning-init '{\"name\": value}'."


_NOT_PLAIN = object()


class YamlLoader(yaml.SafeLoader):
    """YAML that reads ``1e-3`` as a number, which YAML 1.1 does not."""


YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


class Written(str):
    """A scalar as the user wrote it, to be typed once its parameter is known."""


def parse_init(texts: Sequence[str], obj: Any = None) -> dict[str, Any]:
    """Read constructor arguments, and check them against the annotations of ``obj`` where it is given.

    Args:
        texts: Each ``name=value``, with dots for nesting, or one JSON object; the later overrides.
        obj: The class or callable whose parameters they are; without it scalars stay as they are written,
            for ``Constructor`` to type.

    Returns:
        Plain data by name, typed where the type is plain; what is to be instantiated (``class_path``, enum
        members, dataclasses) stays in its written form, for ``Constructor`` to instantiate at each call.

    Raises:
        UsageError: A text is malformed, a name is unknown, or a value does not fit its annotation.

    """
    raw: dict[str, Any] = {}
    for text in texts:
        _merge(raw, _read_init(text))
    if obj is None:
        return raw
    return checked_init(raw, obj, getattr(obj, "__qualname__", type(obj).__name__), strict=True)


def checked_init(init: Mapping[str, Any], obj: Any, label: str, strict: bool) -> dict[str, Any]:
    """Arguments with their written scalars typed, and all values where ``strict``; raises UsageError."""
    _require_known(init, obj, label)
    known = {parameter.name: parameter for parameter in parameters(obj)}
    return {
        name: _checked(known.get(name), value, obj) if strict or _has_written(value) else value
        for name, value in init.items()
    }


def instantiated_arguments(obj: Any, init: Mapping[str, Any]) -> dict[str, Any]:
    """Fresh keyword arguments for ``obj``."""
    known = {parameter.name: parameter for parameter in parameters(obj)}
    return {name: _instantiated(known.get(name), value, obj) for name, value in init.items()}


def option(name: str, value: Any) -> str:
    """One argument as an option to paste."""
    if _plain(value) is _NOT_PLAIN:
        text = f"{name}=<{type(value).__name__}>"
    elif isinstance(value, str) and _yaml(value) != value:
        text = json.dumps({name: value})
    else:
        text = f"{name}={value if isinstance(value, str) else json.dumps(value)}"
    return f"--lightning-init {shlex.quote(text)}"


def _require_known(names: Mapping[str, Any], obj: Any, label: str) -> None:
    if names and is_lightning_module(obj):
        message = f"{label} is an instance: it takes no constructor arguments ({', '.join(names)})."
        raise UsageError(message, "Name its class as the target to construct it with arguments.")
    valid = [parameter.name for parameter in parameters(obj)]
    unknown = [name for name in names if name not in valid]
    if unknown and not takes_any_keyword(obj):
        listing = f"It takes {', '.join(valid)}." if valid else "It takes no arguments."
        advice = f"{did_you_mean(unknown[0], valid)} {listing}".strip()
        raise UsageError(f"{label} takes no argument `{unknown[0]}`.", advice)


def _read_init(text: str) -> dict[str, Any]:
    """One text as nested data with ``Written`` scalars; the scalars of JSON are typed by their notation."""
    if text.lstrip().startswith("{"):
        return _read_json(text)
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{text!r} is not a constructor argument.", INIT_FORM)
    structure = _yaml(value)
    leaf: Any = structure if isinstance(structure, dict) else Written(value)
    return {parts[0]: reduce(lambda inner, part: {part: inner}, reversed(parts[1:]), leaf)}


def _read_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is not a JSON object: {exc}.", INIT_FORM) from None
    return dict(value)


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, YamlLoader)
    except yaml.YAMLError:
        return text


def _list_or_text(text: str) -> Any:
    value = _yaml(text)
    return value if isinstance(value, list) else text


def _map_written(value: Any, read: Callable[[str], Any]) -> Any:
    """The data with every ``Written`` scalar replaced by ``read`` of it."""
    if isinstance(value, Written):
        return read(str(value))
    if isinstance(value, dict):
        return {key: _map_written(item, read) for key, item in value.items()}
    return value


def _has_written(value: Any) -> bool:
    return isinstance(value, Written) or (isinstance(value, dict) and any(map(_has_written, value.values())))


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Merge nested data; ``encoder=Class`` and ``encoder.width=3`` make ``class_path`` and ``init_args``."""
    for key, value in other.items():
        old = into.get(key)
        if not isinstance(value, dict) or not isinstance(old, (dict, str)):
            into[key] = value
            continue
        if isinstance(old, str) and "class_path" not in value:
            old = into[key] = {"class_path": old}
        if isinstance(old, dict):
            named = "class_path" in old and not {"class_path", "init_args"} & value.keys()
            _merge(old, {"init_args": value} if named else value)


def _is_mapping(parameter: Parameter) -> bool:
    return _is_read_by_attribute(parameter) or bool(
        re.search(r"\b([Dd]ict|Mapping)\b", type_text(parameter.annotation))
    )


def _checked(parameter: Parameter | None, written: Any, obj: Any) -> Any:
    """The typed value where it is plain data, else the value as written."""
    as_yaml = _map_written(written, _yaml)
    if parameter is None or not parameter.is_typed:
        return as_yaml
    raw = as_yaml if isinstance(written, dict) and _is_mapping(parameter) else _map_written(written, _list_or_text)
    parser = _parser(obj, parameter.name)
    if parser is None:
        return as_yaml
    try:
        value = parser.parse_object({parameter.name: copy.deepcopy(raw)}).get(parameter.name)
    except argparse.ArgumentError as exc:
        if _imported_callable(parameter, raw) or (isinstance(raw, dict) and _is_mapping(parameter)):
            return raw
        raise UsageError(*_wrong_type(parameter, raw, exc)) from None
    except Exception:
        return as_yaml
    plain = _plain(value)
    return raw if plain is _NOT_PLAIN or _has_class_path(plain) else plain


def _wrong_type(parameter: Parameter, raw: Any, exc: Exception) -> tuple[str, str]:
    shown = raw if isinstance(raw, str) else json.dumps(raw, default=repr)
    detail = " ".join(line.strip() for line in str(exc).splitlines()[1:]) if isinstance(raw, dict) else ""
    message = f"The argument {parameter.name} takes {parameter.type_text}; {shown!r} is not one."
    return message, detail[:400]


def _imported_callable(parameter: Parameter, value: Any) -> Any:
    """A function named by its dotted path; jsonargparse refuses one whose return type it cannot see."""
    if "Callable" in type_text(parameter.annotation) and isinstance(value, str):
        with suppress(Exception):
            found = import_path(value)
            return found if callable(found) else None
    return None


def _plain(value: Any) -> Any:
    """Plain data equal to a parsed value; ``_NOT_PLAIN`` where there is none."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        items = {key: _plain(item) for key, item in value.items()}
        return _NOT_PLAIN if _NOT_PLAIN in items.values() else items
    if type(value) in (list, tuple):
        parts = [_plain(item) for item in value]
        return _NOT_PLAIN if any(part is _NOT_PLAIN for part in parts) else type(value)(parts)
    return _NOT_PLAIN


def _has_class_path(value: Any) -> bool:
    if isinstance(value, dict):
        return "class_path" in value or any(map(_has_class_path, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_class_path, value))


def _parser(obj: Any, name: str) -> ArgumentParser | None:
    """A parser of one parameter; None where jsonargparse cannot handle the annotation."""
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    others = {parameter.name for parameter in parameters(obj)} - {name}
    with suppress(Exception):
        if inspect.ismethod(obj) and isinstance(obj.__self__, type):
            found = parser.add_method_arguments(obj.__self__, obj.__name__, fail_untyped=False, skip=others)
        else:
            add = parser.add_class_arguments if isinstance(obj, type) else parser.add_function_arguments
            found = add(obj, fail_untyped=False, skip=others)
        return parser if found else None
    return None


def _instantiated(parameter: Parameter | None, value: Any, obj: Any) -> Any:
    """A fresh argument: plain data instantiated by the annotation, any other object copied."""
    value = _copy_or_same(value)
    if parameter is None or _plain(value) is _NOT_PLAIN:
        return value
    if isinstance(value, dict) and parameter.annotation is argparse.Namespace:
        return argparse.Namespace(**OpenDict(value))
    if isinstance(value, dict) and _is_read_by_attribute(parameter):
        return OpenDict(value)
    if not parameter.is_typed:
        return value
    parser = _parser(obj, parameter.name)
    if parser is None:
        return value
    try:
        parsed = parser.parse_object({parameter.name: copy.deepcopy(value)})
    except Exception:
        return _imported_callable(parameter, value) or value
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(parsed).get(parameter.name)


def _is_read_by_attribute(parameter: Parameter) -> bool:
    """Whether code may read ``cfg.lr`` of a dict that it is given."""
    if not parameter.is_typed:
        return means_config(parameter.name)
    return bool(re.search(r"\b(Namespace|DictConfig|AttributeDict|EasyDict|ConfigDict)\b", parameter.type_text))


def _copy_or_same(value: Any) -> Any:
    with suppress(Exception):
        return copy.deepcopy(value)
    return value


def import_path(class_path: str) -> Any:
    """The object at a dotted path; raises ImportError or AttributeError."""
    module, _, name = class_path.rpartition(".")
    if not module:
        raise ImportError("it names no module")
    return getattr(importlib.import_module(module), name)
