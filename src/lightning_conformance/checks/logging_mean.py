"""The epoch's value of the training loss is the mean of the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lightning_conformance.checks.logged import close, epoch_values, finished_epochs, log_calls, require_logged
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import log_call_for_epoch, loss_name, written_place
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import count, number
from lightning_conformance.recording.model import LogCall, Recording

_OTHER_QUANTITY = "Another quantity than the loss that is minimized is logged under the name of the training loss."


@check(family="logging")
def train_loss_is_epoch_mean(recording: Recording) -> Iterator[Finding]:
    """The epoch's value is the mean of the losses of its steps, weighted by batch size.

    ## How it judges
    Computes the mean of the losses that `training_step` returned, each weighted with the size of its batch,
    and compares it with what the logger received for the epoch.

    ## Why it matters
    The last batch's loss, a running sum or `trainer.logged_metrics` in a callback all look like an epoch's loss,
    and are not.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        self.last_loss = F.cross_entropy(self(x), y)
        return self.last_loss

    def on_train_epoch_end(self):
        self.log("train_loss", self.last_loss)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Legitimate exceptions
    A mean that counts each batch the same is a warning: it differs only where the last batch is smaller.
    """
    require_logged(recording)
    judged = 0
    for epoch in finished_epochs(recording):
        values = epoch_values(recording)[epoch]
        steps = _losses_and_sizes(recording, epoch)
        if not values or len(values) > 1 or not steps:
            continue
        if not all(map(math.isfinite, [values[0].value, *(loss for loss, _ in steps)])):
            continue
        judged += 1
        finding = _compare(recording, epoch, values[0].value, steps)
        if finding is not None:
            yield finding
            return
    yield from _weighting_not_seen(recording)
    if not judged:
        raise Inconclusive(
            "there is no single value of an epoch to compare, or no loss of a step (see the checks above)"
        )


def _weighting_not_seen(recording: Recording) -> Iterator[Finding]:
    sizes = {step.batch_size for step in recording.steps}
    if len(sizes) == 1 and recording.ragged_failure is None:
        yield Finding(
            "all batches had the same size, or none that could be told: whether the mean is weighted was not seen.",
            "A mean over batches of one size is the same, weighted or not.",
            "Give batches of different sizes, or a spec with its batch dimension: 'x: float[B,10], y: int[B]<2'",
            severity="advice",
        )


def _losses_and_sizes(recording: Recording, epoch: int) -> list[tuple[float, int | None]]:
    """Loss and size of each batch of an epoch; what self.log was given where a step returned nothing."""
    steps = [s for s in recording.steps if s.at.epoch == epoch]
    logged = dict(_logged_values(recording, epoch))
    found: list[tuple[float, int | None]] = []
    for step in steps:
        if step.loss and step.loss.value is not None:
            found.append((step.loss.value, step.batch_size))
        elif step.kind == "none" and step.at.batch in logged:
            found.append((logged[step.at.batch], step.batch_size))
    return found


def _logged_values(recording: Recording, epoch: int) -> list[tuple[int, float]]:
    return [
        (c.at.batch, c.value)
        for c in log_calls(recording)
        if c.at.epoch == epoch and c.at.batch >= 0 and c.value is not None
    ]


def _compare(recording: Recording, epoch: int, value: float, steps: list[tuple[float, int | None]]) -> Finding | None:
    losses = [loss for loss, _ in steps]
    sizes = [size for _, size in steps if size is not None]
    known = len(sizes) == len(steps)
    mean = _mean(losses, sizes if known else None)
    if close(value, mean):
        return None
    what, cause, severity = _recognise(recording, epoch, value, losses, sizes if known else None)
    if severity is None:
        return None
    shown = ", ".join(f"{number(loss)}" + (f" (x{size})" if size else "") for loss, size in steps[:6])
    call = _deciding_call(recording)
    return Finding(
        f"`{recording.train_loss_name}` of epoch {epoch} is {number(value, mean)}; the mean of its losses, weighted by "
        f"batch size, is {number(mean, value)} ({shown}). {what}",
        cause,
        _fix(recording, call, other_quantity=cause == _OTHER_QUANTITY),
        (call.place if call else written_place(recording)) or recording.method_place("training_step"),
        severity,  # type: ignore[arg-type]
    )


def _deciding_call(recording: Recording) -> LogCall | None:
    """The call of ``self.log`` that gives the epoch's value: of the name that is compared, in training if there is."""
    name = recording.train_loss_name
    calls = log_calls(recording) or [c for c in recording.all(LogCall) if c.name == name and c.at.stage == "validate"]
    return next((c for c in calls if c.name == f"{name}_epoch"), calls[0] if calls else None)


