"""Reads from the caller's code what it asks of a batch: of which class it is, whether an attribute is there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lightning_conformance.subjects.code_reading.syntax import nodes_around

QUESTIONS = ("isinstance", "is_tensor", "hasattr", "getattr")
# Whose questions are about their own business: the probe answers them as an object of no known class.
LIBRARIES = {"torch", "lightning", "pytorch_lightning", "lightning_fabric", "lightning_utilities", "torchmetrics"}


def asking_frame(frame: FrameType | None) -> FrameType | None:
    """The frame of the user's that asks; None where a library asks for itself."""
    while frame is not None and _is_go_between(frame):
        frame = frame.f_back
    if frame is None or str(frame.f_globals.get("__name__", "")).partition(".")[0] in LIBRARIES:
        return None
    return frame


def _is_go_between(frame: FrameType) -> bool:
    """``torch.is_tensor`` and ``abc.ABCMeta.__instancecheck__`` ask in the name of their callers."""
    name = frame.f_code.co_name
    return name == "__instancecheck__" or (name == "is_tensor" and frame.f_globals.get("__name__") == "torch")


def classes_asked(frame: FrameType) -> tuple[Any, ...]:
    """The classes of the ``isinstance`` (or ``torch.is_tensor``) that ``frame`` is executing; empty if it is none."""
    found: list[Any] = []
    for call in _calls_at(frame):
        name = _name_of(call)
        if name == "is_tensor":
            found.append(getattr(sys.modules.get("torch"), "Tensor", None))
        elif name == "isinstance" and len(call.args) == 2:
            found.extend(_values(call.args[1], frame))
    return tuple(value for value in found if isinstance(value, type))


def is_optional_attribute(frame: FrameType) -> bool:
    """Whether ``frame`` is executing ``hasattr``, or a ``getattr`` with a default."""
    names = [(_name_of(call), len(call.args)) for call in _calls_at(frame)]
    return ("hasattr", 2) in names or ("getattr", 3) in names


def _name_of(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _calls_at(frame: FrameType) -> Iterator[ast.Call]:
    """The calls at the current instruction: exactly one where Python knows columns, else those of the line."""
    nodes = nodes_around(frame)
    calls = [node for node in nodes if isinstance(node, ast.Call) and _name_of(node) in QUESTIONS]
    positions = getattr(frame.f_code, "co_positions", None)
    if positions is not None:
        line, end_line, column, end_column = list(positions())[frame.f_lasti // 2]
        exact = [c for c in calls if (c.lineno, c.end_lineno, c.col_offset, c.end_col_offset)
                 == (line, end_line, column, end_column)]  # fmt: skip
        if exact:
            yield from exact
            return
    yield from (c for c in calls if c.lineno <= frame.f_lineno <= (c.end_lineno or c.lineno))


def _values(node: ast.expr, frame: FrameType) -> list[Any]:
    """What names, attributes, tuples and unions of them stand for in a frame; nothing is executed."""
    if isinstance(node, ast.Tuple):
        return [value for item in node.elts for value in _values(item, frame)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_values(node.left, frame), *_values(node.right, frame)]
    if isinstance(node, ast.Name):
        scopes: tuple[Any, ...] = (frame.f_locals, frame.f_globals, frame.f_builtins)
        value = next((scope[node.id] for scope in scopes if node.id in scope), None)
        return list(value) if isinstance(value, tuple) else [value]
    if isinstance(node, ast.Attribute):
        owners = _values(node.value, frame)
        return [vars(owner).get(node.attr) for owner in owners if hasattr(owner, "__dict__")]
    return []
