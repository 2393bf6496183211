"""Constructing the subject: constructor arguments as the user writes them, and a fresh instance at each call.

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
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from ..errors import SubjectError, UsageError
from ..lightning_api import package_of
from .target import describe, did_you_mean
from .tracebacks import user_place

INIT_FORM = "Write --lightning-init name=value, or --lightning-init '{\"name\": value}'."
_NOT_PLAIN = object()


class _YamlLoader(yaml.SafeLoader):  # type: ignore[misc]  # yaml is untyped here
    """YAML that reads ``1e-3`` as a number, which YAML 1.1 does not."""


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


class Written(str):
    """A scalar as the user wrote it, to be typed once its parameter is known."""


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a constructor or factory.

    Args:
        name: The keyword.
        annotation: The annotation as it stands; ``inspect.Parameter.empty`` where there is none.
        required: Whether it has no default.

    """

    name: str
    annotation: Any
    required: bool

    @property
    def is_typed(self) -> bool:
        """Whether the annotation says anything about a value."""
        return self.annotation not in (inspect.Parameter.empty, Any)

    @property
    def type_text(self) -> str:
        """The annotation as one would write it, or ``no annotation``."""
        if self.annotation is inspect.Parameter.empty:
            return "no annotation"
        return _type_text(self.annotation)


class Constructor:
    """Gives a fresh LightningModule at each call; seeding is the caller's job.

    Args:
        obj: A LightningModule class, a callable that returns a LightningModule, or a LightningModule.
        label: How messages name it.
        init: Arguments by name: plain data, as ``parse_init`` returns it, is typed and instantiated anew at
            each call, or passed as it is where it does not fit its annotation; any other object is copied.

    Raises:
        UsageError: ``init`` has a name that the callable does not take, or a written scalar of a wrong type.
        SubjectError: Stage ``construct``: an instance that cannot be copied.

    """

    def __init__(self, obj: Any, label: str = "", init: Mapping[str, Any] | None = None) -> None:
        self.obj = obj
        self.label = label or getattr(obj, "__qualname__", type(obj).__name__)
        self.is_instance = _is_module(obj)
        self.init = _checked_init(dict(init or {}), obj, self.label, strict=False)
        self._pristine = _copied(obj, self.label) if self.is_instance else None

    def __call__(self) -> Any:
        """Construct one.

        Raises:
            SubjectError: Stage ``construct``: arguments are missing, the constructor raises, or what it
                returns is no LightningModule.

        """
        if self.is_instance:
            return _copied(self._pristine, self.label)
        missing = [p for p in parameters(self.obj) if p.required and p.name not in self.init]
        if missing:
            raise SubjectError("construct", *_missing_arguments(missing, self.obj, self.label))
        module = _call(self.obj, self.init, self.label)
        if not _is_module(module):
            message = f"{self.label} returned {describe(module)}, not a LightningModule."
            raise SubjectError("construct", message, "A factory function returns the module that it makes.")
        return module

    def describe(self) -> str:
        """The arguments as options to paste; empty where there are none."""
        return " ".join(_option(name, value) for name, value in self.init.items())


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
    return _checked_init(raw, obj, getattr(obj, "__qualname__", type(obj).__name__), strict=True)


