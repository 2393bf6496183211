"""The training loss reaches the logger: under its name, once per epoch, as the mean of the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lightning_conformance.checks.logged import (
    close,
    epoch_values,
    finished_epochs,
    log_calls,
    require_gradient_training,
    require_logged,
    was_logged,
)
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import log_call_for_epoch, loss_name, written_place
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import LogCall, MetricReceived, Recording


@check(family="logging")
def train_loss_logged(recording: Recording) -> Iterator[Finding]:
    """The training loss reaches the logger, under the configured name.

    ## How it judges
    Looks for `train_loss` (or the name that `--lightning-train-loss` gives) among the metrics that the
    logger received.

    ## Why it matters
    Lightning logs no loss by itself: without `self.log` there is no curve, and nothing to monitor.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
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
    A project with another convention sets its name once: `train-loss = "train/loss"` under
    `[tool.lightning-conformance]`.
    """
    if was_logged(recording):
        return
    require_gradient_training(recording)
    if recording.failure is not None and not finished_epochs(recording) and not log_calls(recording):
        raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
    name = recording.train_loss_name
    if calls := log_calls(recording):
        if recording.failure is not None and not finished_epochs(recording):
            raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
        yield _never_arrived(name, calls)
        return
    near, same = _near_misses(recording)
    step = recording.method_place("training_step")
    if near:
        best = near[0]
        call = next((c for c in recording.all(LogCall) if c.name == best.removesuffix("_epoch")), None)
        whose = f"the values of `{best}`" if len(near) > 1 else "its values"
        equal = f" ({whose} are those of the returned loss)" if best in same else ""
        yield Finding(
            f"`{name}` never reached the logger; {listed(near)} did{equal}.",
            "The loss is logged under another name than the configured one.",
            f'self.log("{name}", ...), or tell the kit the name: --lightning-train-loss={best}',
            call.place if call and call.place else step,
        )
        return
    names = sorted({m.name for m in recording.all(MetricReceived)} - {"epoch"})
    written = written_place(recording)
    aside = " What is written past it to self.logger cannot be monitored or averaged." if written else ""
    yield Finding(
        f"`{name}` never reached the logger; it received {listed(names) if names else 'nothing'}.",
        "No self.log call in the training hooks names it, and Lightning logs no loss by itself." + aside,
        f'self.log("{name}", {loss_name(recording)}, on_step=False, on_epoch=True)',
        written or step,
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
    losses = {(s.at.epoch, s.at.batch): s.loss.value for s in recording.steps if s.loss and s.loss.value is not None}
    calls = [c for c in recording.all(LogCall) if c.at.stage == "train"]
    same = {
        c.name for c in calls if c.value is not None and close(c.value, losses.get((c.at.epoch, c.at.batch), math.nan))
    }
    reached = [m.name for m in recording.all(MetricReceived) if m.at.stage == "train"]
    named = {c.name for c in calls if "loss" in c.name.lower()} | {n for n in reached if "loss" in n.lower()}
    received = {m.name for m in recording.all(MetricReceived)}
    plain = {n for n in same | named if n in received or f"{n}_epoch" in received}
    forks = {f"{n}{suffix}" for n in plain for suffix in ("_step", "_epoch")}
    return sorted(plain - forks, key=lambda n: (n not in same, len(n), n)), same


@check(family="logging")
def train_loss_logged_once_per_epoch(recording: Recording) -> Iterator[Finding]:
    """Exactly one epoch value of the training loss reaches the logger in each epoch.

    ## How it judges
    Counts what the logger received under the name, epoch by epoch: `train_loss`, or `train_loss_epoch` where
    both on_step and on_epoch are set.

    ## Why it matters
    In `training_step`, `self.log` defaults to `on_step=True, on_epoch=False`: what is logged, shown and monitored
    at the end of the epoch is the loss of the last batch.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss
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
    Curves by step are fine beside it: `on_step=True, on_epoch=True` logs both, under two names.
    """
    require_logged(recording)
    epochs = finished_epochs(recording)
    if not epochs:
        raise Inconclusive("the run stopped before the end of its first epoch (see training_completes)")
    counts = [len(epoch_values(recording)[epoch]) for epoch in epochs]
    if all(each == 1 for each in counts):
        return
    name = recording.train_loss_name
    calls = log_calls(recording)
    seen = ", ".join(f"{count(each, 'time')} in epoch {epoch}" for epoch, each in zip(epochs, counts, strict=True))
    call = calls[0] if calls else None
    yield Finding(
        f"`{name}` reached the logger {seen}; expected once per epoch.",
        _why_not_once(recording, counts, calls),
        log_call_for_epoch(call.place if call else None, name),
        (call.place if call else written_place(recording)) or recording.method_place("training_step"),
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
