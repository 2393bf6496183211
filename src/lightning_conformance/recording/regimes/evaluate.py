"""Evaluate a trained instance outside of ``fit``: ``validate``, ``test`` and ``predict``, each twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.recording.digests import Digests
from lightning_conformance.recording.events_evaluation import EntryTried
from lightning_conformance.recording.facts import fingerprint
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.instruments.metrics import as_number, recording_logger
from lightning_conformance.recording.instruments.progress import tensors_in
from lightning_conformance.recording.isolation import seed_everything
from lightning_conformance.recording.model import Failure, Moment, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.setup import Setup, unheard_warnings
from lightning_conformance.recording.tape import Tape
from lightning_conformance.subjects.batch_spec import BatchSpec
from lightning_conformance.subjects.inference.steps import needs_loader_index
from lightning_conformance.subjects.sources import from_spec

STEPS = {"validate": "validation_step", "test": "test_step", "predict": "predict_step"}


def record(setup: Setup, blank: Recording) -> Recording:
    """A short fit, then every entry point that the module has a step for."""
    module = setup.build()
    entries = [e for e, step in STEPS.items() if setup.package.is_overridden(step, module) and _can_feed(setup, e)]
    if not entries:
        raise DoesNotApply("the module has no validation_step, test_step or predict_step that could be fed")
    with folder() as where:
        short = replace(setup, plan=replace(setup.plan, epochs=1, batches=min(setup.plan.batches, 4)))
        plain_fit(short, where, module=module)
        events = [_tried(setup, entry, module, where) for entry in entries]
    return replace(blank, tape=tuple(events))


def _can_feed(setup: Setup, entry: str) -> bool:
    return entry != "validate" or setup.settled.validation


def _tried(setup: Setup, entry: str, module: Any, where: Path) -> EntryTried:
    """Try an entry point with validation batches; where its step does not take those, with batches made for it."""
    arguments, own = _arguments(setup, entry, module)
    event = _Twice(setup, entry, module, where, arguments, own).run()
    if event.failure is None or own or entry == "validate" or event.failure.from_lightning:
        return event
    spec = setup.subject.step_specs.get(STEPS[entry])
    if spec is None:
        return event
    return _Twice(setup, entry, module, where, {"dataloaders": _made(setup, spec, module, entry)}, True).run()


def _arguments(setup: Setup, entry: str, module: Any) -> tuple[dict[str, Any], bool]:
    """What the Trainer's method is given, and whether the batches are the module's own or meant for the step."""
    fit = setup.fit_arguments(module)
    if entry != "validate" and "datamodule" in fit:
        hook = f"{entry}_dataloader"
        if setup.package.gives_data(hook, fit["datamodule"]):
            return {"datamodule": fit["datamodule"]}, True
    if entry != "validate" and not fit and setup.package.is_overridden(f"{entry}_dataloader", module):
        return {}, True
    if "val_dataloaders" in fit:
        return {"dataloaders": fit["val_dataloaders"]}, entry == "validate"
    if "datamodule" in fit or not fit:
        return ({key: value for key, value in fit.items() if key == "datamodule"}, entry == "validate")
    return {"dataloaders": fit["train_dataloaders"]}, False


def _made(setup: Setup, spec: BatchSpec, module: Any, entry: str) -> Any:
    source = from_spec(spec, "inferred", setup.plan.seed, inferred=True)
    loader = source.fit_arguments(setup.plan, ragged=False, validation=True)["val_dataloaders"]
    return [loader, loader] if needs_loader_index(getattr(module, STEPS[entry])) else loader


class _Twice:
    """One entry point, run twice on the same batches."""

    def __init__(
        self, setup: Setup, entry: str, module: Any, where: Path, arguments: dict[str, Any], own: bool
    ) -> None:
        self.setup, self.entry, self.module, self.where = setup, entry, module, where
        self.arguments, self.own = arguments, own
        self.at = Moment(entry, 0, -1, STEPS[entry])
        self.digests: list[list[bytes | None]] = []
        self.returned: list[bool] = []

    def run(self) -> EntryTried:
        step, before = STEPS[self.entry], Digests(self.module)
        first, failure = self._once(self.setup.plan.seed)
        if failure is not None:
            return EntryTried(self.at, self.entry, step, failure, self.own)
        parameters, buffers = Digests(self.module).changed_since(before)
        second, failure = self._once(self.setup.plan.seed + 1)
        half = len(self.digests) // 2
        changed = self.digests[:half] != self.digests[half:]
        nothing = self.entry == "predict" and bool(self.returned) and not any(self.returned)
        return EntryTried(
            self.at, self.entry, step, failure, self.own, first, second, parameters, buffers, changed, nothing
        )

    def _once(self, seed: int) -> tuple[dict[str, float], Failure | None]:
        tape, package = Tape(), self.setup.package
        trainer = self.setup.trainer(
            self.where,
            logger=recording_logger(package, tape, self.where),
            profiler=hook_profiler(package, tape),
            limit_test_batches=self.setup.plan.validation_batches,
            limit_predict_batches=self.setup.plan.validation_batches,
        )
        quiet: dict[str, Any] = {"verbose": False} if self.entry != "predict" else {"return_predictions": False}
        seed_everything(seed)
        try:
            with unheard_warnings(), package.fresh_warning_caches(), self._watched(trainer.strategy):
                getattr(trainer, self.entry)(self.module, **self.arguments, **quiet)
        except KeyboardInterrupt:
            raise
        except Exception as error:
            places = Places(source_files(self.module))
            return {}, failure_of(error, stage=self.entry, at=tape.failed_at or self.at, places=places)
        numbers = {str(name): as_number(value) for name, value in dict(trainer.callback_metrics).items()}
        return {name: value for name, value in numbers.items() if value is not None}, None

    @contextmanager
    def _watched(self, strategy: Any) -> Iterator[None]:
        """Note what the step is given, and whether it returns something."""
        name = STEPS[self.entry]
        step = getattr(strategy, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            batch = next(iter([*args, *kwargs.values()]), None)
            with torch.no_grad():
                self.digests.append([fingerprint(tensor) for tensor in tensors_in(batch)])
            returned = step(*args, **kwargs)
            self.returned.append(returned is not None)
            return returned

        setattr(strategy, name, watched)
        yield