def load_config(path: str | Path) -> tuple[str | None, dict[str, Any]]:
    """Read a LightningCLI configuration: ``class_path`` and ``init_args``, at the top or under ``model:``.

    Raises:
        UsageError: The file is missing, is not YAML, or says nothing of a model.

    """
    try:
        content = yaml.load(Path(path).read_text("utf-8"), _YamlLoader)
    except OSError as exc:
        raise UsageError(f"The configuration file {path} cannot be read: {exc.strerror or exc}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise UsageError(f"The configuration file {path} is not YAML: {' '.join(str(exc).split())}") from None
    model = content.get("model", content) if isinstance(content, dict) else content
    if isinstance(model, str):
        return model, {}
    if isinstance(model, dict) and isinstance(model.get("init_args") or {}, dict):
        if {"class_path", "init_args"} & model.keys():
            return model.get("class_path"), dict(model.get("init_args") or {})
        if model is not content:
            return None, dict(model)
    advice = (
        "Write LightningCLI's form: `class_path: package.module.Class` and `init_args:` with its arguments."
    )
    raise UsageError(f"The configuration file {path} has no `class_path`, `init_args` or `model`.", advice)


def configured_class(obj: Any, class_path: str | None) -> Any:
    """The class that a configuration asks for: the target's own, or a subclass of it.

    Raises:
        UsageError: ``class_path`` cannot be imported, or names something else.

    """
    name = getattr(obj, "__qualname__", "")
    if class_path is None or class_path in (name, f"{getattr(obj, '__module__', '')}.{name}"):
        return obj
    try:
        found = _import_path(class_path)
    except Exception as exc:
        raise UsageError(f"class_path {class_path} cannot be imported: {type(exc).__name__}: {exc}") from exc
    if found is obj or (isinstance(found, type) and isinstance(obj, type) and issubclass(found, obj)):
        return found
    if isinstance(found, type) and _is_same_source(found, obj):
        return obj
    wanted = f"{getattr(obj, '__module__', '')}.{name}"
    message = f"class_path {class_path} is neither the target {wanted} nor a subclass of it."
    raise UsageError(message, "Name that class as the target, or change class_path.")


def parameters(obj: Any) -> list[Parameter]:
    """The named parameters of a class or callable, with those that its ``**kwargs`` hand on."""
    if _is_module(obj):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = [p for p in _signature(obj) if p.kind not in variadic]
    return [Parameter(p.name, p.annotation, p.default is inspect.Parameter.empty) for p in found]


def _signature(obj: Any) -> list[Any]:
    """Parameters as jsonargparse resolves them, else as Python does."""
    with suppress(Exception):
        from jsonargparse._parameter_resolvers import get_signature_parameters

        if isinstance(obj, type) or inspect.isfunction(obj):
            return list(get_signature_parameters(obj))
    with suppress(ValueError, TypeError):
        return list(inspect.signature(obj).parameters.values())
    return []


def _takes_any_keyword(obj: Any) -> bool:
    """Whether ``obj`` takes keywords by ``**kwargs`` of the user's own that could not be followed."""
    if isinstance(obj, type):
        owner = next((cls for cls in obj.__mro__ if "__init__" in vars(cls)), object)
        if owner.__module__.partition(".")[0] in {"builtins", "lightning", "pytorch_lightning", "torch"}:
            return False
    with suppress(ValueError, TypeError):
        own = inspect.signature(obj).parameters.values()
        followed = {parameter.name for parameter in parameters(obj)} - {p.name for p in own}
        return not followed and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own)
    return False


def _require_known(names: Mapping[str, Any], obj: Any, label: str) -> None:
    if names and _is_module(obj):
        message = f"{label} is an instance: it takes no constructor arguments ({', '.join(names)})."
        raise UsageError(message, "Name its class as the target to construct it with arguments.")
    valid = [parameter.name for parameter in parameters(obj)]
    unknown = [name for name in names if name not in valid]
    if unknown and not _takes_any_keyword(obj):
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
        return yaml.load(text, _YamlLoader)
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
    return bool(re.search(r"\b([Dd]ict|Mapping|Namespace)\b", _type_text(parameter.annotation)))


def _checked_init(init: Mapping[str, Any], obj: Any, label: str, strict: bool) -> dict[str, Any]:
    _require_known(init, obj, label)
    known = {parameter.name: parameter for parameter in parameters(obj)}
    return {
        name: _checked(known.get(name), value, obj) if strict or _has_written(value) else value
        for name, value in init.items()
    }


def _checked(parameter: Parameter | None, written: Any, obj: Any) -> Any:
    """The typed value where it is plain data, else the value as written."""
    as_yaml = _map_written(written, _yaml)
    if parameter is None or not parameter.is_typed:
        return as_yaml
    raw = (
        as_yaml
        if isinstance(written, dict) and _is_mapping(parameter)
        else _map_written(written, _list_or_text)
    )
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
    if "Callable" in _type_text(parameter.annotation) and isinstance(value, str):
        with suppress(Exception):
            found = _import_path(value)
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
    add = parser.add_class_arguments if isinstance(obj, type) else parser.add_function_arguments
    with suppress(Exception):
        return parser if add(obj, fail_untyped=False, skip=others) else None
    return None


