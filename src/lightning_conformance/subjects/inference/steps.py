"""The steps of a module that take batches, and how a Trainer gets to them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from torch.utils.data import DataLoader, Dataset

START_HOOKS = {
    "training_step": "on_train_batch_start",
    "validation_step": "on_validation_batch_start",
    "test_step": "on_test_batch_start",
    "predict_step": "on_predict_batch_start",
}
_ENTRIES = {"test_step": "test", "predict_step": "predict"}


class _Batches(Dataset[Any]):
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


def loader_of(batches: list[Any]) -> Any:
    """A data loader that hands out ready-made batches, in order."""
    return DataLoader(_Batches(batches), batch_size=None, collate_fn=lambda batch: batch)


def needs_loader_index(method: Any) -> bool:
    """Whether a step requires a ``dataloader_idx``: Lightning gives one to several loaders only."""
    index = _loader_index(method)
    return index is not None and index.default is inspect.Parameter.empty


def may_take_loader_index(method: Any) -> bool:
    """Whether a step takes a ``dataloader_idx`` with a default: one loader or several, as its author has them."""
    index = _loader_index(method)
    return index is not None and index.default is not inspect.Parameter.empty


def _loader_index(method: Any) -> inspect.Parameter | None:
    return inspect.signature(method).parameters.get("dataloader_idx")


@dataclass(frozen=True)
class StepPlace:
    """A step, and what else the Trainer needs to get there.

    Args:
        step: Name of the step.
        training: Batches for ``training_step``, which runs before ``validation_step``.
    """

    step: str = "training_step"
    training: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def entry(self) -> str:
        """The Trainer's method that leads to the step."""
        return _ENTRIES.get(self.step, "fit")

    @property
    def start_hook(self) -> str:
        """The hook that sees the batch before the step does."""
        return START_HOOKS[self.step]

    @property
    def trainer_options(self) -> dict[str, Any]:
        """What a Trainer is told so that it gets to the step."""
        return {"limit_val_batches": 1.0} if self.step == "validation_step" else {}

    def go(self, trainer: Any, module: Any, batches: list[Any]) -> None:
        """Run the Trainer's method with these batches for the step."""
        if self.step == "training_step":
            trainer.fit(module, train_dataloaders=loader_of(batches))
            return
        loader = loader_of(batches)
        loaders = [loader, loader] if needs_loader_index(getattr(module, self.step)) else loader
        if self.step == "validation_step":
            trainer.fit(module, train_dataloaders=loader_of(list(self.training)), val_dataloaders=loaders)
        elif self.step == "test_step":
            trainer.test(module, dataloaders=loaders, verbose=False)
        else:
            trainer.predict(module, dataloaders=loaders, return_predictions=False)


TRAINING = StepPlace()
