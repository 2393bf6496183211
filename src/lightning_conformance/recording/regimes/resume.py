"""Train without interruption, and resume from the checkpoint of the first epoch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_conformance.recording.attributes import differing, plain_attributes
from lightning_conformance.recording.events_checkpoints import Resumed
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.isolation import seed_everything
from lightning_conformance.recording.model import LossSeen, Moment, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import DoesNotApply, PlainRun, folder, plain_fit
from lightning_conformance.recording.regimes.ladder import made_batches
from lightning_conformance.recording.setup import Setup

_AT = Moment("checkpoint", 1, -1, "")


def record(setup: Setup, blank: Recording) -> Recording:
    """Losses of the second epoch, with and without interruption."""
    if made_batches(setup) is None:
        raise DoesNotApply("the batches come from a loader of its own, which may give others each time")
    with folder() as where:
        path = where / "epoch.ckpt"
        straight = _Epochs(setup, path)
        first = _run(setup, where, straight, {"enable_checkpointing": True})
        if not path.exists():
            raise DoesNotApply("no checkpoint of the first epoch could be written")
        resumed = _Epochs(setup, None)
        try:
            second = _run(setup, where, resumed, {"ckpt_path": str(path)})
        except Exception as error:
            module = setup.build()
            failure = failure_of(error, stage="checkpoint", at=_AT, places=Places(source_files(module)))
            return replace(blank, tape=(Resumed(_AT, failure),))
    attributes = differing(straight.attributes, resumed.attributes)
    return replace(blank, tape=(Resumed(_AT, None, _late(first), _late(second), attributes),))


def _late(run: PlainRun) -> tuple[float | None, ...]:
    """The losses after the first epoch."""
    batch = [event for event in run.tape.events if isinstance(event, LossSeen)]
    return tuple(event.value for event in batch if event.at.epoch > 0)


def _run(setup: Setup, where: Path, epochs: _Epochs, more: dict[str, Any]) -> PlainRun:
    return plain_fit(setup, where, callbacks=epochs.callbacks(), num_sanity_val_steps=0, limit_val_batches=0, **more)


class _Epochs:
    """Seeds every batch, saves after the first, and looks at the attributes when the second begins."""

    def __init__(self, setup: Setup, path: Path | None) -> None:
        self.setup, self.path = setup, path
        self.attributes: dict[str, Any] = {}

    def seed_batches(self, trainer: Any) -> None:
        """Seed before each batch is handed over: what a loader draws differs in a run that is resumed."""
        move, count = trainer.strategy.batch_to_device, Counter[int]()

        def batch_to_device(*args: Any, **kwargs: Any) -> Any:
            epoch = int(trainer.current_epoch)
            seed_everything(self.setup.plan.seed + 1000 * epoch + count[epoch])
            count[epoch] += 1
            return move(*args, **kwargs)

        trainer.strategy.batch_to_device = batch_to_device

    def callbacks(self) -> list[Any]:
        """One that seeds before anybody draws, one that saves when all others are done."""
        epochs, package = self, self.setup.package

        class Seeds(package.Callback):  # type: ignore[misc, name-defined]
            def setup(self, trainer: Any, module: Any, stage: str) -> None:
                epochs.seed_batches(trainer)

            def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any) -> None:
                if trainer.current_epoch == 1 and batch_idx == 0:
                    epochs.attributes = plain_attributes(module)

        class Saves(package.Checkpoint):  # type: ignore[misc, name-defined]
            def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
                if trainer.current_epoch == 0 and epochs.path is not None:
                    trainer.save_checkpoint(epochs.path)

        return [Seeds(), Saves()] if self.path is not None else [Seeds()]
