"""Check a module from plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_conformance import environments
from lightning_conformance.checks import all_checks, find_check, judge
from lightning_conformance.checks.choosing import judged_in
from lightning_conformance.recording.run import DEFAULT_TIMEOUT, recordings_in
from lightning_conformance.reporting.report import Report
from lightning_conformance.subjects.subject import SearchLimits, Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target


def check_module(
    module: Any,
    *,
    init: Mapping[str, Any] | Sequence[str] = (),
    config: str = "",
    batch: Any = None,
    val_batch: Any = None,
    environment: str | Sequence[str] = "auto",
    train_loss: str = "",
    seed: int = 0,
    timeout: float | None = DEFAULT_TIMEOUT,
    strict: bool = False,
    guess: bool | None = None,
    select: Sequence[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Run a LightningModule for a few steps under a real Trainer, and judge what was seen.

    Args:
        module: A LightningModule class, a function that returns a module, an instance, or a target
            (``"path:Class"``).
        init: Constructor arguments by name, or ``key=value`` texts.
        config: A file in LightningCLI's ``class_path``/``init_args`` form.
        batch: A batch spec such as ``"x: float[8,10], y: int[8]<2"``, a target of a function or of a
            LightningDataModule, a batch, or a function that returns one. None: the module's own
            dataloaders, or inference.
        val_batch: What ``validation_step`` takes, where it is no batch of ``training_step``: as ``batch``, without a
            LightningDataModule. None: the same, or another that is inferred where it must be.
        environment: ``auto`` (the CPU, every accelerator that is there, and those that can be pretended), or names
            such as ``cpu`` and ``virtual``.
        train_loss: Name under which the module logs its training loss; empty for what its file declares,
            or ``train_loss``.
        seed: Seeds construction, batches and the run.
        timeout: Seconds for one run; None for no limit.
        strict: Let warnings fail, too.
        guess: Guess required constructor arguments that nobody gave; None: unless ``strict``.
        select: Names of the checks to judge with, which also decide what is run; empty for all.
        raise_on_failure: Raise an exception that lists every finding.

    Returns:
        The report: verdicts and recordings.

    Raises:
        ConformanceError: A check failed (unless ``raise_on_failure`` is False).
        UsageError: The arguments do not fit: an unknown target, environment, check or constructor argument.
    """
    given = init if isinstance(init, Mapping) else tuple(init)
    guess = not strict if guess is None else guess
    options = SubjectOptions(given, config, batch, train_loss, seed, guess, val_batch)
    target = parse_target(module, Path.cwd()) if isinstance(module, str) else module
    subject = Subject(target, options, limits=SearchLimits(data_seconds=timeout and timeout / 4))
    words = [environment] if isinstance(environment, str) else list(environment)
    checks = [find_check(name) for name in select] or all_checks()
    places = environments.select(words)
    judged = judged_in(places, checks)
    found = recordings_in(subject, places, timeout=timeout)
    verdicts = tuple(verdict for each in found for verdict in judge(each, judged[each.environment.name], strict=strict))
    report = Report(verdicts, tuple(each() for each in found))
    if raise_on_failure:
        report.raise_for_failures()
    return report
