"""``--lightning-report``, and the annotations of GitHub Actions: written where the terminal is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lightning_conformance.plugin.state import state_of

if TYPE_CHECKING:
    from lightning_conformance.reporting.machine import Cell


def write_reports(config: pytest.Config) -> tuple[list[str], bool]:
    """Write each report.

    Returns:
        What to tell of it, and whether all could be written.
    """
    files = state_of(config).settings.reports
    if not files:
        return [], True
    from lightning_conformance.reporting.known import write_whole
    from lightning_conformance.reporting.machine import WRITERS

    told, all_written = list[str](), True
    found = cells_of(config, config.rootpath)
    for file in files:
        shown = Path(os.path.relpath(file, config.invocation_params.dir)).as_posix()
        try:
            write_whole(file, WRITERS[file.suffix](found))
        except OSError as error:
            all_written = False
            told.append(f"  report      {shown} cannot be written: {error}")
        else:
            told.append(f"  report      {shown}")
    return told, all_written


def annotation_lines(config: pytest.Config) -> Iterator[str]:
    """Annotations with paths from the repository's root, where GitHub Actions runs pytest."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from lightning_conformance.reporting.machine.github import commands

    yield from commands(cells_of(config, Path(os.environ.get("GITHUB_WORKSPACE") or config.rootpath)))


def cells_of(config: pytest.Config, root: Path) -> list[Cell]:
    """What was reported, subject by subject."""
    from lightning_conformance.reporting.machine import cells

    state = state_of(config)
    return cells(state.reports.values(), root, state.possible)
