"""One real ``Trainer.fit``, and the instruments that watch it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.deadline import RunTimeout
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.instruments import INSTRUMENTS, Run
from lightning_conformance.recording.instruments.backward import BackwardWatch
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.instruments.metrics import as_number, log_calls, recording_logger
from lightning_conformance.recording.instruments.optimizers import OptimizerWatch
from lightning_conformance.recording.instruments.parameters import ParameterWatch
from lightning_conformance.recording.instruments.progress import progress_callback
from lightning_conformance.recording.instruments.python_warnings import heard_warnings
from lightning_conformance.recording.instruments.strategy import watch_strategy
from lightning_conformance.recording.model import Failure, Recording
from lightning_conformance.recording.places import Places, method_sources, source_files
from lightning_conformance.recording.setup import Setup
from lightning_conformance.recording.tape import Tape


def record_fit(setup: Setup, blank: Recording) -> Recording:
    """Train once, watched by every instrument.

    Args:
        blank: What is known before the run.

    Raises:
        SubjectError: The module cannot be built.
    """
    package = setup.package
    with setup.folder() as folder:
        tape = Tape()
        # What the constructor logs is lost, and only seen here.
        with log_calls(package, tape, Places(())):
            module = setup.build()
        places = Places(source_files(module))
        blank = replace(
            blank,
            lightning=f"{package.name} {package.version}",
            automatic=bool(module.automatic_optimization),
            epochs=setup.plan.epochs,
            batches=setup.plan.batches,
            methods=method_sources(module),
            user_files=tuple(places.user_files),
            settled=setup.settled,
        )
        return _Fit(Run(setup, package, module, tape, places, folder)).record(blank)


class _Fit:
    """One fit under watch."""

    def __init__(self, run: Run) -> None:
        self.run = run
        tape, places = run.tape, run.places
        self.parameters = ParameterWatch(run.module, tape)
        self.optimizers = OptimizerWatch(tape, places)
        self.backward = BackwardWatch(tape, places, self.optimizers.before_backward, self.parameters.after_backward)
        self.more = [instrument(run) for instrument in INSTRUMENTS]

    def record(self, blank: Recording) -> Recording:
        run, failure, trainer = self.run, None, None
        with ExitStack() as stack:
            stack.enter_context(run.package.fresh_warning_caches())
            stack.enter_context(heard_warnings(run.tape, run.places))
            for core in (self.parameters, self.optimizers, self.backward):
                stack.enter_context(core.watching())
            for each in self.more:
                stack.enter_context(each.watching())
            stack.enter_context(log_calls(run.package, run.tape, run.places))
            try:
                trainer = self._trainer()
                watch_strategy(trainer.strategy, run.tape, self.parameters, self.backward)
                for each in self.more:
                    each.begin(trainer)
                run.setup.fit(trainer, run.module)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                failure = failure_in_run(error, run.tape, run.places)
        return self._freeze(replace(blank, notes=(*blank.notes, *self._end(trainer))), trainer, failure)

    def _trainer(self) -> Any:
        run, setup = self.run, self.run.setup
        sizes = setup.source.sizes(setup.plan, ragged=setup.settled.ragged)
        own = progress_callback(run.package, run.tape, self.parameters, self.optimizers, sizes, _validated(setup))
        others = (instrument.callback() for instrument in self.more)
        return setup.trainer(
            run.folder,
            logger=recording_logger(run.package, run.tape, run.folder),
            profiler=hook_profiler(run.package, run.tape),
            callbacks=[own, *(callback for callback in others if callback is not None)],
        )

    def _end(self, trainer: Any) -> list[str]:
        """Let the instruments close; one that cannot look at this module does not lose what the others saw."""
        notes = []
        for each in self.more:
            try:
                each.end(trainer)
            except Exception as error:
                notes.append(f"{type(each).__name__} could not look: {type(error).__name__}: {error}")
        return notes

    def _freeze(self, blank: Recording, trainer: Any, failure: Failure | None) -> Recording:
        logged = getattr(trainer, "logged_metrics", {}) if trainer is not None else {}
        numbers = {str(name): as_number(value) for name, value in dict(logged).items()}
        with torch.no_grad():
            return replace(
                blank,
                tape=tuple(self.run.tape.events),
                parameters=self.parameters.facts(self.optimizers.holders()),
                unregistered=self.parameters.unregistered(self.optimizers.holders()),
                optimizers=self.optimizers.facts(self.parameters.names()),
                logged_metrics={name: value for name, value in numbers.items() if value is not None},
                failure=failure,
            )


def _validated(setup: Setup) -> list[int] | None:
    """Samples in each validation batch; None where only the batch itself can tell."""
    source = getattr(setup.source, "validation", setup.source)
    plan = replace(setup.plan, batches=setup.plan.validation_batches)
    sizes: list[int] | None = source.sizes(plan, ragged=setup.settled.ragged)
    return sizes


def failure_in_run(error: BaseException, tape: Tape, places: Places) -> Failure:
    """What ended a run.

    Raises:
        KeyboardInterrupt: The user did; some Lightning releases make a SystemExit of it.
    """
    if isinstance(error.__context__, KeyboardInterrupt) and isinstance(error, SystemExit):
        raise KeyboardInterrupt from error
    stage = "timeout" if isinstance(error, RunTimeout) else "fit"
    return failure_of(error, stage=stage, at=tape.failed_at or tape.now, places=places)
