"""The words that the user's code compares an argument with."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


def choices(obj: Any, name: str) -> list[str]:
    """Strings that the source of a class or function compares ``name`` with, in the order in which they stand there."""
    trees = list(_trees(obj))
    names = {name, *(alias for tree in trees for node in ast.walk(tree) for alias in _aliases(node, name))}
    found: dict[str, None] = {}
    for tree in trees:
        for node in ast.walk(tree):
            for each in names:
                found.update(dict.fromkeys(_compared(node, each)))
    return list(found)


def _aliases(node: ast.AST, name: str) -> Iterator[str]:
    """Attributes that a name is assigned to: ``self.kind = mode``."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return
    target, value = node.targets[0], node.value
    pairs = [(target, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=False))
    for left, right in pairs:
        if isinstance(left, ast.Attribute) and isinstance(right, ast.Name) and right.id == name:
            yield left.attr


def sizes_a_layer(obj: Any, name: str) -> bool:
    """Whether the source hands ``name`` on to a layer of ``torch.nn``: ``nn.Linear(name, 3)``."""
    for tree in _trees(obj):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and re.match(r"(torch\.)?nn\.[A-Z]\w+$", ast.unparse(node.func)):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                if any(isinstance(each, ast.Name) and each.id == name for each in given):
                    return True
    return False


def _trees(obj: Any) -> Iterator[ast.AST]:
    classes = [cls for cls in obj.__mro__ if cls.__module__ == obj.__module__] if isinstance(obj, type) else [obj]
    for each in classes:
        with suppress(OSError, TypeError, SyntaxError, ValueError):
            yield ast.parse(textwrap.dedent(inspect.getsource(each)))


def _compared(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.Compare) and _is_called(node.left, name):
        for other in node.comparators:
            yield from _texts(other)
    elif isinstance(node, ast.Match) and _is_called(node.subject, name):
        for case in node.cases:
            yield from _texts(case.pattern)
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict) and _is_called(node.slice, name):
        for key in node.value.keys:
            yield from _texts(key)


def _is_called(node: ast.AST, name: str) -> bool:
    """Whether an expression reads a name, an attribute or a key, perhaps in lower case."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_called(node.func.value, name)
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == name
    return (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name)


def _texts(node: ast.AST | None) -> Iterator[str]:
    for part in ast.walk(node) if node is not None else ():
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
