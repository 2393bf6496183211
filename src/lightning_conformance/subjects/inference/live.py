"""One real Trainer, stopped inside its first training step, so that a search can go on there."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lightning_conformance.deadline import RunTimeout
from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.subjects.inference.outcome import LeaveFit, Private
from lightning_conformance.subjects.inference.restoring import process_as_before

BEFORE_TRANSFER = "_on_before_batch_transfer"
PASSED_ON = (KeyboardInterrupt, GeneratorExit, RunTimeout, Private)


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


class _Absorbing:
    """Takes any call and any attribute."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absorbing()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _Absorbing()


def absorbing_logger(package: LightningPackage) -> Any:
    """A logger that accepts everything, ``self.logger.experiment`` included, and keeps nothing."""
    base: Any = package.Logger

    class AbsorbingLogger(base):  # type: ignore[misc]
        name = "inference"
        version = 0
        experiment = _Absorbing()

        def log_metrics(self, metrics: Any, step: int | None = None) -> None: ...

        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _Absorbing()

    return AbsorbingLogger()


def make_trainer(package: LightningPackage, folder: str, **options: Any) -> Any:
    """A Trainer on the CPU that writes nothing and shows nothing."""
    return package.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=absorbing_logger(package),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        default_root_dir=folder,
        plugins=package.single_device_plugins(),
        **options,
    )


def _unchanged(batch: Any, *args: Any, **named: Any) -> Any:
    return batch


@dataclass
class LiveStep:
    """The inside of a training step.

    Args:
        trainer: The Trainer, in the middle of ``fit``.
        module: The module.
        step: Runs ``training_step`` as the Trainer would.
        rest: The arguments that follow the batch.
        handed: What an iterator over batches hands out, where the step takes one: the stand-in, or a tuple with it.
    """

    trainer: Any
    module: Any
    step: Callable[..., Any]
    rest: tuple[Any, ...]
    handed: Any = None

    def run(self, batch: Any) -> Any:
        """Transfer a batch with the module's own hooks and run ``training_step`` on it."""
        if self.handed is not None:
            return self.step(iter([_with_batch(self.handed, batch)]), *self.rest)
        moved = self._transfer(self._before_transfer(batch, dataloader_idx=0), dataloader_idx=0)
        return self.step(moved, *self.rest)

    _before_transfer: Callable[..., Any] = _unchanged
    _transfer: Callable[..., Any] = _unchanged


def _with_batch(handed: Any, batch: Any) -> Any:
    """What the iterator handed out, with ``batch`` in the place of the stand-in."""
    if isinstance(handed, tuple):
        return tuple(batch if isinstance(part, torch.Tensor) else part for part in handed)
    return batch


def inside_first_step(
    module: Any, package: LightningPackage, folder: str, body: Callable[[LiveStep], None]
) -> Exception | None:
    """Run ``body`` in place of the first training step of a real fit, then leave the fit.

    Returns:
        The exception that ended the fit before its first step; None where ``body`` ran.
    """
    trainer = make_trainer(package, folder)
    strategy = trainer.strategy
    transfer, step = strategy.batch_to_device, strategy.training_step
    before_transfer = getattr(module, BEFORE_TRANSFER, _unchanged)
    reached = False
    interrupted: KeyboardInterrupt | None = None

    def intercept(batch: Any, *rest: Any, **named: Any) -> Any:
        nonlocal reached, interrupted
        reached = True
        _uncover(module)
        live = LiveStep(trainer, module, step, rest, next(batch) if isinstance(batch, Iterator) else None)
        live._before_transfer, live._transfer = before_transfer, transfer
        try:
            body(live)
        except KeyboardInterrupt as error:
            interrupted = error  # Lightning would make it an exit, or nothing
        raise LeaveFit

    strategy.batch_to_device = _unchanged
    strategy.training_step = intercept
    # The hooks before the step are not meant for the stand-in.
    object.__setattr__(module, "on_train_batch_start", lambda *args, **kwargs: None)
    object.__setattr__(module, BEFORE_TRANSFER, _unchanged)
    try:
        trainer.fit(module, train_dataloaders=loader_of([torch.zeros(5, 1)]))
    except LeaveFit:
        if interrupted is not None:
            raise interrupted from None
        return None
    except PASSED_ON:
        raise
    except BaseException as error:
        if reached or _is_interrupt(error):
            raise
        return as_error(error, "before the first step")
    finally:
        _uncover(module)
    if not reached:
        return RuntimeError("Trainer.fit ended without a call of training_step")
    return None


def _uncover(module: Any) -> None:
    for name in ("on_train_batch_start", BEFORE_TRANSFER):
        vars(module).pop(name, None)


def fit_error(trainer: Any, module: Any, batches: list[Any]) -> Exception | None:
    """A real fit; what it raised."""
    try:
        trainer.fit(module, train_dataloaders=loader_of(batches))
    except PASSED_ON:
        raise
    except BaseException as error:
        if _is_interrupt(error):
            raise KeyboardInterrupt from error
        return as_error(error)
    if str(getattr(trainer.state, "status", "")).lower().endswith("interrupted"):
        raise KeyboardInterrupt
    return None


def _is_interrupt(error: BaseException) -> bool:
    """Whether the user asked to stop, and Lightning made it an exit."""
    return isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)


def as_error(error: BaseException, when: str = "") -> Exception:
    """What the user's code raised, as an exception that can be told of; an exit is one, too."""
    if isinstance(error, Exception):
        return error
    name = f"exit {error.code}" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    return RuntimeError(f"{name} {when}".strip()).with_traceback(error.__traceback__)


@contextlib.contextmanager
def quiet_and_traceless() -> Iterator[str]:
    """A temporary folder to run in, with nothing shown; global state is as before afterwards."""
    disabled = logging.root.manager.disable
    with (
        tempfile.TemporaryDirectory(prefix="lightning-conformance-") as temporary,
        process_as_before(),
        contextlib.ExitStack() as stack,
    ):
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        logging.disable(logging.CRITICAL)
        try:
            yield temporary
        finally:
            logging.disable(disabled)