def _fix(recording: Recording, call: LogCall | None, *, other_quantity: bool) -> str:
    name, loss = recording.train_loss_name, loss_name(recording)
    if not other_quantity and call is not None and call.value is None:
        # A metric object was logged: what it is updated with decides.
        return f"metric.update({loss}, weight=batch_size)  # of a torchmetrics.MeanMetric; or self.log the loss itself"
    if not other_quantity and call is not None and call.at.hook == "training_step" and _logs_loss(recording):
        # A wrong batch_size is the fault itself; Lightning reads the size off the batch.
        return log_call_for_epoch(call.place, name, without=["batch_size"])
    return f'self.log("{name}", {loss}, on_step=False, on_epoch=True)  # in training_step'


def _logs_loss(recording: Recording) -> bool:
    """Whether what self.log was given is the loss, at least where it was called."""
    losses = {(s.at.epoch, s.at.batch): s.loss.value for s in recording.steps if s.loss and s.loss.value is not None}
    calls = [(c.value, losses.get((c.at.epoch, c.at.batch))) for c in log_calls(recording)]
    return all(value is None or loss is None or close(value, loss) for value, loss in calls)


def _mean(values: Sequence[float], weights: Sequence[int] | None) -> float:
    if not weights or not sum(weights):
        return sum(values) / len(values)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _recognise(
    recording: Recording, epoch: int, value: float, losses: Sequence[float], sizes: Sequence[int] | None
) -> tuple[str, str, str | None]:
    """Which other number the value is, the cause, and how bad that is."""
    if sizes and close(value, _mean(losses, None)):
        return "It is the mean of the batches, each counted the same.", _unweighted(recording), "warning"
    if not log_calls(recording) and _deciding_call(recording):
        return (
            "It is what the validation loop logs.",
            "The name is logged in validation only, where it is the loss of the validation batches.",
            "error",
        )
    logged = [v for _, v in _logged_values(recording, epoch)]
    if len(logged) == len(losses) and sizes and _each(logged, [a * b for a, b in zip(losses, sizes, strict=True)]):
        return (
            "Its steps log loss times batch size.",
            "Lightning weights each value with its batch size already.",
            "error",
        )
    so_far = [loss for e in range(epoch + 1) for loss, _ in _losses_and_sizes(recording, e)]
    named = {
        "last": ("It is the loss of the last batch.", losses[-1]),
        "first": ("It is the loss of the first batch.", losses[0]),
        "sum": ("It is the sum of the losses.", sum(losses)),
        "before": ("It is a value of the epoch before.", _previous(recording, epoch)),
        "so far": ("It is the mean of all batches since the first epoch.", _mean(so_far, None)),
    }
    causes = {
        "sum": "The values are added up: reduce_fx='sum', or a sum by hand.",
        "so far": "What is collected for the epoch is never cleared.",
    }
    for key, (what, number_) in named.items():
        if number_ is not None and close(value, number_):
            return what, causes.get(key, "What is logged is no mean over the epoch."), "error"
    if len(logged) == len(losses) and _each(logged, _running(losses)):
        return (
            "Its steps log a running sum.",
            "The sum over the epoch so far is logged in each step.",
            "error",
        )
    if len(logged) == len(losses) and _is_some_mean(value, logged, sizes):
        return (
            "It is the mean of what self.log was given, which is not the returned loss.",
            _OTHER_QUANTITY,
            "warning",
        )
    if 0 < len(logged) < len(losses) and _is_some_mean(value, logged, None):
        return (
            f"It is the mean of {count(len(logged), 'batch', 'batches')} only.",
            "self.log is called in some batches only: call it in each.",
            "error",
        )
    return "", "What is logged is no mean over the epoch's steps.", "error"


def _unweighted(recording: Recording) -> str:
    call = _deciding_call(recording)
    given = call.batch_size if call is not None and call.at.hook == "training_step" else None
    if given is not None:
        return (
            f"self.log was told batch_size={given}, which is not the size of every batch: without the argument "
            "Lightning reads it off the batch."
        )
    return (
        "The batches are not weighted by their size: averaged by hand, or the batch size that Lightning reads "
        "off the batch is wrong (give self.log a batch_size)."
    )


def _previous(recording: Recording, epoch: int) -> float | None:
    values = epoch_values(recording).get(epoch - 1)
    return values[-1].value if values else None


def _each(values: Sequence[float], others: Sequence[float]) -> bool:
    return all(close(a, b) for a, b in zip(values, others, strict=True))


def _running(values: Sequence[float]) -> list[float]:
    return [sum(values[: i + 1]) for i in range(len(values))]


def _is_some_mean(value: float, logged: Sequence[float], sizes: Sequence[int] | None) -> bool:
    return close(value, _mean(logged, sizes)) or close(value, _mean(logged, None))
