"""Reads from the caller's code into how many names, and which, it unpacks a value."""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True)
class Unpacking:
    """The targets of an unpacking assignment.

    Args:
        names: One for each target; None where it is no plain name.
    """

    names: tuple[str | None, ...]


def read_unpacking(frame: FrameType, use_bytecode: bool = True) -> Unpacking | None:
    """The unpacking that ``frame`` is executing; None where it executes something else.

    Args:
        frame: The frame whose current instruction iterates the value.
        use_bytecode: False reads the source instead, which is also done where the bytecode says nothing.
    """
    found = _from_bytecode(frame) if use_bytecode else None
    return found or _from_source(frame)


def _from_bytecode(frame: FrameType) -> Unpacking | None:
    instructions = _instructions(frame)
    at = [n for n, i in enumerate(instructions) if i.offset <= frame.f_lasti]
    if not at:
        return None
    here = instructions[at[-1]]
    if here.opname == "UNPACK_SEQUENCE":
        count = int(here.arg or 0)
    elif here.opname == "UNPACK_EX":
        count = ((here.arg or 0) & 0xFF) + ((here.arg or 0) >> 8) + 1
    else:
        return None
    return Unpacking(_stored_names(instructions[at[-1] + 1 :], count))


def _stored_names(following: list[dis.Instruction], count: int) -> tuple[str | None, ...]:
    names: list[str | None] = []
    for instruction in following:
        if len(names) >= count or not instruction.opname.startswith("STORE_"):
            break
        values = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
        stores = 2 if instruction.opname == "STORE_FAST_STORE_FAST" else 1
        names.extend(v if isinstance(v, str) else None for v in values[:stores])
    return tuple((names + [None] * count)[:count])


def names_unpacked_next(frame: FrameType) -> int | None:
    """Into how many names ``frame`` unpacks what its current instruction makes; None if it does not."""
    following = [i for i in _instructions(frame) if i.offset > frame.f_lasti]
    is_unpacked = bool(following) and following[0].opname == "UNPACK_SEQUENCE"
    return int(following[0].arg or 0) if is_unpacked else None


def _instructions(frame: FrameType) -> list[dis.Instruction]:
    return [i for i in dis.get_instructions(frame.f_code) if i.opname not in ("CACHE", "EXTENDED_ARG")]


def _from_source(frame: FrameType) -> Unpacking | None:
    try:
        lines, start = inspect.getsourcelines(frame.f_code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    line = frame.f_lineno - max(start, 1) + 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.lineno <= line <= (node.end_lineno or node.lineno):
            target = node.targets[0]
            if isinstance(target, ast.Tuple | ast.List):
                return Unpacking(tuple(e.id if isinstance(e, ast.Name) else None for e in target.elts))
    return None
