"""The user's line in a stack that faulthandler wrote down."""

from __future__ import annotations

import linecache
import re

from lightning_conformance.recording.model import Place
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.ranks import forking

_FRAME = re.compile(r'^ *File "(?P<file>.+)", line (?P<line>\d+) in (?P<function>.+)$', re.MULTILINE)


def place_in(text: str, places: Places) -> Place | None:
    """The innermost line of the user's own, in the thread that ran the function."""
    for thread in text.split("\n\n"):
        frames = [match.groupdict() for match in _FRAME.finditer(thread)]
        # What lies outside of it was going on when the process was forked.
        outside = [n for n, frame in enumerate(frames) if _is_start(frame)]
        if outside:
            return next((_place(frame) for frame in frames[: outside[0]] if places.is_own(frame["file"])), None)
    return None


def _is_start(frame: dict[str, str]) -> bool:
    return frame["file"] == forking.__file__ and frame["function"].endswith("_run")


def _place(frame: dict[str, str]) -> Place:
    file, line = frame["file"], int(frame["line"])
    return Place(file, line, frame["function"], linecache.getline(file, line).rstrip("\n"))
