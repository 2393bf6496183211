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
    plan, events = setup.plan, []
    for epochs, batches in ((plan.epochs, plan.batches + 3), (plan.epochs + 3, plan.batches)):
        configs = _configs(replace(setup, plan=replace(plan, epochs=epochs, batches=batches)))
        horizons = tuple(horizon_of(config.scheduler) for config in configs)
        events.append(SchedulersBuilt(Moment("train", 0, -1, "configure_optimizers"), epochs, batches, horizons))
    return replace(blank, tape=tuple(events))


def _configs(setup: Setup) -> list[Any]:
    class Stop(setup.package.Callback):  # type: ignore[misc, name-defined]
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            raise _Configured

    with folder() as where, unheard_warnings(), setup.package.fresh_warning_caches():
        trainer = setup.trainer(where, callbacks=[Stop()], logger=False, num_sanity_val_steps=0)
        with suppress(_Configured):
            setup.fit(trainer, setup.build())
        return list(trainer.lr_scheduler_configs)
