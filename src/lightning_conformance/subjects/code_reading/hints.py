"""The annotation under which the user's code received a part of the batch."""

from __future__ import annotations

import inspect
import typing
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any

from lightning_conformance.subjects.code_reading.asking import LIBRARIES

DEPTH = 30  # frames between the use of a part and the step that was given the batch


def annotation_of(value: Any, frame: FrameType | None) -> Any:
    """The annotation of the parameter that ``value`` was passed as, in ``frame`` or the nearest caller of it.

    Returns:
        None where no parameter that holds the value has an annotation that says something.
    """
    for _ in range(DEPTH):
        if frame is None:
            return None
        code = frame.f_code
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            if frame.f_locals.get(name) is value and not _is_library(frame):
                hint = _hint(frame, name)
                if hint not in (None, Any, object, inspect.Parameter.empty):
                    return hint
        frame = frame.f_back
    return None


def _is_library(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in LIBRARIES


def _hint(frame: FrameType, name: str) -> Any:
    function = _function_of(frame.f_code, frame)
    if function is None:
        return None
    with suppress(Exception):
        return typing.get_type_hints(function, include_extras=True).get(name)
    written = getattr(function, "__annotations__", {}).get(name)
    with suppress(Exception):
        # Only this one annotation: another parameter's may name what is imported for type checkers alone.
        return eval(written, function.__globals__) if isinstance(written, str) else written
    return None


def _function_of(code: CodeType, frame: FrameType) -> Any:
    """The function that runs ``code``: a method of its first argument, or a function of its module."""
    first = code.co_varnames[0] if code.co_argcount else ""
    owner = type(frame.f_locals[first]) if first in frame.f_locals else None
    candidates = [vars(cls).get(code.co_name) for cls in getattr(owner, "__mro__", ())]
    for candidate in [*candidates, frame.f_globals.get(code.co_name)]:
        with suppress(Exception):
            function = inspect.unwrap(getattr(candidate, "__func__", candidate))
            if getattr(function, "__code__", None) is code:
                return function
    return None
