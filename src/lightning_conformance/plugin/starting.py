"""Begin: read what the kit was asked for."""

from __future__ import annotations

import pytest

from lightning_conformance.errors import KitError
from lightning_conformance.plugin.distribution import group_by_subject, shared_folder
from lightning_conformance.plugin.keys import only_key, state_key
from lightning_conformance.plugin.known import read_baseline
from lightning_conformance.plugin.reading import read_settings
from lightning_conformance.plugin.state import State


def start(config: pytest.Config) -> State:
    """Read the settings and make the session's state.

    Raises:
        pytest.UsageError: Words that cannot be meant.
    """
    try:
        settings = read_settings(config, config.stash.get(only_key, ()))
        state = State(settings, baseline=read_baseline(settings))
    except KitError as error:
        raise pytest.UsageError(str(error)) from None
    state.shared, state.cache = shared_folder(config), getattr(config, "cache", None)
    config.stash[state_key] = state
    if settings.requests:
        group_by_subject(config)
    return state
