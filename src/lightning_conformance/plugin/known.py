"""``--lightning-baseline``: failures that are known do not fail, and what is gone is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.plugin.state import State, state_of

if TYPE_CHECKING:
    from lightning_conformance.checks.verdict import Verdict
    from lightning_conformance.plugin.settings import Settings
    from lightning_conformance.reporting.known import Baseline, Known


def read_baseline(settings: Settings) -> Baseline | None:
    """The baseline, where its file is there.

    Raises:
        UsageError: It cannot be read.
    """
    file = settings.baseline
    if file is None or not file.exists():
        return None
    from lightning_conformance.reporting.known import Baseline

    return Baseline.read(file)


def known_reason(data: dict[str, Any], state: State) -> str | None:
    """Why a failure does not fail: all that it found stands in the baseline; None where not."""
    found = _failures(data)
    if state.baseline is None or state.settings.update_baseline or not found or state.baseline.new(found):
        return None
    assert state.settings.baseline is not None
    return f"known, it stands in {state.settings.baseline.name}"


def without_known(verdict: Verdict, data: dict[str, Any], state: State) -> Verdict:
    """The verdict without the findings that stand in the baseline: those are new that are left."""
    from lightning_conformance.reporting.known import known

    if state.baseline is None or state.settings.update_baseline:
        return verdict
    left = Counter(state.baseline.entries)
    kept = []
    for finding in verdict.findings:
        entry = known(data, {**asdict(finding), "place": asdict(finding.place) if finding.place else None})
        if left[entry] > 0:
            left[entry] -= 1
        else:
            kept.append(finding)
    return replace(verdict, findings=tuple(kept))


def _failures(data: dict[str, Any]) -> list[Known]:
    from lightning_conformance.reporting.known import known

    return [known(data, finding) for finding in data["findings"] if finding["fails"]]


def settle_baseline(config: pytest.Config) -> Iterator[str]:
    """Write the baseline where it is to be written, and say what was written, or what is gone."""
    state = state_of(config)
    file = state.settings.baseline
    if file is None:
        return
    from lightning_conformance.reporting.known import Baseline

    reports = list(state.reports.values())
    seen = [entry for data in reports for entry in _failures(data)]
    judged = {(d["subject"], d["environment"], d["check"]) for d in reports}
    shown = Path(os.path.relpath(file, config.invocation_params.dir)).as_posix()
    before = state.baseline
    if before is not None and not state.settings.update_baseline:
        for entry in before.gone(seen, judged):
            yield f"  gone        {entry}"
        if before.gone(seen, judged):
            yield f"  baseline    --lightning-update-baseline takes what is gone out of {shown}"
        return
    # What was not judged this time stays.
    kept = [e for e in before.entries.elements() if (e.subject, e.environment, e.check) not in judged] if before else []
    try:
        Baseline([*kept, *seen]).write(file)
    except OSError as error:
        yield f"  baseline    {shown} cannot be written: {error}"
        return
    number = len(kept) + len(seen)
    yield f"  baseline    {shown}: {number} known failure{'s' * (number != 1)}; from now on only others fail"
