"""The register of checks: one function with one decorator each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Verdict, decide
from lightning_conformance.recording.model import Recording

Judge = Callable[[Recording], Iterable[Finding]]

CHECKS: dict[str, Check] = {}


@dataclass(frozen=True)
class Check:
    """One named rule.

    Args:
        name: What must hold, in snake case.
        family: The group of faults that it belongs to.
        since: Version of the kit that brought it.
        needs_steps: Whether it can only judge a run in which a training step returned.
        judge: Looks at a recording and yields findings.
    """

    name: str
    family: str
    since: str
    needs_steps: bool
    judge: Judge

    @property
    def documentation(self) -> str:
        """The docstring: what the check does, why, and what to write instead."""
        return inspect.getdoc(self.judge) or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.documentation.partition("\n")[0]

    def __call__(self, recording: Recording, *, strict: bool = False) -> Verdict:
        """Judge a recording."""

        def verdict(outcome: str, **details: object) -> Verdict:
            return Verdict(self.name, recording.subject, recording.environment, outcome, **details)  # type: ignore[arg-type]

        if self.needs_steps and not recording.steps and recording.failure is not None:
            reason = f"no training step was completed (see {COMPLETION})"
            return verdict("inconclusive", reason=reason)
        try:
            findings = tuple(self.judge(recording))
        except NotApplicable as reason:
            return verdict("not applicable", reason=str(reason))
        except Inconclusive as reason:
            return verdict("inconclusive", reason=str(reason))
        return verdict(decide(findings, strict), findings=findings)


COMPLETION = "training_completes"


def check(*, family: str, since: str = "0.1.0", needs_steps: bool = True) -> Callable[[Judge], Judge]:
    """Register a judge under its function's name."""

    def register(judge: Judge) -> Judge:
        name = judge.__name__
        CHECKS[name] = Check(name, family, since, needs_steps, judge)
        return judge

    return register


def all_checks() -> Iterator[Check]:
    """Every check, in the order in which their files are listed."""
    return iter(CHECKS.values())


def judge(recording: Recording, *, strict: bool = False) -> tuple[Verdict, ...]:
    """Judge a recording with every check."""
    return tuple(each(recording, strict=strict) for each in all_checks())
