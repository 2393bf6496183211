"""pytest-xdist: the workers share one folder of recordings, and the controller hears what they made."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lightning_conformance.plugin.state import State, state_key

_FOLDER = "lightning_conformance_folder"
_GROUPED = "lightning_conformance_grouped"
_MADE = "lightning_conformance_made"
folder_key = pytest.StashKey[Any]()


def group_by_subject(config: pytest.Config) -> None:
    """Send all items of one subject and environment to one worker, where the user asked for plain ``-n``.

    ``loadgroup`` is ``load`` that heeds groups. The scheduler reads the controller's option, the workers
    (which parse the command line anew) name the groups.
    """
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"
    if is_worker(config) and getattr(config, "workerinput", {}).get(_GROUPED):
        config.option.loadgroup = True


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where recordings are shared."""
    stash = node.config.stash
    if folder_key not in stash:
        stash[folder_key] = tempfile.TemporaryDirectory(prefix="lightning-conformance-")
    node.workerinput[_FOLDER] = stash[folder_key].name
    node.workerinput[_GROUPED] = node.config.option.dist == "loadgroup"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Add up what a worker recorded."""
    state: State | None = node.config.stash.get(state_key, None)
    made = getattr(node, "workeroutput", {}).get(_MADE, {})
    if state is not None:
        state.made = dict(Counter(state.made) + Counter(made))


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process hands its tests to workers."""
    return not is_worker(config) and bool(getattr(config.option, "tx", None))


def shared_folder(config: pytest.Config) -> Path | None:
    """Where this worker finds recordings of the others."""
    folder = getattr(config, "workerinput", {}).get(_FOLDER)
    return Path(folder) if folder else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on how often each recording was made, and remove the shared folder."""
    config = session.config
    state = config.stash.get(state_key, None)
    made = state.store.made if state is not None and "store" in vars(state) else {}
    if is_worker(config):
        config.workeroutput[_MADE] = made  # type: ignore[attr-defined]
    elif state is not None and not is_controller(config):
        state.made = dict(made)
    if folder_key in config.stash:
        config.stash[folder_key].cleanup()
