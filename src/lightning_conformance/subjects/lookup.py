"""What a module holds that a target can name, and what an object is, in words."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from ..lightning_api import is_bare_lightning_module, is_datamodule, package_of


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``Did you mean `X`?``, or nothing where no valid name is near."""
    folded = {other.lower(): other for other in valid}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    return f"Did you mean `{folded[near[0]]}`?" if near else ""


def modules_in_source(source: str) -> list[str]:
    """Names of the LightningModule classes in a source text, and of the functions that return one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    classes: dict[str, ast.ClassDef] = dict(_class_definitions(tree))
    found = {name for name, node in classes.items() if _looks_like_module(node)}
    while grown := {n for n, node in classes.items() if n not in found and found & set(_base_names(node))}:
        found |= grown
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and _gives_one_of(node, found)]
    return [name for name in classes if name in found] + [node.name for node in functions]


def module_makers(module: ModuleType) -> list[str]:
    """Names in an imported module that a target can name: LightningModules and their factories."""
    names = [
        name
        for name, value in vars(module).items()
        if package_of(value) is not None and not is_bare_lightning_module(value)
    ]
    with suppress(OSError, TypeError):
        names += modules_in_source(inspect.getsource(module))
    return list(dict.fromkeys(names))


def _class_definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _class_definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _class_definitions(child, prefix)


def _base_names(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base) for base in node.bases]


def _looks_like_module(node: ast.ClassDef) -> bool:
    hooks = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    named = any(name.rpartition(".")[2] == "LightningModule" for name in _base_names(node))
    return named or (bool(node.bases) and "training_step" in hooks)


def _gives_one_of(node: ast.FunctionDef, classes: set[str]) -> bool:
    returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
    called = {ast.unparse(value.func) for value in returned if isinstance(value, ast.Call)}
    annotation = ast.unparse(node.returns).strip("'\"") if node.returns else ""
    return bool(called & classes) or annotation in classes or annotation.endswith("LightningModule")


def _torch_base() -> Any:
    return getattr(sys.modules.get("torch.nn"), "Module", None)


def is_torch_module(obj: Any) -> bool:
    """Whether an object is a ``torch.nn.Module``; torch is not imported to find out."""
    base = _torch_base()
    return base is not None and isinstance(obj, base)


def describe(obj: Any) -> str:
    """What an object is, in words: ``an instance of int (3)``, ``a torch.nn.Module class``."""
    base = _torch_base()
    if isinstance(obj, ModuleType):
        return "a Python module"
    if isinstance(obj, type):
        torch_class = base is not None and issubclass(obj, base)
        kind = "a LightningDataModule" if is_datamodule(obj) else "a torch.nn.Module" if torch_class else "a plain"
        return f"{kind} class"
    if is_torch_module(obj):
        return f"a torch.nn.Module ({type(obj).__name__})"
    if obj is None:
        return "None"
    text = repr(obj)
    return f"an instance of {type(obj).__name__} ({text if len(text) <= 60 else text[:57] + '...'})"