def _arguments(obj: Any, init: Mapping[str, Any]) -> dict[str, Any]:
    known = {parameter.name: parameter for parameter in parameters(obj)}
    return {name: _instantiated(known.get(name), value, obj) for name, value in init.items()}


def _instantiated(parameter: Parameter | None, value: Any, obj: Any) -> Any:
    """A fresh argument: plain data instantiated by the annotation, any other object copied."""
    value = _copy_or_same(value)
    if parameter is None or not parameter.is_typed or _plain(value) is _NOT_PLAIN:
        return value
    if isinstance(value, dict) and parameter.annotation is argparse.Namespace:
        return argparse.Namespace(**value)
    parser = _parser(obj, parameter.name)
    if parser is None:
        return value
    try:
        parsed = parser.parse_object({parameter.name: copy.deepcopy(value)})
    except Exception:
        return _imported_callable(parameter, value) or value
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(parsed).get(parameter.name)


def _copy_or_same(value: Any) -> Any:
    with suppress(Exception):
        return copy.deepcopy(value)
    return value


def _call(obj: Any, init: Mapping[str, Any], label: str) -> Any:
    try:
        return obj(**_arguments(obj, init))
    except (Exception, SystemExit) as exc:
        raise SubjectError("construct", _failure(label, exc, obj), cause=exc) from exc


def _failure(label: str, exc: BaseException, obj: Any) -> str:
    place = user_place(exc, keep=_source_files(obj))
    where = f" ({place[0]}:{place[1]})" if place else ""
    return f"{label} cannot be constructed: {type(exc).__name__}: {exc}{where}"


def _source_files(obj: Any) -> list[str]:
    with suppress(TypeError, OSError):
        return [inspect.getfile(obj if isinstance(obj, type) or inspect.isroutine(obj) else type(obj))]
    return []


def _is_module(obj: Any) -> bool:
    return not isinstance(obj, type) and package_of(obj) is not None


def _copied(instance: Any, label: str) -> Any:
    try:
        return copy.deepcopy(instance)
    except Exception as exc:
        name = type(instance).__name__
        message = f"{label} is an instance that cannot be copied: {type(exc).__name__}: {exc}"
        advice = (
            f"Write a factory function, `def make_module(): return {name}(...)`, and name it as the target."
        )
        raise SubjectError("construct", message, advice, exc) from exc


def _missing_arguments(missing: Sequence[Parameter], obj: Any, label: str) -> tuple[str, str]:
    width = max(len(parameter.name) for parameter in missing)
    lines = [f"  {parameter.name:<{width}}  {parameter.type_text}" for parameter in missing]
    options = " ".join(f"--lightning-init {p.name}=<{_placeholder(p)}>" for p in missing)
    arguments = ", ".join(f"{p.name}=..." for p in missing)
    message = f"{label} has required arguments without a value:\n" + "\n".join(lines)
    name = getattr(obj, "__name__", type(obj).__name__)
    factory = f"def make_module(): return {name}({arguments})"
    place = label.rpartition(":")[0]
    place = place if place.endswith(".py") else "path/to/file.py"
    return message, f"{options}\nor write `{factory}` and --lightning-module={place}:make_module"


def _placeholder(parameter: Parameter) -> str:
    return parameter.type_text if parameter.annotation is not inspect.Parameter.empty else "value"


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        module = re.sub(r"^torch\.nn\.modules\.\w+$", "torch.nn", annotation.__module__)
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return re.sub(r"\btyping\.", "", str(annotation)).replace("torch.nn.modules.module.", "torch.nn.")


def _import_path(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    if not module:
        raise ImportError("it names no module")
    return getattr(importlib.import_module(module), name)


def _is_same_source(first: Any, second: Any) -> bool:
    """Whether two classes are one class of one file, imported under two names."""
    same_name = first.__qualname__ == getattr(second, "__qualname__", None)
    return same_name and _source_files(first) == _source_files(second) != []


def _option(name: str, value: Any) -> str:
    if _plain(value) is _NOT_PLAIN:
        text = f"{name}=<{type(value).__name__}>"
    elif isinstance(value, str) and _yaml(value) != value:
        text = json.dumps({name: value})
    else:
        text = f"{name}={value if isinstance(value, str) else json.dumps(value)}"
    return f"--lightning-init {shlex.quote(text)}"
