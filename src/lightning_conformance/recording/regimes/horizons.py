"""Have the module configure its optimizers for runs of other lengths; nothing is trained."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from lightning_conformance.recording.events_schedulers import SchedulersBuilt
from lightning_conformance.recording.instruments.schedulers import horizon_of
from lightning_conformance.recording.model import Moment, Recording
from lightning_conformance.recording.regimes.base import DoesNotApply, folder
from lightning_conformance.recording.setup import Setup, unheard_warnings


class _Configured(Exception):
    """Ends a run as soon as its optimizers are there."""


def record(setup: Setup, blank: Recording) -> Recording:
    """What the schedulers are made for with other numbers of batches, and of epochs."""
    if "configure_optimizers" not in blank.methods:
        raise DoesNotApply("the module's own classes configure no optimizer")
    plan = setup.plan
    more_epochs = _built(setup, plan.epochs + 3, plan.batches)
    other_batches = _built(setup, plan.epochs, plan.batches + 3)
    if other_batches.batches == more_epochs.batches > 1:
        # The module's own loader has no more.
        other_batches = _built(setup, plan.epochs, more_epochs.batches - 1)
    return replace(blank, tape=(other_batches, more_epochs))


def _built(setup: Setup, epochs: int, batches: int) -> SchedulersBuilt:
    configs, found = _configs(replace(setup, plan=replace(setup.plan, epochs=epochs, batches=batches)))
    horizons = tuple(horizon_of(config.scheduler) for config in configs)
    return SchedulersBuilt(Moment("train", 0, -1, "configure_optimizers"), epochs, found, horizons)


def _configs(setup: Setup) -> tuple[list[Any], int]:
    """The Trainer's schedulers before the first step, and how many batches an epoch has."""

    class Stop(setup.package.Callback):  # type: ignore[misc, name-defined]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            raise _Configured

    with folder() as where, unheard_warnings(), setup.package.fresh_warning_caches():
        trainer = setup.trainer(where, callbacks=[Stop()], logger=False, num_sanity_val_steps=0)
        with suppress(_Configured):
            setup.fit(trainer, setup.build())
        number = trainer.num_training_batches
        return list(trainer.lr_scheduler_configs), int(number) if number < float("inf") else setup.plan.batches
