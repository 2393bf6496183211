"""Where the module's own code asks which rank it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lightning_conformance.checks.source import line_of, method_tree
from lightning_conformance.recording.model import MethodSource, Place, Recording

_WORDS = {"global_rank", "local_rank", "is_global_zero", "get_rank", "rank", "node_rank"}


def rank_condition(recording: Recording) -> Place | None:
    """The first condition on the rank."""
    for method, node in _conditions(recording):
        return line_of(method, node.test)
    return None


def rank_edit(recording: Recording) -> Place | None:
    """The first line under a condition on the rank that writes into something: `x.mul_(2)`, `x.data = y`."""
    for method, node in _conditions(recording):
        for each in ast.walk(ast.Module(node.body + node.orelse, [])):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr.endswith("_"):
                return line_of(method, each)
            if isinstance(each, ast.Assign) and any(_is_data(target) for target in each.targets):
                return line_of(method, each)
    return None


def _conditions(recording: Recording) -> Iterator[tuple[MethodSource, ast.If]]:
    for method in recording.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.If) and any(_name(part) in _WORDS for part in ast.walk(node.test)):
                yield method, node


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", "") or getattr(node, "id", ""))


def _is_data(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "data" for part in ast.walk(node))
