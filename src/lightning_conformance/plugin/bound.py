"""What the fixtures give: recordings that are made once, and a check that is bound to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.errors import SubjectError
from lightning_conformance.plugin.keys import default_batch_key
from lightning_conformance.plugin.known import known_reason, without_known
from lightning_conformance.plugin.outcomes import ConformanceFailure, payload, verdict_key
from lightning_conformance.plugin.state import State, state_of

if TYPE_CHECKING:
    from lightning_conformance.environments import Environment
    from lightning_conformance.recording.model import Recording
    from lightning_conformance.recording.run import Recordings
    from lightning_conformance.subjects.subject import Subject

# What JUnit XML tells of an item.
_PROPERTIES = ("subject", "environment", "check", "family", "outcome")


def recordings_of(request: pytest.FixtureRequest, subject: Subject, environment: Environment) -> Recordings:
    """What runs of the module showed, kept for the session; with the batch of an overriding fixture."""
    __tracebackhide__ = True
    from lightning_conformance.environments import reference

    state = state_of(request.config)
    batch = _overriding_batch(request, subject)
    first = reference(state.environments) if environment.narrowed else None
    other = None if first is None else _recordings(state, subject, first, batch, None)
    return _recordings(state, subject, environment, batch, other)


def _recordings(
    state: State, subject: Subject, environment: Environment, batch: Any, other: Recordings | None
) -> Recordings:
    from lightning_conformance.recording.run import Recordings

    known = state.known(subject)

    def keep(regime: str, make: Callable[[], Recording]) -> Recording:
        return state.store.get(recording_key(known, environment, regime, batch), make)

    timeout = state.settings.timeout
    return Recordings(subject, environment, batch=batch, timeout=timeout, keep=keep, reference=other)


def recording_key(subject: Subject, environment: Environment, regime: str, batch: Any) -> str:
    """Names a recording: subject, environment, regime, and the batch of an overriding fixture."""
    from lightning_conformance.subjects.batch_spec import describe

    # Structure only: values, and the ranges read off them, may differ from call to call.
    text = "" if batch is None else re.sub(r"(<| in )[^,)\]}]*", "", describe(batch))
    return "|".join([subject.label, environment.name, regime, text])


def _overriding_batch(request: pytest.FixtureRequest, subject: Subject) -> Any:
    """What the user's own ``lightning_batch`` gives; None where ours, or a batch said otherwise, is in force."""
    __tracebackhide__ = True
    if subject.given_batch is not None:
        return None
    try:
        batch = request.getfixturevalue("lightning_batch")
    except SubjectError:
        # The recording says it better, as a verdict.
        return None
    return None if batch is request.node.stash.get(default_batch_key, None) else batch


@dataclass(frozen=True)
class BoundCheck:
    """A check, bound to the recordings of a subject in an environment. Call it in a test."""

    name: str
    recordings: Recordings
    state: State
    expected: str | None
    node: Any

    def __call__(self, *_: Any) -> None:
        """Pass, fail with the diagnosis, or skip where the check does not apply or could not look.

        A failure that is expected, or known from the baseline, is reported as such (xfail).

        Raises:
            ConformanceFailure: The check failed.
        """
        __tracebackhide__ = True
        from lightning_conformance.checks import find_check, verdict_of

        strict = self.state.settings.strict
        verdict = verdict_of(find_check(self.name), self.recordings, strict=strict)
        data = payload(verdict, self.recordings(), self.state.settings)
        waived = self.expected if self.expected is not None else known_reason(data, self.state)
        if verdict.failed and waived is not None:
            data["expected"] = waived
        verdict = without_known(verdict, data, self.state) if verdict.failed and waived is None else verdict
        self.node.stash[verdict_key] = (verdict, data)
        self.node.user_properties.extend((f"lightning_{key}", data[key]) for key in _PROPERTIES)
        if verdict.failed:
            if waived is not None:
                pytest.xfail(waived)
            raise ConformanceFailure(verdict)
        if verdict.outcome != "passed":
            pytest.skip(f"{verdict.outcome}: {verdict.reason}")
        if self.expected is not None:
            pytest.fail(f"[XPASS(strict)] it passes, and is expected to fail: {self.expected}", pytrace=False)


def bound_check(
    request: pytest.FixtureRequest, subject: Subject, environment: Environment, recordings: Any
) -> BoundCheck:
    """The check of an item, or of a parametrized test."""
    node, state = request.node, state_of(request.config)
    name = node.name if hasattr(node, "lightning_subject") else request.param
    expected = state.choice(state.known(subject)).reason(environment.name, name)
    return BoundCheck(name, recordings, state, expected, node)
