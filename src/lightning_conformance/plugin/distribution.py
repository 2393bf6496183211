"""pytest-xdist: the workers share one folder of recordings, and the controller hears what they made."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lightning_conformance.plugin.keys import FOLDER, MADE, folder_key, grouped_key, state_key
from lightning_conformance.plugin.state import state_of


def group_by_subject(config: pytest.Config) -> None:
    """Send all items of one subject and environment to one worker, where the user asked for plain ``-n``."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"
        config.stash[grouped_key] = True


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule by group, as ``loadgroup`` does, but by the node ids themselves.

    ``loadgroup`` writes the group behind each node id, and ``--lf`` would no longer find them.
    """
    from xdist.scheduler import LoadGroupScheduling

    state = config.stash[state_key]
    cells = [(subject.label, environment.name) for subject in state.subjects for environment in state.environments]

    class SubjectScheduling(LoadGroupScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid, cells) or str(super()._split_scope(nodeid))

    return SubjectScheduling(config, log)


def group_of(nodeid: str, cells: Iterable[tuple[str, str]]) -> str:
    """The subject and environment that an item belongs to; empty for an item that has none.

    Args:
        nodeid: Of a conformance item, or of a test that the fixtures parametrize.
        cells: Label and environment of each subject.
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    for label, environment in cells:
        named = f"{label.rpartition(':')[2]}-{environment}"
        if nodeid.startswith(f"{label}::{environment}::") or f"{parameters}-".startswith(f"{named}-"):
            return f"{label}::{environment}"
    return ""


def tell_folder(node: Any) -> None:
    """Tell a worker where recordings are shared."""
    stash = node.config.stash
    if folder_key not in stash:
        stash[folder_key] = tempfile.TemporaryDirectory(prefix="lightning-conformance-")
    node.workerinput[FOLDER] = stash[folder_key].name


def add_up(config: pytest.Config, made: dict[str, int]) -> None:
    """Add up what a worker recorded."""
    state = state_of(config)
    state.made = dict(Counter(state.made) + Counter(made))


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process hands its tests to workers."""
    distributes = bool(getattr(config.option, "tx", None)) and not config.option.collectonly
    return distributes and not is_worker(config)


def shared_folder(config: pytest.Config) -> Path | None:
    """Where this worker finds recordings of the others."""
    folder = getattr(config, "workerinput", {}).get(FOLDER)
    return Path(folder) if folder else None


def hand_on(config: pytest.Config) -> None:
    """Hand on how often each recording was made, and remove the shared folder."""
    state = config.stash.get(state_key, None)
    made = state.store.made if state is not None and "store" in vars(state) else {}
    if is_worker(config):
        config.workeroutput[MADE] = made  # type: ignore[attr-defined]
    elif state is not None and not is_controller(config):
        state.made = dict(made)
    if folder_key in config.stash:
        config.stash[folder_key].cleanup()
