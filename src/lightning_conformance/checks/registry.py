"""The register of checks: one function with one decorator each."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Verdict, decide
from lightning_conformance.errors import UsageError
from lightning_conformance.recording.model import Recording

Judge = Callable[[Recording], Iterable[Finding]]

COMPLETION = "training_completes"
FAMILIES = ("completion", "loss", "optimization", "parameters", "logging")
CHECKS: dict[str, Check] = {}


@dataclass(frozen=True)
class Check:
    """One named rule.

    Args:
        name: What must hold, in snake case.
        family: The group of faults that it belongs to.
        since: Version of the kit that brought it.
        needs_steps: Whether it can only judge a run in which a training step returned.
        explains_crash: Whether its failure is the reason why a run stopped, where one did.
        depends_on_guess: Whether its failure may be due to constructor arguments that were guessed.
        judge: Looks at a recording and yields findings.
    """

    name: str
    family: str
    since: str
    needs_steps: bool
    explains_crash: bool
    depends_on_guess: bool
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

        if self.needs_steps and not recording.steps:
            reason = f"no training step was completed (see {COMPLETION})"
            return verdict("inconclusive", reason=reason)
        try:
            findings = tuple(self.judge(recording))
        except NotApplicable as reason:
            return verdict("not applicable", reason=str(reason))
        except Inconclusive as reason:
            if reason.finding is None:
                return verdict("inconclusive", reason=str(reason))
            if strict:
                return verdict("failed", findings=(reason.finding,))
            return verdict("inconclusive", reason=str(reason), findings=(reason.finding,))
        outcome = decide(findings, strict)
        if outcome == "failed" and self.depends_on_guess and recording.is_guessed:
            return verdict("inconclusive", reason=_guessed_reason(recording, findings))
        return verdict(outcome, findings=findings)


def _guessed_reason(recording: Recording, findings: tuple[Finding, ...]) -> str:
    seen = " ".join(findings[0].message.split())
    return f"constructor arguments were guessed: {' '.join(recording.guessed)}; with them, {seen}"


def check(
    *,
    family: str,
    since: str = "0.1.0",
    needs_steps: bool = True,
    explains_crash: bool = False,
    depends_on_guess: bool = False,
) -> Callable[[Judge], Judge]:
    """Register a judge under its function's name."""

    def register(judge: Judge) -> Judge:
        name = judge.__name__
        CHECKS[name] = Check(name, family, since, needs_steps, explains_crash, depends_on_guess, judge)
        return judge

    return register


def all_checks() -> list[Check]:
    """Every check, family by family."""
    return sorted(CHECKS.values(), key=lambda each: FAMILIES.index(each.family))


def judge(recording: Recording, *, strict: bool = False) -> tuple[Verdict, ...]:
    """Judge a recording with every check; a crash that another check explains refers to that check."""
    verdicts = [each(recording, strict=strict) for each in all_checks()]
    causes = [v.check for v in verdicts if v.failed and v.check != COMPLETION and CHECKS[v.check].explains_crash]
    if recording.failure is not None and recording.failure.stage == "fit" and causes:
        verdicts = [replace(v, because_of=causes[0]) if v.check == COMPLETION else v for v in verdicts]
    return tuple(verdicts)


def find_check(name: str) -> Check:
    """The check of that name.

    Raises:
        UsageError: There is none; the message names the nearest one.
    """
    if name in CHECKS:
        return CHECKS[name]
    near = difflib.get_close_matches(name, CHECKS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown check {name!r}.{hint}", f"Valid are: {', '.join(sorted(CHECKS))}.")
