"""Where the plugin keeps what it knows in pytest's stash; importing the keys costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lightning_conformance.plugin.state import State

state_key: pytest.StashKey[State] = pytest.StashKey()
# Node ids on the command line that select items.
only_key: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()
# Whether items are sent to the workers of pytest-xdist by subject.
grouped_key: pytest.StashKey[bool] = pytest.StashKey()
folder_key: pytest.StashKey[Any] = pytest.StashKey()
# The batch that our own fixture gave: another one is the user's.
default_batch_key: pytest.StashKey[Any] = pytest.StashKey()
# What workers of pytest-xdist and their controller hand each other.
FOLDER, MADE = "lightning_conformance_folder", "lightning_conformance_made"
# The attribute of a report that holds a verdict in plain data.
DATA = "lightning_conformance"


def is_in_use(config: pytest.Config) -> bool:
    """Whether this session has a state: the kit was asked for something, by whatever means."""
    return state_key in config.stash
