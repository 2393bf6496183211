"""Run a subject once in an environment under a regime, and write down everything seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from lightning_conformance.deadline import RunTimeout, deadline
from lightning_conformance.environments import Environment, reference
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import NEWEST_VERIFIED, OLDEST_VERIFIED, LightningPackage
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.isolation import leave_no_trace, quiet_lightning, seed_everything, seeded
from lightning_conformance.recording.model import TRAIN, Failure, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes import REGIMES, DoesNotApply
from lightning_conformance.recording.settling import record_steadily, validation_words
from lightning_conformance.recording.setup import Setup, unheard_warnings
from lightning_conformance.subjects.batch_spec import parse_batch_spec
from lightning_conformance.subjects.inference import ModuleOwnError
from lightning_conformance.subjects.sources import BatchSource, Plan, from_batch, from_spec
from lightning_conformance.subjects.subject import Subject
from lightning_conformance.subjects.validating import with_searched_validation, with_validation

DEFAULT_TIMEOUT = 120.0
_OF_PROCESSES = re.compile(
    r"sync_dist|all_gather|all_reduce|reduce_boolean|(?:global|local)_rank|is_global_zero|rank_zero|world_size"
    r"|\bdist\.|distributed|barrier|\.strategy\b|num_(?:nodes|devices)|SyncBatchNorm"
)


def record(
    subject: Subject,
    environment: Environment,
    *,
    batch: Any = None,
    plan: Plan | None = None,
    timeout: float | None = DEFAULT_TIMEOUT,
) -> Recording:
    """Record the ``train`` regime: a short real ``Trainer.fit``.

    Whatever the user's code does, a Recording comes back; a failure is part of it.

    Args:
        batch: A batch to use instead of the subject's source (from a fixture override).
        plan: How long to run.
        timeout: Seconds after which the run is ended; None or 0 for no limit.

    Raises:
        UsageError: The user's words (target, constructor arguments, batch spec) are wrong.
        KeyboardInterrupt: The user asked to stop.
    """
    plan = replace(plan or Plan(seed=subject.options.seed), ranks=environment.ranks)
    recording = _record(subject, environment, batch, plan, timeout)
    if recording.failure is not None and recording.failure.stage in ("import", "construct"):
        return recording
    # Only now: a guessed configuration may have been read in any hook.
    return replace(recording, guessed=subject.guessed)


def record_regime(
    subject: Subject,
    environment: Environment,
    regime: str,
    train: Recording,
    *,
    batch: Any = None,
    timeout: float | None = DEFAULT_TIMEOUT,
) -> Recording:
    """Record another regime than ``train``.

    Args:
        regime: A name of :data:`~lightning_conformance.recording.regimes.REGIMES`.
        train: The recording of the ``train`` regime, which tells what the subject needs.
        batch: A batch to use instead of the subject's source.
        timeout: Seconds after which the run is ended; None or 0 for no limit.

    Raises:
        KeyboardInterrupt: The user asked to stop.
    """
    blank = replace(Recording(subject.label, environment.name, regime), **_carried(train))
    if not train.completed:
        return replace(blank, missing="training does not complete (see training_completes)")
    if environment.ranks > 1:
        return replace(blank, inapplicable=f"in the environment {environment.name}, nothing is run but training")
    with leave_no_trace(), environment.in_effect(), deadline(timeout):
        try:
            return REGIMES[regime](_settled_setup(subject, environment, train, batch), blank)
        except DoesNotApply as reason:
            return replace(blank, inapplicable=str(reason))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            stage = "timeout" if isinstance(error, RunTimeout) else "fit"
            return replace(blank, failure=failure_of(error, stage=stage, places=_places(subject)))


class Recordings:
    """The recordings of a subject in an environment, each made the first time that it is asked for.

    Args:
        keep: ``keep(regime, make)`` returns what ``make`` once gave for the regime; by default this object remembers.
        reference: The recordings in an ordinary environment: where training fails there, it is not tried here.
    """

    def __init__(
        self,
        subject: Subject,
        environment: Environment,
        *,
        batch: Any = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        keep: Callable[[str, Callable[[], Recording]], Recording] | None = None,
        reference: Recordings | None = None,
    ) -> None:
        self._subject, self.environment = subject, environment
        self._batch, self._timeout, self._reference = batch, timeout, reference
        self._keep, self._known = keep or self._remember, dict[str, Recording]()

    def __call__(self, regime: str = TRAIN) -> Recording:
        """The recording of a regime.

        Raises:
            UsageError: The user's words (target, constructor arguments, batch spec) are wrong.
        """
        return self._keep(regime, lambda: self._make(regime))

    def _remember(self, regime: str, make: Callable[[], Recording]) -> Recording:
        if regime not in self._known:
            self._known[regime] = make()
        return self._known[regime]

    def _make(self, regime: str) -> Recording:
        if regime == TRAIN:
            why = self._why_not()
            if why:
                return Recording(self._subject.label, self.environment.name, TRAIN, missing=why)
            recording = record(self._subject, self.environment, batch=self._batch, timeout=self._timeout)
            return (
                recording
                if self.environment.asked
                else replace(recording, ceiling=_ceiling(self.environment, recording))
            )
        train, about = self(TRAIN), (self._subject, self.environment)
        return record_regime(*about, regime, train, batch=self._batch, timeout=self._timeout)

    def _why_not(self) -> str:
        """Why training is not tried here; empty where it is."""
        reason = self.environment.unavailable()
        if reason:
            return f"the environment {self.environment.name} cannot be had here: {reason}"
        other = self._reference
        if other is not None and not other().completed:
            return (
                f"training does not complete in the environment {other.environment.name} (see training_completes there)"
            )
        return ""


def recordings_in(
    subject: Subject, chosen: Sequence[Environment], *, timeout: float | None = DEFAULT_TIMEOUT
) -> list[Recordings]:
    """The recordings of a subject in each of the environments, as :func:`~.environments.select` gives them."""
    ordinary = reference(chosen)
    first = None if ordinary is None else Recordings(subject, ordinary, timeout=timeout)
    return [
        first
        if first is not None and place is ordinary
        else Recordings(subject, place, timeout=timeout, reference=first if place.narrowed else None)
        for place in chosen
    ]


def _carried(train: Recording) -> dict[str, Any]:
    """What a regime's recording has in common with that of training."""
    names = ("lightning", "automatic", "train_loss_name", "methods", "user_files", "guessed", "settled")
    return {name: getattr(train, name) for name in names}


