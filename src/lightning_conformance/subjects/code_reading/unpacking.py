"""What the code that is running does with a value, as far as it says it: targets, loops, calls.

Every function takes the frame that uses the value at this moment. ``use_bytecode`` false reads the source alone, as is
done where the bytecode says nothing; the environment variable ``LIGHTNING_CONFORMANCE_READ_SOURCE`` makes that the
default, for the sake of tests.
"""

from __future__ import annotations

import os
from types import FrameType

from lightning_conformance.subjects.code_reading import bytecode, source
from lightning_conformance.subjects.code_reading.targets import Items, StarredCall, Unpacking

READ_SOURCE = "LIGHTNING_CONFORMANCE_READ_SOURCE"


def read_unpacking(frame: FrameType, use_bytecode: bool | None = None) -> Unpacking | None:
    """What ``frame`` unpacks the value that it iterates into; None where it does something else.

    ``x, y = list(batch)`` and ``x, y = (part.float() for part in batch)`` tell as much as ``x, y = batch``.
    """
    if not _by_bytecode(use_bytecode):
        return source.unpacking_at(frame)
    return bytecode.unpacking_now(frame) or source.unpacking_at(frame, targets=False)


def read_items(frame: FrameType, use_bytecode: bool | None = None) -> Items | None:
    """What ``frame`` assigns each item of the value to: ``for x, y in batch``, ``x, y = zip(*batch)``."""
    found = bytecode.items_now(frame) if _by_bytecode(use_bytecode) else None
    return found or source.items_at(frame)


def read_starred_call(frame: FrameType, mapping: bool = False) -> StarredCall | None:
    """The call over whose arguments ``frame`` spreads the value: ``f(*batch)``; it is read from the source alone.

    Args:
        frame: The frame that iterates the value, or asks for its keys.
        mapping: Whether it is spread over names: ``f(**batch)``.
    """
    return source.starred_call_at(frame, mapping)


def unpacked_next(frame: FrameType, use_bytecode: bool | None = None) -> Unpacking | None:
    """What ``frame`` unpacks the result of its current instruction into: a shape, for instance."""
    return bytecode.unpacking_next(frame) if _by_bytecode(use_bytecode) else source.unpacking_of_shape_at(frame)


def names_unpacked_next(frame: FrameType, use_bytecode: bool | None = None) -> int | None:
    """Into how many names ``frame`` unpacks what its current instruction makes; None if that is not said."""
    found = unpacked_next(frame, use_bytecode)
    return len(found.names) if found is not None and found.starred is None else None


def _by_bytecode(use_bytecode: bool | None) -> bool:
    return not os.environ.get(READ_SOURCE) if use_bytecode is None else use_bytecode
