"""The report: every verdict of a run of the kit, and the census."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lightning_conformance.checks.verdict import Finding, Verdict
from lightning_conformance.recording.model import Recording
from lightning_conformance.reporting.text import verdict_text


class ConformanceError(AssertionError):
    """A module does not conform; the message lists every finding.

    Args:
        report: The whole report, passed checks included.
    """

    def __init__(self, report: Report) -> None:
        super().__init__("\n\n".join(verdict_text(verdict) for verdict in report.failed))
        self.report = report


@dataclass(frozen=True)
class Report:
    """The verdicts on one subject, environment by environment.

    Args:
        verdicts: One for each check and environment.
        recordings: One for each environment.
    """

    verdicts: tuple[Verdict, ...]
    recordings: tuple[Recording, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts that failed."""
        return tuple(verdict for verdict in self.verdicts if verdict.failed)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, of whatever severity."""
        return tuple(finding for verdict in self.verdicts for finding in verdict.findings)

    def verdict(self, check: str, environment: str = "cpu") -> Verdict:
        """The verdict of one check in one environment.

        Raises:
            KeyError: There is none.
        """
        for verdict in self.verdicts:
            if (verdict.check, verdict.environment) == (check, environment):
                return verdict
        raise KeyError(f"{check} in {environment}")

    def raise_for_failures(self) -> None:
        """Raise one exception that lists every finding, if a check failed.

        Raises:
            ConformanceError: A check failed.
        """
        if self.failed:
            raise ConformanceError(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for recording in self.recordings:
            own = [v for v in self.verdicts if v.environment == recording.environment]
            yield f"{recording.subject} :: {recording.environment}: {census(own)}"
            yield from provenance(recording)
        for verdict in self.verdicts:
            if verdict.findings:
                yield f"\n{verdict_text(verdict)}"
            elif verdict.reason:
                yield f"  {verdict.check}: {verdict.outcome}: {verdict.reason}"


def census(verdicts: list[Verdict]) -> str:
    """For example ``10 checks: 8 passed, 1 failed, 1 not applicable``."""
    counted = Counter[str](verdict.outcome for verdict in verdicts)
    order = ("passed", "failed", "not applicable", "inconclusive")
    told = ", ".join(f"{counted[outcome]} {outcome}" for outcome in order if counted[outcome])
    warnings = sum(len(verdict.of("warning")) for verdict in verdicts)
    extra = f" ({warnings} warning{'s' * (warnings > 1)})" if warnings else ""
    return f"{len(verdicts)} check{'s' * (len(verdicts) != 1)}: {told}{extra}"


def provenance(recording: Recording) -> Iterator[str]:
    """What the kit was told or decided by itself, in a form to paste back."""
    if recording.init_text:
        yield f"  built with  {recording.init_text}"
    if options := [text for text in recording.guessed if text.startswith("--")]:
        yield f"  guessed     {' '.join(options)}"
    if things := [text for text in recording.guessed if not text.startswith("--")]:
        yield f"  guessed     {', '.join(things)}; a function that returns the module can say them"
    if recording.batch_source == "inferred":
        yield f"  inferred    --lightning-batch {shlex.quote(recording.batch_text)}"
    elif recording.batch_text:
        yield f"  batch       {recording.batch_text} (from {recording.batch_source})"
    if recording.validation_source == "inferred":
        yield f"  inferred    --lightning-val-batch {shlex.quote(recording.validation_text)}"
    elif recording.validation_text:
        yield f"  validation  {recording.validation_text} (from {recording.validation_source})"
    for doubt in recording.batch_doubts:
        yield f"  doubt       {doubt}"
    for note in recording.notes:
        yield f"  note        {note}"
