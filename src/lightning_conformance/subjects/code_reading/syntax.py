"""The part of a file's syntax tree that a frame is in: to go through a long file takes longer than a step."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType


def nodes_around(frame: FrameType) -> tuple[ast.AST, ...]:
    """The nodes of the innermost function that the frame's line is in, or of the statement outside any function."""
    text = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    return _nodes_around(text, frame.f_lineno)


@lru_cache(maxsize=256)
def _nodes_around(text: str, line: int) -> tuple[ast.AST, ...]:
    tree = _parsed(text)
    if tree is None:
        return ()
    around = list(_covering(tree, line))
    functions = [node for node in around if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tops: list[ast.AST] = [*functions[-1:]] or [node for node in around if node in tree.body]
    return tuple(node for top in tops for node in ast.walk(top))


@lru_cache(maxsize=32)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _covering(node: ast.AST, line: int) -> Iterator[ast.AST]:
    """The statements over the line, the outer ones first."""
    for child in ast.iter_child_nodes(node):
        first, last = getattr(child, "lineno", line), getattr(child, "end_lineno", None) or line
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and first <= line <= last:
            yield child
            yield from _covering(child, line)
