"""The training loss reaches the logger: under its name, once per epoch, as the mean of the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import log_call_for_epoch, loss_name
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import count, listed, number
from lightning_conformance.recording.model import BatchFacts, LogCall, MetricReceived, Recording

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


def _was_logged(recording: Recording) -> bool:
    name = recording.train_loss_name
    return any(m.name in (name, f"{name}_epoch", f"{name}_step") for m in recording.all(MetricReceived))


def _require_logged(recording: Recording) -> None:
    if not _was_logged(recording):
        raise Inconclusive(f"`{recording.train_loss_name}` is not logged (see train_loss_logged)")


def _log_calls(recording: Recording) -> list[LogCall]:
    name = recording.train_loss_name
    names = (name, f"{name}_epoch", f"{name}_step")
    return [c for c in recording.all(LogCall) if c.name in names and c.at.stage == "train"]


def _finished_epochs(recording: Recording) -> list[int]:
    """The epochs that came to their end."""
    failure = recording.failure
    return [
        e
        for e in range(recording.epochs)
        if failure is None or (failure.at is not None and e < failure.at.epoch)
    ]


@check(family="logging")
def train_loss_logged(recording: Recording) -> Iterator[Finding]:
    """The training loss reaches the logger, under the configured name.

    ## What it does
    Looks for `train_loss` (or the name that `--lightning-train-loss` gives) among the metrics that the
    logger received.

    ## Why is this bad
    Lightning logs no loss by itself: without `self.log` there is no curve, and nothing to monitor.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        return F.mse_loss(self(batch[0]), batch[1])
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Known problems
    A project with another convention sets its name once: `lightning_train_loss = train/loss`.
    """
    if _was_logged(recording):
        return
    if recording.failure is not None and not _finished_epochs(recording) and not _log_calls(recording):
        raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
    name = recording.train_loss_name
    if calls := _log_calls(recording):
        if recording.failure is not None and not _finished_epochs(recording):
            raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
        yield _never_arrived(name, calls)
        return
    near, same = _near_misses(recording)
    step = recording.method_place("training_step")
    if near:
        best = near[0]
        call = next((c for c in recording.all(LogCall) if c.name == best.removesuffix("_epoch")), None)
        equal = " (its values are those of the returned loss)" if best in same else ""
        yield Finding(
            f"`{name}` never reached the logger; {listed(near)} did{equal}.",
            "The loss is logged under another name than the configured one.",
            f'self.log("{name}", ...), or tell the kit the name: --lightning-train-loss={best}',
            call.place if call and call.place else step,
        )
        return
    names = sorted({m.name for m in recording.all(MetricReceived)} - {"epoch"})
    yield Finding(
        f"`{name}` never reached the logger; it received {listed(names) if names else 'nothing'}.",
        "No self.log call in the training hooks names it, and Lightning logs no loss by itself.",
        f'self.log("{name}", {loss_name(recording)}, on_step=False, on_epoch=True)',
        step,
    )


def _never_arrived(name: str, calls: list[LogCall]) -> Finding:
    return Finding(
        f"`{name}` was given to self.log {count(len(calls), 'time')} and never reached the logger.",
        "logger=False, or on_step=False and on_epoch=False together, keep a metric away from the logger.",
        log_call_for_epoch(calls[0].place, name),
        calls[0].place,
    )


def _near_misses(recording: Recording) -> tuple[list[str], set[str]]:
    """Names of the training hooks that look like, or carry the value of, the training loss; the latter apart."""
    losses = {
        (s.at.epoch, s.at.batch): s.loss.value for s in recording.steps if s.loss and s.loss.value is not None
    }
    calls = [c for c in recording.all(LogCall) if c.at.stage == "train"]
    same = {
        c.name
        for c in calls
        if c.value is not None and _close(c.value, losses.get((c.at.epoch, c.at.batch), math.nan))
    }
    reached = [m.name for m in recording.all(MetricReceived) if m.at.stage == "train"]
    named = {c.name for c in calls if "loss" in c.name.lower()} | {n for n in reached if "loss" in n.lower()}
    received = {m.name for m in recording.all(MetricReceived)}
    plain = {n for n in same | named if n in received or f"{n}_epoch" in received}
    forks = {f"{n}{suffix}" for n in plain for suffix in ("_step", "_epoch")}
    return sorted(plain - forks, key=lambda n: (n not in same, len(n), n)), same


def _close(value: float, other: float) -> bool:
    return math.isclose(value, other, rel_tol=_TOLERANCE, abs_tol=1e-6)


@check(family="logging")
def train_loss_logged_once_per_epoch(recording: Recording) -> Iterator[Finding]:
    """Exactly one epoch value of the training loss reaches the logger in each epoch.

    ## What it does
    Counts what the logger received under the name, epoch by epoch: `train_loss`, or `train_loss_epoch` where
    both on_step and on_epoch are set.

    ## Why is this bad
    In `training_step`, `self.log` defaults to `on_step=True, on_epoch=False`: what is logged, shown and monitored
    at the end of the epoch is the loss of the last batch.

    ## Example
    ```python
    self.log("train_loss", loss)
    ```

    ## Use instead
    ```python
    self.log("train_loss", loss, on_step=False, on_epoch=True)
    ```

    ## Known problems
    Curves by step are fine beside it: `on_step=True, on_epoch=True` logs both, under two names.
    """
    _require_logged(recording)
    epochs = _finished_epochs(recording)
    if not epochs:
        raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
    counts = [len(epoch_values(recording)[epoch]) for epoch in epochs]
    if all(each == 1 for each in counts):
        return
    name = recording.train_loss_name
    calls = _log_calls(recording)
    seen = ", ".join(
        f"{count(each, 'time')} in epoch {epoch}" for epoch, each in zip(epochs, counts, strict=True)
    )
    call = calls[0] if calls else None
    yield Finding(
        f"`{name}` reached the logger {seen}; expected once per epoch.",
        _why_not_once(recording, counts, calls),
        log_call_for_epoch(call.place if call else None, name),
        call.place if call and call.place else recording.method_place("training_step"),
    )


def _why_not_once(recording: Recording, counts: Sequence[int], calls: list[LogCall]) -> str:
    hooks = sorted({c.at.hook for c in calls})
    if not calls:
        return "It is written to the logger directly, not with self.log."
    if not any(counts):
        return f"It is logged in {listed(hooks)} by step only: no value of the epoch is computed."
    if any(c.name == recording.train_loss_name and c.at.stage == "validate" for c in recording.all(LogCall)):
        return "The validation loop logs the same name: both values end up in one column."
    in_step = [c for c in calls if c.at.hook == "training_step"]
    if in_step and in_step[0].on_step is None and not in_step[0].on_epoch:
        return (
            "In training_step, self.log defaults to on_step=True, on_epoch=False: each batch's value is logged, "
            "and no mean of the epoch is computed."
        )
    if in_step and in_step[0].on_step and not in_step[0].on_epoch:
        return "on_step=True without on_epoch=True logs each batch's value, and no mean of the epoch."
    return f"It is logged in {listed(hooks)}."


@check(family="logging")
def train_loss_is_epoch_mean(recording: Recording) -> Iterator[Finding]:
    """The epoch's value is the mean of the losses of its steps, weighted by batch size.

    ## What it does
    Computes the mean of the losses that `training_step` returned, each weighted with the size of its batch,
    and compares it with what the logger received for the epoch.

    ## Why is this bad
    The last batch's loss, a running sum or `trainer.logged_metrics` in a callback all look like an epoch's loss,
    and are not.

    ## Example
    ```python
    def on_train_epoch_end(self):
        self.log("train_loss", self.last_loss)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Known problems
    A mean that counts each batch the same is a warning: it differs only where the last batch is smaller.
    """
    _require_logged(recording)
    judged = 0
    for epoch in _finished_epochs(recording):
        values = epoch_values(recording)[epoch]
        steps = _last_step_of_each_batch(recording, epoch)
        if not values or len(values) > 1 or not steps:
            continue
        judged += 1
        finding = _compare(recording, epoch, values[0].value, steps)
        if finding is not None:
            yield finding
            return
    if not judged:
        raise Inconclusive(
            "there is no single value of an epoch to compare, or no loss of a step (see the checks above)"
        )


def _last_step_of_each_batch(recording: Recording, epoch: int) -> list[tuple[float, int | None]]:
    """Loss and size of each batch of an epoch; what self.log was given where nothing is returned."""
    returned = [s for s in recording.steps if s.at.epoch == epoch and s.loss and s.loss.value is not None]
    if returned:
        return [(s.loss.value, s.batch_size) for s in returned if s.loss and s.loss.value is not None]
    sizes = {b.at.batch: b.size for b in recording.all(BatchFacts) if b.at.epoch == epoch}
    return [(value, sizes.get(batch)) for batch, value in _logged_values(recording, epoch)]


def _logged_values(recording: Recording, epoch: int) -> list[tuple[int, float]]:
    return [
        (c.at.batch, c.value)
        for c in _log_calls(recording)
        if c.at.epoch == epoch and c.at.batch >= 0 and c.value is not None
    ]


def _compare(
    recording: Recording, epoch: int, value: float, steps: list[tuple[float, int | None]]
) -> Finding | None:
    losses = [loss for loss, _ in steps]
    if not all(map(math.isfinite, [value, *losses])):
        return None
    sizes = [size for _, size in steps if size is not None]
    known = len(sizes) == len(steps)
    mean = _mean(losses, sizes if known else None)
    if _close(value, mean):
        return None
    what, cause, severity = _recognise(recording, epoch, value, losses, sizes if known else None)
    if severity is None:
        return None
    shown = ", ".join(f"{number(loss)}" + (f" (x{size})" if size else "") for loss, size in steps[:6])
    call = next(iter(_log_calls(recording)), None)
    return Finding(
        f"`{recording.train_loss_name}` of epoch {epoch} is {number(value)}; the mean of its losses, weighted by "
        f"batch size, is {number(mean)} ({shown}). {what}",
        cause,
        _fix(recording, call),
        call.place if call and call.place else recording.method_place("training_step"),
        severity,  # type: ignore[arg-type]
    )


def _fix(recording: Recording, call: LogCall | None) -> str:
    name = recording.train_loss_name
    if call is not None and call.at.hook == "training_step":
        return log_call_for_epoch(call.place, name)
    return f'self.log("{name}", {loss_name(recording)}, on_step=False, on_epoch=True)  # in training_step'


def _mean(values: Sequence[float], weights: Sequence[int] | None) -> float:
    if not weights or not sum(weights):
        return sum(values) / len(values)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _recognise(
    recording: Recording, epoch: int, value: float, losses: Sequence[float], sizes: Sequence[int] | None
) -> tuple[str, str, str | None]:
    """Which other number the value is, the cause, and how bad that is."""
    if sizes and _close(value, _mean(losses, None)):
        return (
            "It is the mean of the batches, each counted the same.",
            "The batches are not weighted by their size: averaged by hand, or the batch size that Lightning reads "
            "off the batch is wrong (give self.log a batch_size).",
            "warning",
        )
    logged = [v for _, v in _logged_values(recording, epoch)]
    if (
        len(logged) == len(losses)
        and sizes
        and _each(logged, [a * b for a, b in zip(losses, sizes, strict=True)])
    ):
        return (
            "Its steps log loss times batch size.",
            "Lightning weights each value with its batch size already.",
            "error",
        )
    so_far = [loss for e in range(epoch + 1) for loss, _ in _last_step_of_each_batch(recording, e)]
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
        if number_ is not None and _close(value, number_):
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
            "Another quantity than the loss that is minimized is logged under the name of the training loss.",
            "warning",
        )
    return "", "What is logged is no mean over the epoch's steps.", "error"


def _previous(recording: Recording, epoch: int) -> float | None:
    values = epoch_values(recording).get(epoch - 1)
    return values[-1].value if values else None


def _each(values: Sequence[float], others: Sequence[float]) -> bool:
    return all(_close(a, b) for a, b in zip(values, others, strict=True))


def _running(values: Sequence[float]) -> list[float]:
    return [sum(values[: i + 1]) for i in range(len(values))]


def _is_some_mean(value: float, logged: Sequence[float], sizes: Sequence[int] | None) -> bool:
    return _close(value, _mean(logged, sizes)) or _close(value, _mean(logged, None))
