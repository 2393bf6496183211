"""Where the run is: a Callback that tells the tape the epoch, the batch and the stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.recording.instruments.optimizers import OptimizerWatch
from lightning_conformance.recording.instruments.parameters import ParameterWatch
from lightning_conformance.recording.tape import Tape
from lightning_conformance.subjects.batch_spec import batch_size_of


def progress_callback(
    package: LightningPackage,
    tape: Tape,
    parameters: ParameterWatch,
    optimizers: OptimizerWatch,
    sizes: list[int] | None,
    validation_sizes: list[int] | None = None,
) -> Any:
    """A Callback of the package that marks epochs and batches.

    Args:
        sizes: Samples in each training batch; None to read them off the batch.
        validation_sizes: Samples in each validation batch; None to read them off the batch.
    """

    class Progress(package.Callback):  # type: ignore[misc, name-defined]
        def on_sanity_check_start(self, trainer: Any, module: Any) -> None:
            tape.stage = "sanity"

        def on_train_start(self, trainer: Any, module: Any) -> None:
            optimizers.configured(package.optimizers_of(trainer))
            parameters.start()
            tape.stage = "train"

        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            tape.stage, tape.epoch, tape.batch = "train", int(trainer.current_epoch), -1

        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any) -> None:
            tape.stage, tape.batch = "train", int(batch_idx)
            tape.batch_size = sizes[batch_idx] if sizes else batch_size_of(batch)
            parameters.batch_starts(list(tensors_in(batch)))

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int, *args: Any
        ) -> None:
            parameters.batch_ends(tape.batch_size)

        def on_validation_start(self, trainer: Any, module: Any) -> None:
            tape.batch = -1
            tape.stage = "sanity" if trainer.sanity_checking else "validate"

        def on_validation_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int, *args: Any) -> None:
            tape.batch = int(batch_idx)
            is_known = validation_sizes is not None and batch_idx < len(validation_sizes)
            tape.batch_size = validation_sizes[batch_idx] if validation_sizes and is_known else batch_size_of(batch)

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            tape.stage, tape.batch = "train", -1

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            tape.batch = -1

    return Progress()


def tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The tensors of a nested batch."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict) and depth < 5:
        for item in value.values():
            yield from tensors_in(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 5:
        for item in value:
            yield from tensors_in(item, depth + 1)
