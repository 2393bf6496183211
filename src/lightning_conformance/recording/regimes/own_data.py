"""Ask a new instance for its own data as ``fit``, ``validate``, ``test`` and ``predict`` do, one after the other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_conformance.deadline import deadline
from lightning_conformance.recording.events_batches import LoaderTried
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.model import Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import DoesNotApply, folder
from lightning_conformance.recording.setup import Setup, unheard_warnings
from lightning_conformance.recording.tape import Tape

_ENTRIES = {
    "fit": ("training_step", "train_dataloader"),
    "validate": ("validation_step", "val_dataloader"),
    "test": ("test_step", "test_dataloader"),
    "predict": ("predict_step", "predict_dataloader"),
}
_ALL_AT_ONCE = {"limit_val_batches": 1, "limit_test_batches": 1, "limit_predict_batches": 1}


class _Arrived(BaseException):
    """Leaves the Trainer when the first batch is there; no Exception, so that user code does not swallow it."""


def record(setup: Setup, blank: Recording) -> Recording:
    """An attempt for each entry that the module has data and a step for."""
    module = setup.subject.sample
    overridden = setup.package.is_overridden
    entries = [
        (entry, step, loader)
        for entry, (step, loader) in _ENTRIES.items()
        if overridden(loader, module) and (entry == "predict" or overridden(step, module))
    ]
    if not entries:
        raise DoesNotApply("the module has no dataloaders of its own")
    with folder() as where:
        events = [_try(setup, where, *entry) for entry in entries]
    return replace(blank, tape=tuple(events))


def _try(setup: Setup, where: Path, entry: str, step: str, loader: str) -> LoaderTried:
    module = setup.build()
    tape, places, got = Tape(), Places(source_files(module)), list[Any]()
    profiler = hook_profiler(setup.package, tape)
    trainer = setup.package.quiet_trainer(str(where), profiler=profiler, **_ALL_AT_ONCE)

    def arrived(*args: Any, **kwargs: Any) -> None:
        got.append(args)
        raise _Arrived

    setattr(trainer.strategy, step, arrived)
    at, failure, empty = tape.now, None, ""
    try:
        with unheard_warnings(), deadline(setup.subject.limits.data_seconds):
            getattr(trainer, entry)(module, **({} if entry in ("fit", "predict") else {"verbose": False}))
    except _Arrived:
        pass
    except Exception as error:
        failure = failure_of(error, stage="fit", at=tape.failed_at or tape.now, places=places)
    else:
        empty = "" if got else _why_empty(module, loader)
    return LoaderTried(at, entry, loader, failure, empty)


def _why_empty(module: Any, loader: str) -> str:
    with suppress(Exception):
        data = getattr(module, loader)()
        if len(data.dataset) == 0:
            return "no samples"
        if len(data) == 0:
            return "drop_last"
        if next(iter(data)) is None:
            return "None"
    return "unknown"
