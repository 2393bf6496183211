"""Reads from the source what happens to a value, where the bytecode does not say it or cannot be read.

Python 3.11 and later know the columns of the current instruction; before, its line has to do, and where two answers
would be possible for it, there is none.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import TypeGuard, TypeVar

from lightning_conformance.subjects.code_reading.syntax import nodes_around
from lightning_conformance.subjects.code_reading.targets import (
    Items,
    StarredCall,
    Unpacking,
    name_of,
    unpacking_of,
)

Found = TypeVar("Found", Unpacking, Items, StarredCall)
Range = tuple[int, int, int, int]  # first and last line, first and last column (in bytes)
_COPYING = ("list", "tuple", "iter")  # what they give has the elements that they were given
_SHAPES = ("shape", "size")


@dataclass(frozen=True)
class Site:
    """A place in the source where something happens to a value.

    Args:
        where: The node whose instruction takes the value.
        found: What happens to it.
        of_target: Whether the node is a target: the instruction is the unpacking itself.
        of_shape: Whether the value is one that the node makes.
        of_mapping: Whether the value is spread over names.
    """

    where: Range
    found: Unpacking | Items | StarredCall
    of_target: bool = False
    of_shape: bool = False
    of_mapping: bool = False


def unpacking_at(frame: FrameType, targets: bool = True) -> Unpacking | None:
    """The targets of the value that the frame iterates.

    Args:
        frame: The frame.
        targets: False where its current instruction is known to be no unpacking.
    """
    sites = [s for s in _sites_of(frame) if not s.of_shape and (targets or not s.of_target)]
    return _chosen(frame, sites, Unpacking)


def unpacking_of_shape_at(frame: FrameType) -> Unpacking | None:
    """The targets of the shape that the frame reads."""
    return _chosen(frame, [s for s in _sites_of(frame) if s.of_shape], Unpacking)


def items_at(frame: FrameType) -> Items | None:
    """The targets of each item of the value that the frame iterates."""
    return _chosen(frame, _sites_of(frame), Items)


def starred_call_at(frame: FrameType, mapping: bool) -> StarredCall | None:
    """The call over whose arguments the frame spreads the value."""
    return _chosen(frame, [s for s in _sites_of(frame) if s.of_mapping == mapping], StarredCall)


def _chosen(frame: FrameType, sites: Iterable[Site], kind: type[Found]) -> Found | None:
    where, line = _columns(frame), frame.f_lineno
    sites = [s for s in sites if isinstance(s.found, kind)]
    if where is not None:
        sites = [s for s in sites if s.where == where]
    else:
        around = [s for s in sites if s.where[0] <= line <= s.where[1]]
        height = min((s.where[1] - s.where[0] for s in around), default=0)
        sites = [s for s in around if s.where[1] - s.where[0] == height]
    found = dict.fromkeys(s.found for s in sites if isinstance(s.found, kind))
    return next(iter(found)) if len(found) == 1 else None


def _columns(frame: FrameType) -> Range | None:
    if sys.version_info < (3, 11) or frame.f_lasti < 0:
        return None
    first, last, start, end = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return None if first is None or last is None or start is None or end is None else (first, last, start, end)


def _sites_of(frame: FrameType) -> tuple[Site, ...]:
    return _sites_in(nodes_around(frame))


@lru_cache(maxsize=256)
def _sites_in(nodes: tuple[ast.AST, ...]) -> tuple[Site, ...]:
    return tuple(site for node in nodes for site in _sites(node))


def _sites(node: ast.AST) -> Iterator[Site]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _own_targets(node.optional_vars)
    elif isinstance(node, ast.For):
        yield from _looped(node.target, node.iter, node)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        for generator in node.generators:
            yield from _looped(generator.target, generator.iter, node)
    elif isinstance(node, ast.Call):
        yield from _spread(node)


def _own_targets(target: ast.expr) -> Iterator[Site]:
    """Unpackings at the target itself, and at those inside it."""
    found = unpacking_of(target)
    if found is not None and isinstance(target, ast.Tuple | ast.List):
        yield Site(_range(target), found, of_target=True)
        for element in target.elts:
            yield from _own_targets(element.value if isinstance(element, ast.Starred) else element)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[Site]:
    yield from _own_targets(target)
    found = unpacking_of(target)
    if found is None:
        return
    if _is_shape(value):
        yield Site(_range(value), found, of_shape=True)
    if isinstance(value, ast.Call) and _is_zipped(value):
        yield Site(_range(value), Items(unpacking=found))
    for where in _alike(value):
        yield Site(where, found)


def _looped(target: ast.expr, value: ast.expr, loop: ast.stmt | ast.expr) -> Iterator[Site]:
    yield from _own_targets(target)
    found = unpacking_of(target)
    if isinstance(value, ast.Call) and _is_zipped(value):
        # Each element of the value gives one part of what the loop unpacks.
        if found is not None:
            yield Site(_range(value), found)
    elif isinstance(value, ast.Call) and name_of(value.func) == "enumerate":
        if isinstance(target, ast.Tuple) and len(target.elts) == 2:
            item = target.elts[1]
            yield Site(_range(value), Items(name_of(item), unpacking_of(item)))
    else:
        for where in [_start(loop, value), *map(_range, _copied(value))]:
            yield Site(where, Items(name_of(target), found))


def _start(loop: ast.stmt | ast.expr, value: ast.expr) -> Range:
    """Where the compiler says that a loop starts."""
    if sys.version_info >= (3, 13):
        return _range(value)
    if sys.version_info >= (3, 11):
        return _range(loop)
    end = value.end_lineno or value.lineno
    return loop.lineno, max(end, loop.end_lineno or end) if isinstance(loop, ast.expr) else end, 0, 0


def _alike(value: ast.expr) -> Iterator[Range]:
    """The nodes that iterate something which has as many elements as ``value`` has."""
    if isinstance(value, ast.ListComp | ast.GeneratorExp) and len(value.generators) == 1:
        generator = value.generators[0]
        if not generator.ifs:
            yield _start(value, generator.iter)
            yield from _alike(generator.iter)
    elif _calls(value, ("map",), 2) or _calls(value, _COPYING, 1):
        yield _range(value)
        yield from _alike(value.args[-1])


def _copied(value: ast.expr) -> Iterator[ast.expr]:
    """The nodes that iterate something which has the same elements as ``value`` has."""
    if _calls(value, _COPYING, 1):
        yield value
        yield from _copied(value.args[0])


def _calls(value: ast.expr, functions: tuple[str, ...], count: int) -> TypeGuard[ast.Call]:
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name) or value.keywords:
        return False
    return value.func.id in functions and len(value.args) == count


def _is_shape(value: ast.expr) -> bool:
    called = value.func if isinstance(value, ast.Call) and not value.args else value
    return isinstance(called, ast.Attribute) and called.attr in _SHAPES


def _is_zipped(value: ast.Call) -> bool:
    return name_of(value.func) == "zip" and len(value.args) == 1 and isinstance(value.args[0], ast.Starred)


def _spread(call: ast.Call) -> Iterator[Site]:
    callee = ast.unparse(call.func)
    named = tuple(k.arg for k in call.keywords if k.arg is not None)
    for position, argument in enumerate(call.args):
        if isinstance(argument, ast.Starred):
            is_first = not any(isinstance(a, ast.Starred) for a in call.args[:position])
            yield Site(_range(call), StarredCall(callee, position if is_first else None, named))
    if any(k.arg is None for k in call.keywords):
        is_plain = not any(isinstance(a, ast.Starred) for a in call.args)
        found = StarredCall(callee, len(call.args) if is_plain else None, named)
        yield Site(_range(call), found, of_mapping=True)


def _range(node: ast.stmt | ast.expr) -> Range:
    return node.lineno, node.end_lineno or node.lineno, node.col_offset, node.end_col_offset or 0
