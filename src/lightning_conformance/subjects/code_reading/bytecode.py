"""Reads from a frame's bytecode what happens to a value. Python 3.10 to 3.13 differ in much of it.

3.11 calls by two instructions, and inlines a call's cache into the code; 3.12 inlines comprehensions, and drops a
store that the next one overwrites; 3.13 joins two stores, or a store and a load, to one instruction.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType

from lightning_conformance.subjects.code_reading.targets import Items, Unpacking, unpacking

Instructions = list[dis.Instruction]
_SILENT = ("CACHE", "EXTENDED_ARG", "NOP")
_UNPACKING = ("UNPACK_SEQUENCE", "UNPACK_EX")
_NAME_STORES = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF")
_PLACE_STORES = ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE")
_BEFORE_A_LOOP = ("LOAD_FAST_AND_CLEAR", "SWAP", "COPY", "BUILD_LIST", "BUILD_SET", "BUILD_MAP", "MAKE_CELL")
_CALLS = ("CALL", "CALL_FUNCTION", "PRECALL")
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def instruction_of(frame: FrameType) -> str:
    """The name of the frame's current instruction."""
    before, _ = _around(frame)
    return before[-1].opname if before else ""


def unpacking_now(frame: FrameType) -> Unpacking | None:
    """The unpacking that is the frame's current instruction."""
    before, after = _around(frame)
    return _unpacked(before[-1], after) if before and before[-1].opname in _UNPACKING else None


def unpacking_next(frame: FrameType) -> Unpacking | None:
    """The unpacking of what the frame's current instruction makes."""
    before, after = _around(frame)
    if before and before[-1].opname == "PRECALL":
        after = after[1:]  # once it is specialised, it makes the call itself
    return _unpacked(after[0], after[1:]) if after and after[0].opname in _UNPACKING else None


def items_now(frame: FrameType) -> Items | None:
    """The loop, comprehension or generator expression that the frame's current instruction starts."""
    before, after = _around(frame)
    if not before or before[-1].opname != "GET_ITER":
        return None
    for at, instruction in enumerate(after):
        if instruction.opname == "FOR_ITER":
            return _items(after[at + 1 :])
        if instruction.opname in _CALLS:
            code = _comprehension_before(before)
            return _items_of_comprehension(code) if code else None
        if instruction.opname not in _BEFORE_A_LOOP:
            return None
    return None


def _around(frame: FrameType) -> tuple[Instructions, Instructions]:
    """The instructions up to the current one, which is the last, and those after it."""
    starts, instructions = _told(frame.f_code)
    count = bisect_right(starts, frame.f_lasti)
    return instructions[:count], instructions[count:]


@lru_cache(maxsize=256)
def _told(code: CodeType) -> tuple[list[int], Instructions]:
    """The instructions that do something, and where each begins."""
    told = [(start, i) for start, i in _with_starts(code) if i.opname not in _SILENT]
    return [start for start, _ in told], [i for _, i in told]


def _with_starts(code: CodeType) -> Iterator[tuple[int, dis.Instruction]]:
    """The instructions, with where each begins: the frame may point at the prefix of one, or into the cache behind."""
    start = None
    for instruction in dis.get_instructions(code):
        start = instruction.offset if start is None else start
        if instruction.opname != "EXTENDED_ARG":
            yield start, instruction
            start = None


def _instructions(code: CodeType) -> Instructions:
    return [i for i in dis.get_instructions(code) if i.opname not in _SILENT]


@dataclass(frozen=True)
class _Target:
    name: str | None = None
    unpacks: dis.Instruction | None = None


def _unpacked(here: dis.Instruction, after: Instructions) -> Unpacking:
    return _read(here, _targets(after))


def _read(here: dis.Instruction, targets: Iterator[_Target]) -> Unpacking:
    count, starred = int(here.arg or 0), None
    if here.opname == "UNPACK_EX":
        starred, after = count & 0xFF, count >> 8
        count = starred + after + 1
    names: list[str | None] = []
    nested: list[Unpacking | None] = []
    for _ in range(count):
        target = next(targets, _Target())
        names.append(target.name)
        nested.append(_read(target.unpacks, targets) if target.unpacks else None)
    return unpacking(names, nested, starred)


def _items(after: Instructions) -> Items:
    targets = _targets(after)
    first = next(targets, _Target())
    return Items(first.name, _read(first.unpacks, targets) if first.unpacks else None)


def _targets(instructions: Instructions) -> Iterator[_Target]:
    """The targets to which values on the stack go, one after the other, those that are unpacked in turn included."""
    dropped = 0
    inside = False  # the expression before an attribute's or an item's store
    for instruction in instructions:
        name, value = instruction.opname, instruction.argval
        if name in _PLACE_STORES:
            inside = False
            yield _Target(str(value) if name == "STORE_ATTR" else None)
        elif inside:
            continue
        elif name in _UNPACKING:
            yield _Target(unpacks=instruction)
        elif name == "POP_TOP":
            dropped += 1
        elif name in _NAME_STORES or name in ("STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST"):
            stored = value if isinstance(value, tuple) else (value,)
            first = _Target(str(stored[0]))
            # The compiler drops a store that the next one overwrites: `_, _, y = batch`.
            yield from [first] * (dropped + 1)
            dropped = 0
            if name == "STORE_FAST_STORE_FAST":
                yield _Target(str(stored[1]))
            inside = name == "STORE_FAST_LOAD_FAST"
        else:
            inside = True


def _comprehension_before(before: Instructions) -> CodeType | None:
    """The code of the comprehension whose iterable ``before`` ends with; others may stand inside the iterable."""
    finished = 0
    for at in range(len(before) - 2, 0, -1):
        if before[at].opname == "GET_ITER" and before[at + 1].opname in _CALLS:
            finished += 1
        elif before[at].opname == "MAKE_FUNCTION":
            code = next((i.argval for i in before[at - 1 : None : -1] if isinstance(i.argval, CodeType)), None)
            if code is None or code.co_name not in _COMPREHENSIONS:
                continue
            if not finished:
                return code
            finished -= 1
    return None


def _items_of_comprehension(code: CodeType) -> Items | None:
    inner = _instructions(code)
    at = next((n for n, i in enumerate(inner) if i.opname == "FOR_ITER"), None)
    return None if at is None else _items(inner[at + 1 :])
