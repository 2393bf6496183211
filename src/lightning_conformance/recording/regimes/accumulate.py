"""Gradients of one batch, of the same one twice with accumulation, and of a batch that holds everything twice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from lightning_conformance.recording.events_gradients import GradientsScaled
from lightning_conformance.recording.model import Moment, Recording
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.setup import Setup
from lightning_conformance.subjects.batch_spec import batch_size_of, slice_batch

_SAMPLES = 4


def record(setup: Setup, blank: Recording) -> Recording:
    """The gradients before the first step of each of them, compared."""
    if not blank.automatic:
        raise DoesNotApply("in manual optimization the module accumulates gradients itself")
    with folder() as where:
        once, again, accumulated = (_run(setup, where, batches, copy.deepcopy) for batches in (1, 1, 2))
        if once.gradient is None or again.gradient is None or not torch.equal(once.gradient, again.gradient):
            raise DoesNotApply("the gradient of a batch is not the same twice")
        events = [_compared("accumulated", accumulated, once)]
        # Not every batch can be cut into samples.
        with suppress(Exception):
            half, whole = (_run(setup, where, 1, change) for change in (_half, _whole))
            events.append(_compared("doubled", whole, half))
    return replace(blank, tape=tuple(event for event in events if event is not None))


class _Stop(Exception):
    """Ends a run at its first optimizer step."""


@dataclass
class _Seen:
    gradient: torch.Tensor | None
    loss: float | None


def _compared(how: str, one: _Seen, other: _Seen) -> GradientsScaled | None:
    a, b = one.gradient, other.gradient
    if a is None or b is None or a.shape != b.shape or not float(a.norm()) or not float(b.norm()):
        return None
    losses = one.loss / other.loss if one.loss is not None and other.loss else float("nan")
    aligned = float(torch.dot(a, b) / (a.norm() * b.norm()))
    return GradientsScaled(Moment("train", 0, 0, "training_step"), how, float(a.norm() / b.norm()), aligned, losses)


def _run(setup: Setup, where: Path, batches: int, change: Callable[[Any], Any]) -> _Seen:
    """Up to the first step, with so many equal batches accumulated."""
    plan = replace(setup.plan, epochs=1, batches=batches)
    settled = replace(setup.settled, ragged=False)
    feed = _Equal(setup.subject, setup.environment, setup.source, plan, settled, change=change)
    seen = _Seen(None, None)

    class Note(setup.package.Callback):  # type: ignore[misc, name-defined]
        def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
            # Lightning has divided it.
            seen.loss = float(loss.detach()) * batches if seen.loss is None else seen.loss

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            seen.gradient = _gradient(pl_module)
            raise _Stop

    more: dict[str, Any] = {"accumulate_grad_batches": batches, "num_sanity_val_steps": 0, "callbacks": [Note()]}
    with suppress(_Stop):
        plain_fit(feed, where, **more)
    return seen


def _gradient(module: Any) -> torch.Tensor | None:
    """The gradients of all parameters in one vector; None where there are none."""
    dense = [p.grad.detach() for p in module.parameters() if p.grad is not None and not p.grad.is_sparse]
    real = [torch.view_as_real(g) if g.is_complex() else g for g in dense]
    return torch.cat([g.flatten().double().cpu() for g in real]) if real else None


@dataclass(frozen=True)
class _Equal(Setup):
    """Feeds one batch, again and again."""

    change: Callable[[Any], Any] = field(default=copy.deepcopy)

    def fit_arguments(self, module: Any) -> dict[str, Any]:
        """The usual ones, with a training loader over the first batch."""
        arguments = super().fit_arguments(module)
        if "train_dataloaders" not in arguments:
            raise DoesNotApply("the module, or its DataModule, gives its own batches")
        one: Any = [self.change(next(iter(arguments["train_dataloaders"])))] * self.plan.batches
        return {**arguments, "train_dataloaders": DataLoader(one, batch_size=None, collate_fn=copy.deepcopy)}


def _whole(batch: Any) -> Any:
    """Four samples, of which the last two are the first two."""
    few = slice_batch(batch, _SAMPLES) if batch_size_of(batch) != _SAMPLES else batch
    if few is None or batch_size_of(few) != _SAMPLES:
        raise DoesNotApply("the batch cannot be cut into samples")
    return _mapped(few)


def _half(batch: Any) -> Any:
    half = slice_batch(_whole(batch), _SAMPLES // 2)
    if half is None:
        raise DoesNotApply("the batch cannot be cut into samples")
    return half


def _mapped(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if value.dim() and value.shape[0] == _SAMPLES:
            return torch.cat([value[: _SAMPLES // 2], value[: _SAMPLES // 2]])
        return value
    if type(value) is dict:
        return {key: _mapped(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(item) for item in value)
    return value
