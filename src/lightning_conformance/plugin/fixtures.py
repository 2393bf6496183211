"""Fixtures, parametrized over subject and environment; the shipped suite is written on them, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.plugin.keys import default_batch_key

if TYPE_CHECKING:
    import torch

    from lightning_conformance.environments import Environment
    from lightning_conformance.plugin.bound import BoundCheck
    from lightning_conformance.recording.model import Recording
    from lightning_conformance.recording.run import Recordings
    from lightning_conformance.subjects.subject import Subject


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
    from lightning_conformance.plugin.state import state_of
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
    from lightning_conformance.plugin.bound import recordings_of

    return recordings_of(request, lightning_subject, lightning_environment)


@pytest.fixture
def lightning_recording(lightning_recordings: Recordings) -> Recording:
    """What a short real fit of the module showed; made once for a subject and environment, and shared."""
    __tracebackhide__ = True
    return lightning_recordings()


@pytest.fixture
def lightning_check(
    request: pytest.FixtureRequest,
    lightning_subject: Subject,
    lightning_environment: Environment,
    lightning_recordings: Recordings,
) -> BoundCheck:
    """One check of the kit, ready to be called."""
    __tracebackhide__ = True
    from lightning_conformance.plugin.bound import bound_check

    # What is wrong with the user's words is an error of setup.
    lightning_recordings()
    return bound_check(request, lightning_subject, lightning_environment, lightning_recordings)
