"""The header: the resolved configuration, and who said what, so that a typo in it is seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import pytest

from lightning_conformance.plugin.settings import Request, Said
from lightning_conformance.plugin.state import State, state_of

# These stand in the first line, or with the modules.
_ELSEWHERE = ("environment", "train-loss")
_FEW, _LONG = 3, 60
# What the header tells of one word, and who said it.
Part = tuple[str, str]


def header_lines(config: pytest.Config) -> list[str]:
    """One line, and one more for what is no default: for all modules, and for each."""
    from lightning_conformance import __version__

    state = state_of(config)
    settings = state.settings
    if not settings.requests:
        return []
    modules = ", ".join(request.target.label for request in settings.requests)
    lines = [f"lightning-conformance {__version__}: {modules}; environment: {_environments(state)}"]
    own = [list(_module_parts(request)) for request in settings.requests]
    shared = [part for part in own[0] if all(part in parts for parts in own)] if len(own) > 1 else []
    lines += _line("settings", _setting_parts(settings.said))
    lines += _line("all modules", shared)
    for request, parts in zip(settings.requests, own, strict=True):
        lines += _line(request.target.label, [part for part in parts if part not in shared])
    return lines


def _environments(state: State) -> str:
    """As the user says it, who says so where that is a file, and what it comes to."""
    from lightning_conformance.environments import AUTO
    from lightning_conformance.errors import UsageError

    words = ", ".join(state.settings.environments)
    notes = [said.origin for said in state.settings.said if said.word == "environment" and "." in said.origin]
    if AUTO in state.settings.environments:
        try:
            notes.insert(0, ", ".join(environment.name for environment in state.environments))
        except UsageError:
            # The collection says it.
            return words
    return f"{words} ({'; '.join(notes)})" if notes else words


def _line(name: str, parts: Iterable[Part]) -> list[str]:
    """For example ``  model.py:Model: batch 'x: float[8,4]' (pyproject.toml); ignore learning (command line)``."""
    by_origin = groupby(parts, key=lambda part: part[1])
    told = [f"{', '.join(text for text, _ in same)} ({origin})" for origin, same in by_origin]
    return [f"  {name}: {'; '.join(told)}"] if told else []


def _setting_parts(said: Iterable[Said]) -> Iterator[Part]:
    for one in sorted(said, key=lambda one: one.origin):
        if one.word not in _ELSEWHERE:
            yield _setting(one.word, one.value), one.origin


def _setting(word: str, value: Any) -> str:
    if isinstance(value, bool):
        return word if value else f"no {word}"
    return f"{word} {_few(value) if isinstance(value, list) else value}"


def _module_parts(request: Request) -> Iterator[Part]:
    """What is said about one module, in the order in which it was said."""
    for (word, origin), group in groupby(request.said, key=lambda said: (said.word, said.origin)):
        values = [said.value for said in group]
        if word == "expect":
            yield f"{len(values)} expected failure{'s' * (len(values) != 1)}", origin
        elif word == "init":
            yield f"init {_short(', '.join(map(_arguments, values)))}", origin
        elif word in ("select", "ignore"):
            yield f"{word} {_few(values)}", origin
        else:
            yield f"{word} {_short(values[-1])!r}" if "batch" in word else f"{word} {values[-1]}", origin


def _arguments(text: str) -> str:
    """``{"features": 4}``, as configuration files are read, like ``features=4``, as it is typed."""
    try:
        given = json.loads(text)
    except ValueError:
        return text
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in given.items()) if isinstance(given, dict) else text


def _few(values: list[Any]) -> str:
    words = [word.strip() for value in values for word in str(value).split(",")]
    told = ", ".join(words[:_FEW])
    return told if len(words) <= _FEW else f"{told} and {len(words) - _FEW} more"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
