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

from lightning_conformance.deadline import RunTimeout
from lightning_conformance.errors import Signal
from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.subjects.inference.outcome import LeaveFit
from lightning_conformance.subjects.inference.restoring import process_as_before
from lightning_conformance.subjects.inference.steps import START_HOOKS, TRAINING, StepPlace

BEFORE_TRANSFER = "_on_before_batch_transfer"
PASSED_ON = (KeyboardInterrupt, GeneratorExit, RunTimeout, Signal)


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
        default_root_dir=folder,
        plugins=package.single_device_plugins(),
        **{"limit_val_batches": 0, **options},
    )


def _unchanged(batch: Any, *args: Any, **named: Any) -> Any:
    return batch


@dataclass
class LiveStep:
    """The inside of a step.

    Args:
        trainer: The Trainer, in the middle of ``fit``, ``test`` or ``predict``.
        module: The module.
        step: Runs the step as the Trainer would.
        rest: The arguments that follow the batch.
        handed: What an iterator over batches hands out, where the step takes one: the stand-in, or a tuple with it.
        trains: Whether it is ``training_step``, whose result is a loss.
    """

    trainer: Any
    module: Any
    step: Callable[..., Any]
    rest: tuple[Any, ...]
    handed: Any = None
    trains: bool = True

    def run(self, batch: Any) -> Any:
        """Transfer a batch with the module's own hooks and run the step on it; None where the result is no loss."""
        if self.handed is not None:
            result = self.step(iter([_with_batch(self.handed, batch)]), *self.rest)
        else:
            moved = self._transfer(self._before_transfer(batch, dataloader_idx=0), dataloader_idx=0)
            result = self.step(moved, *self.rest)
        return result if self.trains else None

    _before_transfer: Callable[..., Any] = _unchanged
    _transfer: Callable[..., Any] = _unchanged


def _with_batch(handed: Any, batch: Any) -> Any:
    """What the iterator handed out, with ``batch`` in the place of the stand-in."""
    if isinstance(handed, tuple):
        return tuple(batch if isinstance(part, torch.Tensor) else part for part in handed)
    return batch


def inside_first_step(
    module: Any,
    package: LightningPackage,
    folder: str,
    body: Callable[[LiveStep], None],
    place: StepPlace = TRAINING,
) -> Exception | None:
    """Run ``body`` in place of the first such step of a real run, then leave the run.

    Returns:
        The exception that ended the run before its first step; None where ``body`` ran.
    """
    # Tensors of inference mode could not be restored between attempts.
    trainer = make_trainer(package, folder, **place.trainer_options, inference_mode=False)
    strategy, stand_in = trainer.strategy, torch.zeros(5, 1)
    transfer, step = strategy.batch_to_device, getattr(strategy, place.step)
    before_transfer = getattr(module, BEFORE_TRANSFER, _unchanged)
    reached = False
    interrupted: KeyboardInterrupt | None = None

    def intercept(batch: Any, *rest: Any, **named: Any) -> Any:
        nonlocal reached, interrupted
        reached = True
        _uncover(module)
        handed = next(batch) if isinstance(batch, Iterator) else None
        live = LiveStep(trainer, module, step, rest, handed, place == TRAINING)
        live._before_transfer, live._transfer = before_transfer, transfer
        try:
            body(live)
        except KeyboardInterrupt as error:
            interrupted = error  # Lightning would make it an exit, or nothing
        raise LeaveFit

    strategy.batch_to_device = _but_not(stand_in, transfer)
    setattr(strategy, place.step, intercept)
    # The hooks before the step are not meant for the stand-in.
    object.__setattr__(module, place.start_hook, lambda *args, **kwargs: None)
    object.__setattr__(module, BEFORE_TRANSFER, _but_not(stand_in, before_transfer))
    try:
        place.go(trainer, module, [stand_in])
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
        return RuntimeError(f"Trainer.{place.entry} ended without a call of {place.step}")
    return None


def _but_not(stand_in: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for every batch but the stand-in, which stays as it is."""
    return lambda batch, *args, **named: batch if batch is stand_in else function(batch, *args, **named)


def _uncover(module: Any) -> None:
    for name in (*START_HOOKS.values(), BEFORE_TRANSFER):
        vars(module).pop(name, None)


def run_error(trainer: Any, module: Any, batches: list[Any], place: StepPlace = TRAINING) -> Exception | None:
    """A real run; what it raised."""
    try:
        place.go(trainer, module, batches)
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
