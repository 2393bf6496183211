"""What a check says: a verdict, with findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lightning_conformance.recording.model import Place

Severity = Literal["error", "warning", "advice"]
Outcome = Literal["passed", "failed", "not applicable", "inconclusive"]


@dataclass(frozen=True)
class Finding:
    """One piece of evidence.

    Args:
        message: What was seen, with numbers.
        cause: The likely cause; empty where the message says it.
        fix: The code to write instead, or what to do.
        place: The user's line.
        severity: ``error`` fails the check; ``warning`` fails it under strict; ``advice`` never does.
        detail: A longer text, such as the user's traceback.
    """

    message: str
    cause: str = ""
    fix: str = ""
    place: Place | None = None
    severity: Severity = "error"
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """A check's outcome for one subject in one environment.

    Args:
        reason: Why the check does not apply, or could not decide; empty otherwise.
        because_of: The check that names the root cause of this failure, if another one does.
    """

    check: str
    subject: str
    environment: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    because_of: str = ""

    @property
    def failed(self) -> bool:
        """Whether the check failed."""
        return self.outcome == "failed"

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)


class NotApplicable(Exception):
    """Raised by a check that has nothing to judge in this module; the message says why."""


class Inconclusive(Exception):
    """Raised by a check that could not look; the message says why.

    Args:
        reason: Why.
        finding: What kept it from looking; under ``strict`` it fails.
    """

    def __init__(self, reason: str, finding: Finding | None = None) -> None:
        super().__init__(reason)
        self.finding = finding


def decide(findings: Iterable[Finding], strict: bool = False) -> Outcome:
    """``failed`` where a finding is an error (or, under ``strict``, a warning)."""
    failing = {"error", "warning"} if strict else {"error"}
    return "failed" if any(finding.severity in failing for finding in findings) else "passed"
