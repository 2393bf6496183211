"""A configuration file in LightningCLI's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import UsageError
from .arguments import YamlLoader, import_path
from .construct import source_files


def load_config(path: str | Path) -> tuple[str | None, dict[str, Any]]:
    """Read a LightningCLI configuration: ``class_path`` and ``init_args``, at the top or under ``model:``.

    Raises:
        UsageError: The file is missing, is not YAML, or says nothing of a model.

    """
    try:
        content = yaml.load(Path(path).read_text("utf-8"), YamlLoader)
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
    advice = "Write LightningCLI's form: `class_path: package.module.Class` and `init_args:` with its arguments."
    raise UsageError(f"The configuration file {path} has no `class_path`, `init_args` or `model`.", advice)


def declared_file(config: Any, obj: Any) -> str:
    """The path of a configuration that a class's own file names: beside that file, where it is there."""
    if not config:
        return ""
    for file in source_files(obj):
        if (beside := Path(file).parent / config).is_file():
            return str(beside)
    return str(config)


def configured_class(obj: Any, class_path: str | None) -> Any:
    """The class that a configuration asks for: the target's own, or a subclass of it.

    Raises:
        UsageError: ``class_path`` cannot be imported, or names something else.

    """
    name = getattr(obj, "__qualname__", "")
    if class_path is None or class_path in (name, f"{getattr(obj, '__module__', '')}.{name}"):
        return obj
    try:
        found = import_path(class_path)
    except Exception as exc:
        raise UsageError(f"class_path {class_path} cannot be imported: {type(exc).__name__}: {exc}") from exc
    if found is obj or (isinstance(found, type) and isinstance(obj, type) and issubclass(found, obj)):
        return found
    if isinstance(found, type) and _is_same_source(found, obj):
        return obj
    wanted = f"{getattr(obj, '__module__', '')}.{name}"
    message = f"class_path {class_path} is neither the target {wanted} nor a subclass of it."
    raise UsageError(message, "Name that class as the target, or change class_path.")


def _is_same_source(first: Any, second: Any) -> bool:
    """Whether two classes are one class of one file, imported under two names."""
    same_name = first.__qualname__ == getattr(second, "__qualname__", None)
    return same_name and source_files(first) == source_files(second) != []
