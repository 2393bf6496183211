"""Run a subject once under a real Trainer, and write down everything seen."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from lightning_conformance.deadline import RunTimeout, deadline
from lightning_conformance.environments import Environment
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import NEWEST_VERIFIED, OLDEST_VERIFIED, LightningPackage
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.instruments.backward import BackwardWatch
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.instruments.metrics import as_number, log_calls, recording_logger
from lightning_conformance.recording.instruments.optimizers import OptimizerWatch
from lightning_conformance.recording.instruments.parameters import ParameterWatch
from lightning_conformance.recording.instruments.progress import progress_callback
from lightning_conformance.recording.instruments.python_warnings import heard_warnings
from lightning_conformance.recording.instruments.strategy import watch_strategy
from lightning_conformance.recording.isolation import leave_no_trace, quiet_lightning, seed_everything, seeded
from lightning_conformance.recording.model import BackwardRan, Failure, OptimizerStepped, Recording
from lightning_conformance.recording.places import Places, method_sources, source_files
from lightning_conformance.recording.tape import Tape
from lightning_conformance.subjects.batch_spec import parse_batch_spec
from lightning_conformance.subjects.inference import ModuleOwnError
from lightning_conformance.subjects.inference.steps import may_take_loader_index, needs_loader_index
from lightning_conformance.subjects.sources import BatchSource, Plan, from_batch, from_spec
from lightning_conformance.subjects.subject import Subject
from lightning_conformance.subjects.validating import WithValidation, with_searched_validation, with_validation

DEFAULT_TIMEOUT = 120.0
# More than the batches that accumulation or a critic's turns usually take between two steps.
_MANY_BATCHES = 33
_BATCH_MAY_BE_WRONG = (KeyError, IndexError, ValueError, TypeError, RuntimeError, AssertionError)


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
    recording = _record(subject, environment, batch, plan or Plan(seed=subject.options.seed), timeout)
    if recording.failure is not None and recording.failure.stage in ("import", "construct"):
        return recording
    # Only now: a guessed configuration may have been read in any hook.
    return replace(recording, guessed=subject.guessed)


def _record(subject: Subject, environment: Environment, batch: Any, plan: Plan, timeout: float | None) -> Recording:
    blank = Recording(subject.label, environment.name, "train", train_loss_name=subject.train_loss)
    with leave_no_trace(), deadline(timeout):
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
        **_validation_words(source),
        batch_doubts=subject.doubts if source.inferred else (),
        init_text=subject.init_text,
        notes=notes,
    )
    recording = _record_steadily(subject, environment, source, plan, told)
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
    recording = _record_steadily(subject, environment, stand_in, plan, blank)
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
    with _unheard_warnings():
        quiet_lightning()
        source = subject.source if batch is None else from_batch(batch, "fixture lightning_batch")
        return with_validation(subject, source)


@contextmanager
def _unheard_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _record_steadily(
    subject: Subject, environment: Environment, source: BatchSource, plan: Plan, blank: Recording
) -> Recording:
    """Record; where the kit's own choice of data may be what failed, record again without it."""
    ragged, validation, loaders = source.ragged, True, 1

    def run(loaders: int) -> Recording:
        return _Run(subject, environment, source, plan, ragged, validation, loaders).record(blank)

    while True:
        recording = run(loaders)
        failure = recording.failure
        if failure is None and plan.batches < _MANY_BATCHES and _may_step_later(recording):
            plan = replace(plan, batches=_MANY_BATCHES)
            note = f"An optimizer was not stepped at first; the run was repeated with {plan.batches} batches an epoch."
            blank = replace(blank, notes=(*blank.notes, note))
            continue
        if failure is None or failure.stage == "timeout" or failure.at is None:
            return recording
        if ragged and failure.at.stage == "train" and failure.at.batch == plan.batches - 1:
            ragged, blank = False, replace(blank, ragged_failure=failure)
        elif validation and loaders == 1 and _may_want_loaders(failure, source, subject) and run(2).failure is None:
            loaders = 2
            note = "validation_step fails with one validation loader, and got two: it takes a dataloader_idx."
            blank = replace(blank, notes=(*blank.notes, note))
        elif validation and _validation_batch_may_be_wrong(failure, source):
            other = with_searched_validation(subject, source)
            if other is not None:
                source, blank = other, replace(blank, **_validation_words(other))
                continue
            unused: dict[str, Any] = {"validation_source": "", "validation_text": ""}
            validation, blank = False, replace(blank, validation_failure=failure, **unused)
        elif failure.at.hook == "prepare_data" and not (source.own_validation or subject.own_data_fails):
            # It prepares data that nobody asked for: the batches come from elsewhere.
            subject.own_data_fails = True
            said = shorten(f"{failure.type}: {failure.message}", 160, placeholder="...")
            blank = replace(blank, notes=(*blank.notes, f"Its own prepare_data fails, and was left out: {said}"))
        else:
            # What happens without the smaller batch, or without validation, too, is not their fault.
            unlike = None if _same_error(failure, blank.validation_failure) else blank.validation_failure
            return replace(recording, ragged_failure=None, validation_failure=unlike)


