"""Read from the running code what it means by a device."""

from __future__ import annotations

import inspect
import linecache
import re
from functools import cache
from types import FrameType

from lightning_conformance.recording.model import Place

_CPU = re.compile(r"""["']cpu["']""")
# A line that chooses, or asks, says "cpu" for the case that there is nothing else.
_CHOICE = re.compile(r"\bif\b|\bor\b|is_available|==|!=|\.get\(|device_count")
# A file in which the device is found out, or handed in: what it calls its device may be any.
_FOUND_OUT = re.compile(r"is_available|device_count|\.type\b|device_type|def \w+\([^)]*\bdevice\b|current_device")
_MAKES_TENSOR = re.compile(r"\b(?:Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)?Tensor\(")
# A function that asks where a tensor is, or what there is, before it names an accelerator.
_ASKS = re.compile(r"is_cuda|is_cpu|is_available|device_count|get_device\(|\.type\b|device_type|\.type\(\)")
_COMPARES = re.compile(r"""\.type\s*(?:[!=]=|(?:not )?in\b)|["'](?:cuda|cpu)["']\s*(?:[!=]=|in\b)""")


def means_host(frame: FrameType, place: Place | None, user_files: frozenset[str]) -> bool:
    """Whether the line that names the CPU means it, whatever devices there are.

    Args:
        frame: The frame that names it, perhaps a library's.
        place: The user's line.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    for text in (line, place.source if place else ""):
        if _CPU.search(text) and not _CHOICE.search(text):
            return True
    files = {frame.f_code.co_filename, *user_files, *([place.file] if place else ())}
    return not any(_finds_device_out(file) for file in files)


def is_computed(text: str, user_files: frozenset[str]) -> bool:
    """Whether a line that makes a tensor gives it a device that was found out."""
    return bool(re.search(r"device|\.to\(", text)) and any(map(_finds_device_out, user_files))


@cache
def _finds_device_out(file: str) -> bool:
    return bool(_FOUND_OUT.search("".join(linecache.getlines(file))))


def makes_tensor(place: Place | None) -> bool:
    """Whether the line calls a constructor such as ``torch.FloatTensor``."""
    return place is not None and bool(_MAKES_TENSOR.search(place.source))


def compares_type(frame: FrameType) -> bool:
    """Whether the function decides by a device's type, which is ``cpu`` here."""
    return _matches(_COMPARES, frame)


def asks_first(frame: FrameType) -> bool:
    """Whether the function that names an accelerator also asks for one."""
    return _matches(_ASKS, frame)


def _matches(pattern: re.Pattern[str], frame: FrameType) -> bool:
    try:
        return bool(pattern.search(inspect.getsource(frame.f_code)))
    except (OSError, TypeError):
        return False
