"""Turn verdicts into pytest's reports, and gather them where the terminal is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.errors import KitError
from lightning_conformance.plugin.keys import DATA
from lightning_conformance.plugin.settings import SEVERITIES
from lightning_conformance.plugin.state import State

if TYPE_CHECKING:
    from lightning_conformance.checks.verdict import Verdict
    from lightning_conformance.plugin.settings import Settings
    from lightning_conformance.recording.model import Recording

verdict_key = pytest.StashKey[Any]()


class ConformanceFailure(AssertionError):
    """A check failed; the message is the diagnosis.

    Args:
        verdict: The failed verdict.
    """

    def __init__(self, verdict: Verdict) -> None:
        from lightning_conformance.reporting.text import verdict_text

        super().__init__(verdict_text(verdict))
        self.verdict = verdict


def tell(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Show the diagnosis instead of our own traceback, and attach the verdict in plain data."""
    if call.when == "setup" and call.excinfo is not None and isinstance(call.excinfo.value, KitError):
        report.longrepr = _styled(_told(call.excinfo, call.excinfo.value), item.config)
    if call.when == "call" and verdict_key in item.stash:
        verdict, data = item.stash[verdict_key]
        setattr(report, DATA, data)
        if call.excinfo is not None and isinstance(call.excinfo.value, ConformanceFailure):
            report.longrepr = _styled(_diagnosis(call.excinfo, verdict), item.config)
        elif isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 0, report.longrepr[2])


def _told(excinfo: pytest.ExceptionInfo[BaseException], error: KitError) -> Any:
    """What a fixture of ours could not do, with the user's part of the traceback and no frame of the kit."""
    from lightning_conformance.subjects.tracebacks import user_traceback

    text: Any = excinfo.getrepr(style="value", chain=False)
    cause = getattr(error, "cause", None)
    if cause is not None:
        text.reprtraceback.reprentries[0].lines.extend(["", *user_traceback(cause).splitlines()])
    if text.reprcrash is not None:
        text.reprcrash.message = error.message.splitlines()[0]
    return text


def _styled(text: Any, config: pytest.Config) -> Any:
    """Under ``--tb=line`` nothing but the line that pytest makes of the place and the message."""
    if config.option.tbstyle == "line":
        text.reprtraceback.reprentries.clear()
    return text


def _diagnosis(excinfo: pytest.ExceptionInfo[BaseException], verdict: Verdict) -> Any:
    """The diagnosis as pytest's own representation, located on the user's line."""
    text: Any = excinfo.getrepr(style="value")
    crash, first = text.reprcrash, verdict.findings[0]
    if crash is not None:
        crash.message = first.message.splitlines()[0]
        if first.place is not None:
            crash.path, crash.lineno = first.place.file, first.place.line
    return text


def payload(verdict: Verdict, recording: Recording, settings: Settings) -> dict[str, Any]:
    """A verdict and its recording's provenance, in types that travel between processes."""
    from lightning_conformance.checks import find_check
    from lightning_conformance.reporting.report import provenance
    from lightning_conformance.reporting.text import finding_text

    failing = ("error", "warning") if settings.strict else ("error",)
    shown = SEVERITIES[: SEVERITIES.index(settings.severity) + 1]
    check = find_check(verdict.check)
    return {
        "subject": verdict.subject,
        "environment": verdict.environment,
        "check": verdict.check,
        "family": check.family,
        "summary": check.summary,
        "outcome": verdict.outcome,
        "expected": "",
        "reason": verdict.reason,
        "because_of": verdict.because_of,
        "findings": [
            {
                **asdict(f),
                "place": asdict(f.place) if f.place else None,
                "text": finding_text(f),
                "fails": verdict.failed and f.severity in failing,
            }
            for f in verdict.findings
            if f.severity in shown or (verdict.failed and f.severity in failing)
        ],
        "lightning": recording.lightning,
        "inferred": recording.batch_text if recording.batch_source == "inferred" else "",
        "inferred_validation": recording.validation_text if recording.validation_source == "inferred" else "",
        "init": recording.init_text,
        "completed": recording.completed,
        "provenance": list(provenance(recording)),
    }


def gather(state: State, reports: Iterable[pytest.TestReport]) -> None:
    """Remember what was reported of each item, and how long it took, set-up included."""
    seconds = defaultdict[str, float](float)
    for report in reports:
        seconds[report.nodeid] += report.duration
        data = getattr(report, DATA, None)
        if data is not None:
            state.reports[report.nodeid] = data
    state.seconds.update({node_id: seconds[node_id] for node_id in state.reports})
