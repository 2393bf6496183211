"""Reads from the code that is running what it is about to do with a value; needs nothing but Python."""

from __future__ import annotations

from lightning_conformance.subjects.code_reading.targets import Items, StarredCall, Unpacking
from lightning_conformance.subjects.code_reading.unpacking import (
    names_unpacked_next,
    read_items,
    read_starred_call,
    read_unpacking,
    unpacked_next,
)

__all__ = [
    "Items",
    "StarredCall",
    "Unpacking",
    "names_unpacked_next",
    "read_items",
    "read_starred_call",
    "read_unpacking",
    "unpacked_next",
]
