"""Train on one batch again and again."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import DataLoader

from lightning_conformance.recording.model import LossSeen, Recording
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.setup import Setup

_STEPS = 24


def record(setup: Setup, blank: Recording) -> Recording:
    """One epoch of two dozen steps on copies of the first batch, without validation."""
    plan = replace(setup.plan, epochs=1, batches=_STEPS)
    settled = replace(setup.settled, ragged=False)
    steady = _OneBatch(setup.subject, setup.environment, setup.source, plan, settled)
    with folder() as where:
        run = plain_fit(steady, where)
    events = [event for event in run.tape.events if isinstance(event, LossSeen)]
    return replace(blank, tape=tuple(events))


@dataclass(frozen=True)
class _OneBatch(Setup):
    """Feeds the first batch, again and again."""

    def fit_arguments(self, module: Any) -> dict[str, Any]:
        """The usual ones, with a training loader over the first batch."""
        arguments = super().fit_arguments(module)
        if "train_dataloaders" not in arguments:
            raise DoesNotApply("the module, or its DataModule, gives its own batches")
        one: Any = [next(iter(arguments["train_dataloaders"]))] * self.plan.batches
        return {**arguments, "train_dataloaders": DataLoader(one, batch_size=None, collate_fn=copy.deepcopy)}
