"""The register of checks: one function with one decorator each."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Literal

from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Severity, Verdict, decide
from lightning_conformance.errors import UsageError
from lightning_conformance.recording.model import TRAIN, Recording

Judge = Callable[..., Iterable[Finding]]
Source = Callable[[str], Recording]

COMPLETION = "training_completes"
FAMILIES = {
    "completion": "The run comes to its end",
    "loss": "Loss and closure",
    "optimization": "Optimizers and schedulers",
    "parameters": "Parameters",
    "logging": "Logging",
    "hooks": "Hooks and versions",
    "evaluation": "Validation, test and prediction",
    "data": "Batches and data",
    "checkpoints": "Checkpoints and hyperparameters",
    "memory": "Memory and speed",
    "reproducibility": "Reproducibility",
    "tools": "Tools around the Trainer",
    "learning": "Learning",
    "device": "Devices",
    "precision": "Precision",
    "distributed": "Several processes",
}
CHECKS: dict[str, Check] = {}


@dataclass(frozen=True)
class Check:
    """One named rule.

    Args:
        name: What must hold, in snake case.
        family: The group of faults that it belongs to, a key of :data:`FAMILIES`.
        severity: The highest level that its findings have.
        since: Version of the kit that brought it.
        regimes: The regimes whose recordings ``judge`` takes, in its order.
        needs_steps: Whether it can only judge a run in which a training step returned.
        explains_crash: Whether its failure is the reason why a run stopped, where one did.
        depends_on_guess: Whether its failure may be due to constructor arguments that were guessed.
        judges_failure: Whether it looks at a regime's run that an exception ended, too.
        caused_by: Checks whose failure is the root of this one's, where both fail.
        judge: Looks at recordings and yields findings.
    """

    name: str
    family: str
    severity: Severity
    since: str
    regimes: tuple[str, ...]
    needs_steps: bool
    explains_crash: bool
    depends_on_guess: bool
    judges_failure: bool
    caused_by: tuple[str, ...]
    judge: Judge

    @property
    def documentation(self) -> str:
        """The docstring: what the check does, why, and what to write instead."""
        return inspect.getdoc(self.judge) or ""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.documentation.partition("\n")[0]

    def __call__(self, recordings: Source, *, strict: bool = False) -> Verdict:
        """Judge the recordings of a subject in an environment."""
        train = recordings(TRAIN)

        def verdict(outcome: str, **details: object) -> Verdict:
            return Verdict(self.name, train.subject, train.environment, outcome, **details)  # type: ignore[arg-type]

        if train.missing:
            return verdict("inconclusive", reason=train.missing)
        if train.inapplicable:
            return verdict("not applicable", reason=train.inapplicable)
        if self.needs_steps and not train.steps:
            reason = f"no training step was completed (see {COMPLETION})"
            return verdict("inconclusive", reason=reason)
        try:
            findings = tuple(self.judge(*self._material(recordings)))
            findings = tuple(_no_higher(finding, train.ceiling) for finding in findings)
        except NotApplicable as reason:
            return verdict("not applicable", reason=str(reason))
        except Inconclusive as reason:
            if reason.finding is None:
                return verdict("inconclusive", reason=str(reason))
            if strict:
                return verdict("failed", findings=(reason.finding,))
            return verdict("inconclusive", reason=str(reason), findings=(reason.finding,))
        outcome = decide(findings, strict)
        if outcome == "passed" and not findings and self.name != COMPLETION and _saw_too_little(train):
            return verdict("inconclusive", reason=f"the run ended before its first step was over (see {COMPLETION})")
        if outcome == "failed" and self.depends_on_guess and train.is_guessed:
            return verdict("inconclusive", reason=_guessed_reason(train, findings))
        return verdict(outcome, findings=findings)

    def _material(self, recordings: Source) -> Iterator[Recording]:
        """The recordings to judge.

        Raises:
            NotApplicable: A regime has nothing to show with this module.
            Inconclusive: A regime could not be run, or an exception ended it.
        """
        for regime in self.regimes:
            recording = recordings(regime)
            if recording.inapplicable:
                raise NotApplicable(recording.inapplicable)
            if recording.missing:
                raise Inconclusive(recording.missing)
            failure = recording.failure
            if regime != TRAIN and failure is not None and not self.judges_failure:
                said = shorten(f"{failure.type}: {failure.message}", 160, placeholder="...")
                raise Inconclusive(f"the run under the regime {regime} was ended by {said}")
            yield recording


def _no_higher(finding: Finding, ceiling: Literal["", "warning", "advice"]) -> Finding:
    """The finding, at no higher level than that of the recording."""
    if ceiling and (finding.severity == "error" or ceiling == "advice"):
        return replace(finding, severity=ceiling)
    return finding


def _saw_too_little(train: Recording) -> bool:
    """Whether the run was ended before a training step was: what was not seen is not right for that."""
    return train.failure is not None and not train.steps


def _guessed_reason(recording: Recording, findings: tuple[Finding, ...]) -> str:
    seen = " ".join(findings[0].message.split())
    return f"constructor arguments were guessed: {' '.join(recording.guessed)}; with them, {seen}"


def check(
    *,
    family: str,
    severity: Severity = "error",
    since: str = "0.1.0",
    regimes: tuple[str, ...] = (TRAIN,),
    needs_steps: bool = True,
    explains_crash: bool = False,
    depends_on_guess: bool = False,
    judges_failure: bool = False,
    caused_by: tuple[str, ...] = (),
) -> Callable[[Judge], Judge]:
    """Register a judge under its function's name; it takes one recording for each of ``regimes``."""

    def register(judge: Judge) -> Judge:
        name = judge.__name__
        flags = (needs_steps, explains_crash, depends_on_guess, judges_failure)
        CHECKS[name] = Check(name, family, severity, since, regimes, *flags, caused_by, judge)
        return judge

    return register


def all_checks() -> list[Check]:
    """Every check, family by family."""
    order = list(FAMILIES)
    return sorted(CHECKS.values(), key=lambda each: order.index(each.family))


def judge(recordings: Source, checks: Iterable[Check], *, strict: bool = False) -> tuple[Verdict, ...]:
    """Judge a subject in an environment with each of the checks."""
    return tuple(verdict_of(each, recordings, strict=strict) for each in checks)


def verdict_of(each: Check, recordings: Source, *, strict: bool = False) -> Verdict:
    """The verdict of one check; where another check names the root of its failure, it refers to that."""
    verdict = each(recordings, strict=strict)
    if not verdict.failed:
        return verdict
    root = next((c.name for c in _possible_roots(each, recordings) if c(recordings, strict=strict).failed), "")
    return replace(verdict, because_of=root)


def _possible_roots(each: Check, recordings: Source) -> list[Check]:
    if each.name != COMPLETION:
        return [CHECKS[name] for name in each.caused_by]
    failure = recordings(TRAIN).failure
    crashed = failure is not None and failure.stage in ("construct", "batch", "fit")
    return [c for c in all_checks() if crashed and c.explains_crash and c.name != COMPLETION]


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