def _validation_words(source: BatchSource) -> dict[str, Any]:
    if not isinstance(source, WithValidation):
        return {}
    return {"validation_source": source.validation.origin, "validation_text": source.validation.text}


def _may_want_loaders(failure: Failure, source: BatchSource, subject: Subject) -> bool:
    """Whether validation fails, and the module's own data may be several validation loaders."""
    is_there = failure.at is not None and failure.at.stage in ("sanity", "validate")
    own_loaders = source.own_validation and not isinstance(source, WithValidation)
    if not is_there or own_loaders or failure.type not in {cls.__name__ for cls in _BATCH_MAY_BE_WRONG}:
        return False
    return may_take_loader_index(subject.sample.validation_step)


def _same_error(failure: Failure, other: Failure | None) -> bool:
    return other is not None and (failure.type, failure.message) == (other.type, other.message)


def _may_step_later(recording: Recording) -> bool:
    """Manual optimization may step an optimizer every so many batches only: accumulation, a critic's turns."""
    stepped = {event.optimizer for event in recording.all(OptimizerStepped)}
    configured = {index for index, facts in enumerate(recording.optimizers) if facts.configured}
    return not recording.automatic and bool(configured - stepped) and any(recording.all(BackwardRan))


def _validation_batch_may_be_wrong(failure: Failure, source: BatchSource) -> bool:
    at = failure.at
    return (
        not source.own_validation
        and not failure.from_lightning
        and at is not None
        and at.hook == "validation_step"
        and failure.type in {cls.__name__ for cls in _BATCH_MAY_BE_WRONG}
    )


