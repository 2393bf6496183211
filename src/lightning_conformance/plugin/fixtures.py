"""Fixtures, parametrized over subject and environment; the shipped suite is written on them, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.errors import SubjectError
from lightning_conformance.plugin.known import known_reason, without_known
from lightning_conformance.plugin.outcomes import ConformanceFailure, payload, verdict_key
from lightning_conformance.plugin.state import State, state_of

if TYPE_CHECKING:
    import torch

    from lightning_conformance.environments import Environment
    from lightning_conformance.recording.model import Recording
    from lightning_conformance.recording.run import Recordings
    from lightning_conformance.subjects.subject import Subject

# What JUnit XML tells of an item.
_PROPERTIES = ("subject", "environment", "check", "family", "outcome")
default_batch_key = pytest.StashKey[Any]()


def _parameter(request: pytest.FixtureRequest, name: str) -> Any:
    """A conformance item carries its cell itself; any other test is parametrized."""
    return getattr(request.node, name) if hasattr(request.node, name) else request.param


@pytest.fixture
def lightning_subject(request: pytest.FixtureRequest) -> Subject:
    """The LightningModule under test: how to construct it and how to feed it."""
    subject: Subject = _parameter(request, "lightning_subject")
    return subject


@pytest.fixture
def lightning_environment(request: pytest.FixtureRequest) -> Environment:
    """Where the test runs: cpu, cuda, ..."""
    environment: Environment = _parameter(request, "lightning_environment")
    return environment


@pytest.fixture
def lightning_device(lightning_environment: Environment) -> torch.device:
    """The device of the environment."""
    device: torch.device = lightning_environment.device()
    return device


@pytest.fixture
def lightning_module(lightning_subject: Subject, lightning_device: torch.device) -> Any:
    """A fresh, seeded instance of the module, on the device."""
    __tracebackhide__ = True
    from lightning_conformance.recording.run import fresh_module

    return fresh_module(lightning_subject, lightning_device)


@pytest.fixture
def lightning_batch(request: pytest.FixtureRequest, lightning_subject: Subject, lightning_device: torch.device) -> Any:
    """One batch for ``training_step``, on the device; override it to say what a batch is."""
    __tracebackhide__ = True
    from lightning_conformance.lightning_api import move_to_device
    from lightning_conformance.recording.run import first_batch

    timeout = state_of(request.config).settings.timeout
    batch = move_to_device(first_batch(lightning_subject, timeout), lightning_device)
    request.node.stash[default_batch_key] = batch
    return batch


@pytest.fixture
def lightning_recordings(
    request: pytest.FixtureRequest, lightning_subject: Subject, lightning_environment: Environment
) -> Recordings:
    """What runs of the module showed: call it with the name of a regime; each is made once and shared."""
    __tracebackhide__ = True
    from lightning_conformance.environments import reference

    state = state_of(request.config)
    batch = _overriding_batch(request, lightning_subject)
    first = reference(state.environments) if lightning_environment.narrowed else None
    other = None if first is None else _recordings(state, lightning_subject, first, batch, None)
    return _recordings(state, lightning_subject, lightning_environment, batch, other)


def _recordings(
    state: State, subject: Subject, environment: Environment, batch: Any, other: Recordings | None
) -> Recordings:
    from lightning_conformance.recording.run import Recordings

    known = state.known(subject)

    def keep(regime: str, make: Callable[[], Recording]) -> Recording:
        return state.store.get(recording_key(known, environment, regime, batch), make)

    timeout = state.settings.timeout
    return Recordings(subject, environment, batch=batch, timeout=timeout, keep=keep, reference=other)


@pytest.fixture
def lightning_recording(lightning_recordings: Recordings) -> Recording:
    """What a short real fit of the module showed; made once for a subject and environment, and shared."""
    __tracebackhide__ = True
    return lightning_recordings()


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


@pytest.fixture
def lightning_check(
    request: pytest.FixtureRequest,
    lightning_subject: Subject,
    lightning_environment: Environment,
    lightning_recordings: Recordings,
) -> BoundCheck:
    """One check of the kit, ready to be called."""
    __tracebackhide__ = True
    # What is wrong with the user's words is an error of setup.
    lightning_recordings()
    node, state = request.node, state_of(request.config)
    name = node.name if hasattr(node, "lightning_subject") else request.param
    expected = state.choice(state.known(lightning_subject)).reason(lightning_environment.name, name)
    return BoundCheck(name, lightning_recordings, state, expected, node)