def _places(subject: Subject) -> Places:
    try:
        return Places(source_files(subject.sample))
    except SubjectError:
        return Places(())


def _ceiling(environment: Environment, recording: Recording) -> Literal["", "warning", "advice"]:
    """How much of a place that nobody asked for counts: few modules are made for every one."""
    if environment.ranks > 1:
        return "" if _speaks_of_processes(recording) else "advice"
    return "warning" if "precision" in environment.own else ""


def _speaks_of_processes(recording: Recording) -> bool:
    """Whether the module's own code is written for several processes."""
    return any(_OF_PROCESSES.search(method.text) for method in recording.methods.values())


def _settled_setup(subject: Subject, environment: Environment, train: Recording, batch: Any) -> Setup:
    plan = Plan(batches=train.batches, seed=subject.options.seed)
    source = _source(subject, plan, batch)
    if train.validation_source == "inferred" and not validation_words(source):
        # Another process found it; the search is remembered.
        source = with_searched_validation(subject, source) or source
    return Setup(subject, environment, source, plan, train.settled)


def _record(subject: Subject, environment: Environment, batch: Any, plan: Plan, timeout: float | None) -> Recording:
    blank = Recording(subject.label, environment.name, TRAIN, train_loss_name=subject.train_loss)
    with leave_no_trace(), environment.in_effect(), deadline(timeout):
        try:
            return _record_fed(subject, environment, plan, blank, batch)
        except ModuleOwnError as error:
            own = error
        except (SubjectError, RunTimeout, SystemExit) as error:
            return replace(blank, failure=failure_of(error, stage="construct"))
        # Not inside the handler: what the run raises now does not come from the search.
        try:
            return _record_own_error(subject, environment, plan, blank, own)
        except (SubjectError, RunTimeout, SystemExit) as error:
            return replace(blank, failure=failure_of(error, stage="construct"))


def _record_fed(subject: Subject, environment: Environment, plan: Plan, blank: Recording, batch: Any) -> Recording:
    source = _source(subject, plan, batch)
    notes = (*subject.notes, *_version_notes(subject.package))
    told = replace(
        blank,
        batch_source=source.origin,
        batch_text=source.text,
        **validation_words(source),
        batch_doubts=subject.doubts if source.inferred else (),
        init_text=subject.init_text,
        notes=notes,
    )
    recording = record_steadily(Setup(subject, environment, source, plan), told)
    if source.inferred and _is_in_training_step(recording.failure) and subject.renew_source():
        return _record_fed(subject, environment, plan, blank, batch)
    return recording


def _is_in_training_step(failure: Failure | None) -> bool:
    return failure is not None and failure.at is not None and failure.at.hook == "training_step"


def _record_own_error(
    subject: Subject, environment: Environment, plan: Plan, blank: Recording, error: ModuleOwnError
) -> Recording:
    """The module fails whatever it is fed: record that with a stand-in for a batch, to see hook and moment."""
    stand_in = from_spec(error.spec or parse_batch_spec("float[B,1]"), "", plan.seed)
    recording = record_steadily(Setup(subject, environment, stand_in, plan), blank)
    failure, cause = recording.failure, error.cause
    if failure is not None and (failure.type, failure.message) == (type(cause).__name__, str(cause)):
        return recording
    return replace(blank, failure=failure_of(error, stage="batch"))


def _version_notes(package: LightningPackage) -> tuple[str, ...]:
    if OLDEST_VERIFIED <= package.release <= NEWEST_VERIFIED:
        return ()
    oldest, newest = (".".join(map(str, release)) for release in (OLDEST_VERIFIED, NEWEST_VERIFIED))
    return (f"The kit is verified with Lightning {oldest} to {newest}; this is {package.version}.",)


def fresh_module(subject: Subject, device: Any) -> Any:
    """A new, seeded instance of the subject on a device; the caller's RNGs stay as they are.

    Raises:
        SubjectError: It cannot be built.
    """
    with seeded(subject.options.seed):
        return subject.build().to(device)


def first_batch(subject: Subject, timeout: float | None = DEFAULT_TIMEOUT) -> Any:
    """One batch of the subject's source, on the CPU.

    Raises:
        SubjectError: The subject cannot be built or fed.
    """
    with leave_no_trace(), deadline(timeout):
        return _source(subject, Plan(seed=subject.options.seed), None).batch()


def _source(subject: Subject, plan: Plan, batch: Any) -> BatchSource:
    seed_everything(plan.seed)
    with unheard_warnings():
        quiet_lightning()
        source = subject.source if batch is None else from_batch(batch, "fixture lightning_batch")
        return with_validation(subject, source)