@dataclass
class _Run:
    """One fit, and the instruments that watch it."""

    subject: Subject
    environment: Environment
    source: BatchSource
    plan: Plan
    ragged: bool
    validation: bool
    loaders: int = 1
    tape: Tape = field(default_factory=Tape)

    def record(self, blank: Recording) -> Recording:
        package = self.subject.package
        seed_everything(self.plan.seed)
        with tempfile.TemporaryDirectory(prefix="lightning-conformance-") as folder:
            with _unheard_warnings():
                module = _initialised(self.subject.build(), self.subject.label)
            # The user's factory may have imported Lightning only now, and Lightning sets its log level then.
            quiet_lightning()
            places = Places(source_files(module))
            blank = replace(
                blank,
                lightning=f"{package.name} {package.version}",
                automatic=bool(module.automatic_optimization),
                epochs=self.plan.epochs,
                batches=self.plan.batches,
                methods=method_sources(module),
                user_files=tuple(places.user_files),
            )
            return self._fit(package, module, places, Path(folder), blank)

    def _fit(self, package: LightningPackage, module: Any, places: Places, folder: Path, blank: Recording) -> Recording:
        tape = self.tape
        parameters = ParameterWatch(module, tape)
        optimizers = OptimizerWatch(tape, places)
        backward = BackwardWatch(tape, places, optimizers.before_backward, parameters.after_backward)
        failure, trainer = None, None
        with ExitStack() as stack:
            stack.enter_context(package.fresh_warning_caches())
            stack.enter_context(heard_warnings(tape, places))
            for instrument in (parameters, optimizers, backward):
                stack.enter_context(instrument.watching())
            stack.enter_context(log_calls(package, tape, places))
            try:
                trainer = self._trainer(package, folder, parameters, optimizers)
                watch_strategy(trainer.strategy, tape, parameters, backward)
                self._run(package, trainer, module)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if isinstance(error.__context__, KeyboardInterrupt) and isinstance(error, SystemExit):
                    raise KeyboardInterrupt from error
                stage = "timeout" if isinstance(error, RunTimeout) else "fit"
                failure = failure_of(error, stage=stage, at=tape.failed_at or tape.now, places=places)
        return self._freeze(blank, module, trainer, parameters, optimizers, failure)

    def _trainer(
        self, package: LightningPackage, folder: Path, parameters: ParameterWatch, optimizers: OptimizerWatch
    ) -> Any:
        sizes = self.source.sizes(self.plan, ragged=self.ragged)
        return package.Trainer(
            **self.environment.trainer_arguments(),
            max_epochs=self.plan.epochs,
            limit_train_batches=self.plan.batches,
            limit_val_batches=self.plan.validation_batches,
            logger=recording_logger(package, self.tape, folder),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(folder),
            profiler=hook_profiler(package, self.tape),
            callbacks=[progress_callback(package, self.tape, parameters, optimizers, sizes)],
            plugins=package.single_device_plugins(),
        )

    def _run(self, package: LightningPackage, trainer: Any, module: Any) -> None:
        validation = self.validation and package.is_overridden("validation_step", module)
        arguments = self.source.fit_arguments(self.plan, ragged=self.ragged, validation=validation)
        if "val_dataloaders" in arguments:
            loaders = max(self.loaders, 1 + needs_loader_index(module.validation_step))
            if loaders > 1:
                arguments["val_dataloaders"] = [arguments["val_dataloaders"]] * loaders
        if "train_dataloaders" in arguments and self.subject.own_data_fails:
            module.prepare_data = _nothing
        seed_everything(self.plan.seed)
        trainer.fit(module, **arguments)
        if str(getattr(trainer.state, "status", "")).lower().endswith("interrupted"):
            raise KeyboardInterrupt

    def _freeze(
        self,
        blank: Recording,
        module: Any,
        trainer: Any,
        parameters: ParameterWatch,
        optimizers: OptimizerWatch,
        failure: Failure | None,
    ) -> Recording:
        logged = getattr(trainer, "logged_metrics", {}) if trainer is not None else {}
        numbers = {str(name): as_number(value) for name, value in dict(logged).items()}
        with torch.no_grad():
            return replace(
                blank,
                tape=tuple(self.tape.events),
                parameters=parameters.facts(optimizers.holders()),
                unregistered=parameters.unregistered(optimizers.holders()),
                optimizers=optimizers.facts(parameters.names()),
                logged_metrics={name: value for name, value in numbers.items() if value is not None},
                failure=failure,
            )


def _initialised(module: Any, label: str) -> Any:
    """The module, as it is.

    Raises:
        SubjectError: Its constructor never called that of LightningModule.
    """
    if "_parameters" not in vars(module):
        message = f"{label} cannot be used: its __init__ does not call super().__init__()."
        raise SubjectError("construct", message, "super().__init__()  # first line of __init__")
    return module


def _nothing() -> None:
    """Stands for a ``prepare_data`` that cannot work here."""
