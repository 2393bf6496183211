"""What to type next, where something is to be done: two lines at most."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.plugin.reading import TYPED
from lightning_conformance.plugin.state import State, state_of
from lightning_conformance.reporting.outcomes import outcome_of

if TYPE_CHECKING:
    from lightning_conformance.plugin.settings import Request

# So many failures are more than one sitting mends.
MANY = 6
# What has no part in the verdict of one check.
_ABOUT_ALL = ("environment", "report", "baseline", "severity", "train-loss")
_ABOUT_ONE = ("init", "config", "batch", "val-batch", "train-loss")


def next_steps(config: pytest.Config) -> Iterator[str]:
    """What helps most: to understand a failure, to see it alone, to live with many, to keep what was inferred."""
    state = state_of(config)
    failed = {node_id: data for node_id, data in state.reports.items() if outcome_of(data) == "failed"}
    if not failed:
        if _can_freeze(state):
            file = config.inipath.name if config.inipath is not None else "pyproject.toml"
            yield f"add --lightning-freeze: what was inferred is written into {file}"
        return
    # The root of the others first.
    node_id, data = min(failed.items(), key=lambda item: bool(item[1]["because_of"]))
    yield f"pytest --lightning-explain={data['check']}"
    if len(failed) >= MANY and state.settings.baseline is None:
        yield "add --lightning-baseline=conformance-baseline.json: from then on only new findings fail"
    elif "#" not in data["subject"]:
        yield _alone(node_id, data, state)


def _can_freeze(state: State) -> bool:
    if state.settings.freeze or not state.settings.requests:
        return False
    labels = {subject.label for subject in state.subjects}
    inferred = (data for data in state.reports.values() if data["inferred"] or data["inferred_validation"])
    return any(data["completed"] and data["subject"] in labels for data in inferred)


def _alone(node_id: str, data: dict[str, Any], state: State) -> str:
    """The command that runs one item as this session did: what was typed must be typed again."""
    typed = {said.word: said.value for said in state.settings.said if said.origin == TYPED}
    words = [f"--lightning-environment={data['environment']}"] if "environment" in typed else []
    words += [_option(word, value) for word, value in typed.items() if word not in _ABOUT_ALL]
    requests = zip((s.label for s in state.subjects), state.settings.requests, strict=False)
    request = next((request for label, request in requests if label == data["subject"]), None)
    words += _module_words(request) if request is not None else []
    return shlex.join(["pytest", *words, node_id])


def _module_words(request: Request) -> list[str]:
    typed = [said for said in request.said if said.origin == TYPED and said.word in _ABOUT_ONE]
    words = [text for said in typed for text in (f"--lightning-{said.word}", str(said.value))]
    is_typed = not request.line and request.number is None
    return [f"--lightning-module={request.target.text}", *words] if words and is_typed else words


def _option(word: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--lightning-{word}" if value else f"--lightning-no-{word}"
    return f"--lightning-{word}={value}"
