"""What a report says of a module of the suites, held against what is expected of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite_cases import Case

ACCUSING = ("error", "warning")


@dataclass(frozen=True)
class Outcome:
    """What a tool made of a module.

    Args:
        kind: Of a faulty module: ``caught``, ``misplaced`` (on another line), ``misjudged`` (another severity, or not
            the words), ``wrong check`` (another one accuses it) or ``missed``; ``raised`` and ``warned`` of a tool that
            does no more than that. Of a legitimate one: ``accused``, ``warned`` or ``quiet``. ``not run`` where the
            tool cannot be asked.
        reason: Why it is not as it should be.
    """

    kind: str
    reason: str = ""


def settings(case: Case) -> dict[str, Any]:
    """The arguments of ``check_module`` for a case."""
    said = case.expected
    return {
        "batch": said.get("batch"),
        "val_batch": said.get("val_batch"),
        "init": said.get("init", ()),
        "train_loss": said.get("metric", "train_loss"),
        "environment": said.get("environment", "cpu"),
    }


def fault_outcome(case: Case, report: Any) -> Outcome:
    """Whether the right check says it, at the right line, in the right words."""
    expected = case.expected
    if expected["check"] not in {verdict.check for verdict in report.verdicts}:
        return Outcome("missed", f"there is no check {expected['check']}")
    verdict = report.verdict(expected["check"], settings(case)["environment"])
    findings = verdict.of(expected["severity"])
    if not findings:
        return _without_finding(case, report, verdict)
    if verdict.failed != (expected["severity"] == "error"):
        return Outcome("misjudged", f"{verdict.check} {verdict.outcome}")
    pointed = [finding.place for finding in findings if finding.place]
    if not any(place.line in case.places and Path(place.file) == case.file for place in pointed):
        lines = ", ".join(f"{Path(place.file).name}:{place.line}" for place in pointed) or "no line"
        return Outcome("misplaced", f"{verdict.check} points to {lines}, and the fault is on {case.places}")
    text = " ".join(f.message + f.cause + f.fix + f.detail for f in findings).lower()
    if unsaid := [word for word in expected["words"] if word.lower() not in text]:
        return Outcome("misjudged", f"{verdict.check} does not say {', '.join(unsaid)}: {findings[0].message}")
    return Outcome("caught")


def _without_finding(case: Case, report: Any, verdict: Any) -> Outcome:
    own = [finding.severity for finding in verdict.findings]
    said = f"{verdict.check} {verdict.outcome}" + (f" ({verdict.reason})" if verdict.reason else "")
    if own:
        return Outcome("misjudged", f"{said}: {own[0]} in place of {case.expected['severity']}")
    others = list(accusations(report.verdicts))
    return Outcome("wrong check", f"{said}; {others[0]}") if others else Outcome("missed", said)


def legitimate_outcome(report: Any) -> Outcome:
    """Whether nothing accuses it."""
    said = "; ".join(accusations(report.verdicts))
    return Outcome("accused", said) if said or not report.passed else Outcome("quiet")


def accusations(verdicts: Iterable[Any]) -> Iterator[str]:
    """Each error and each warning, in one line."""
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.severity in ACCUSING:
                where = f", line {finding.place.line}" if finding.place else ""
                yield f"{verdict.check} ({finding.severity}{where}): {finding.message.partition(chr(10))[0]}"
