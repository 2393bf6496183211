"""What was logged of the training loss."""

from __future__ import annotations

import math

from lightning_conformance.checks.verdict import Inconclusive, NotApplicable
from lightning_conformance.recording.model import BackwardRan, BatchFacts, LogCall, MetricReceived, Recording

_TOLERANCE = 1e-4


def epoch_values(recording: Recording) -> dict[int, list[MetricReceived]]:
    """What reached the logger for the training loss as an epoch's value, by epoch.

    Lightning logs `<name>_epoch` where both on_step and on_epoch are set, else the plain name.
    """
    name = recording.train_loss_name
    received = [m for m in recording.all(MetricReceived) if m.at.stage != "sanity"]
    forked = [m for m in received if m.name == f"{name}_epoch"]
    found: dict[int, list[MetricReceived]] = {epoch: [] for epoch in range(recording.epochs)}
    for metric in forked or [m for m in received if m.name == name]:
        found.setdefault(metric.at.epoch, []).append(metric)
    return found


def was_logged(recording: Recording) -> bool:
    """Whether the training loss reached the logger, under whichever of its names."""
    name = recording.train_loss_name
    return any(m.name in (name, f"{name}_epoch", f"{name}_step") for m in recording.all(MetricReceived))


def require_gradient_training(recording: Recording) -> None:
    """Raise NotApplicable where a completed run shows no loss, no backward pass and no optimizer."""
    losses = any(step.loss for step in recording.steps)
    if recording.completed and not (losses or recording.optimizers or any(recording.all(BackwardRan))):
        raise NotApplicable("nothing is trained by gradient: there is no training loss")


def require_logged(recording: Recording) -> None:
    """Raise Inconclusive where the training loss is not logged: another check says so."""
    if not was_logged(recording):
        require_gradient_training(recording)
        raise Inconclusive(f"`{recording.train_loss_name}` is not logged (see train_loss_logged)")


def log_calls(recording: Recording) -> list[LogCall]:
    """The calls of ``self.log`` in the training loop that log the training loss."""
    name = recording.train_loss_name
    names = (name, f"{name}_epoch", f"{name}_step")
    return [c for c in recording.all(LogCall) if c.name in names and c.at.stage == "train"]


def finished_epochs(recording: Recording) -> list[int]:
    """The epochs that were begun (early stopping may leave some out) and came to their end."""
    failure = recording.failure
    begun = sorted({batch.at.epoch for batch in recording.all(BatchFacts)})
    return [e for e in begun if failure is None or (failure.at is not None and e < failure.at.epoch)]


def close(value: float, other: float) -> bool:
    """Whether two losses are the same, within the tolerance of a float32 mean."""
    return math.isclose(value, other, rel_tol=_TOLERANCE, abs_tol=1e-6)


# In these hooks of the training loop self.log defaults to on_step=True, on_epoch=False.
_BY_STEP = ("training_step", "backward", "optimizer", "zero_grad", "scheduler_step", "gradient_clipping", "_batch_")


def by_epoch(call: LogCall) -> bool:
    """Whether Lightning computes a value of the epoch from this call."""
    if call.on_epoch is not None:
        return call.on_epoch
    return call.at.stage != "train" or not any(part in call.at.hook for part in _BY_STEP)


def by_step(call: LogCall) -> bool:
    """Whether each call's own value reaches the logger."""
    return not by_epoch(call) if call.on_step is None else call.on_step


def in_step(call: LogCall) -> bool:
    """Whether it was made for one batch, not for an epoch."""
    return call.at.batch >= 0 and "epoch" not in call.at.hook


def columns(call: LogCall) -> set[str]:
    """The names under which a call's values reach the logger."""
    if by_epoch(call) and by_step(call):
        return {f"{call.name}_step", f"{call.name}_epoch"}
    return {call.name}


def require_log_calls(recording: Recording) -> list[LogCall]:
    """The calls of ``self.log``.

    Raises:
        NotApplicable: The module logs nothing.
        Inconclusive: The run stopped before it could.
    """
    calls = [c for c in recording.all(LogCall) if c.at.stage != "sanity"]
    if not calls and recording.failure is not None:
        raise Inconclusive("the run stopped before anything was logged (see training_completes)")
    if not calls:
        raise NotApplicable("nothing is logged with self.log")
    return calls


def require_finished_epoch(recording: Recording) -> None:
    """Raise Inconclusive where no epoch came to its end."""
    if not finished_epochs(recording):
        raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
