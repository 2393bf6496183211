"""What `self.log` is given, and where it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import shorten

from lightning_conformance.checks.logged import by_epoch, by_step, require_log_calls
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_logging import OwnLoader
from lightning_conformance.recording.events_tools import ToolTried
from lightning_conformance.recording.model import LogCall, MetricReceived, Recording, WarningSeen

# Trainer(log_every_n_steps=...) where nothing is said.
_LOG_EVERY = 50
_NO_NUMBER = r"(?:`self\.log\((?P<key>[^,]+), [\s\S]*was called, but|metric logged as '?(?P<metric>[^']+)'? must be)"
_PLAIN_KINDS = ("tensor", "number", "metric")


@check(family="logging", since="0.2.0", needs_steps=False, explains_crash=True)
def logged_values_are_numbers(recording: Recording) -> Iterator[Finding]:
    """What is logged is one number.

    ## How it judges
    Looks at what `self.log` is given: a string, None, an array, a tensor of several elements or a nested dict is
    refused; a tensor of integers is converted, with a warning.

    ## Why it matters
    The run stops where Lightning refuses the value, which may be in a batch that comes late.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.log("score", scores)
        return F.cross_entropy(scores, y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.log("score", scores.mean())
        return F.cross_entropy(scores, y)
    ```

    ## Legitimate exceptions
    NumPy's scalars (`np.float32(1.0)`) are numbers; its arrays without a dimension are not.
    """
    failure, calls = recording.failure, list(recording.all(LogCall))
    match = re.search(_NO_NUMBER, failure.message) if failure is not None else None
    if failure is not None and match:
        key = match["key"] or match["metric"]
        last = next((c for c in reversed(calls) if c.name == key), None)
        kind = last.kind if last and last.kind not in _PLAIN_KINDS else "value"
        what = f"a {kind}" if last and last.kind not in _PLAIN_KINDS else "no single number"
        yield Finding(
            f"`{key}` was given {what} in `{failure.at.hook if failure.at else 'a hook'}`: {failure.message}",
            "self.log takes a Python number, a tensor of one element, or a metric object of torchmetrics.",
            f'self.log("{key}", value.mean()), or self.log_dict({{name: number, ...}}) for several numbers',
            (last.place if last else None) or failure.place,
        )
        return
    for call in {c.name: c for c in require_log_calls(recording) if _is_converted(c)}.values():
        heard = [w for w in recording.all(WarningSeen) if f"self.log('{call.name}'" in w.message]
        if heard:
            yield Finding(
                f"`{call.name}` is a tensor of {call.dtype}, which Lightning converts to compute the epoch's value.",
                "Only floating point values can be averaged; Lightning warns, and converts.",
                f'self.log("{call.name}", value.float())',
                call.place,
                "advice",
            )


def _is_converted(call: LogCall) -> bool:
    return call.dtype.startswith(("int", "uint", "bool"))


_FORBIDDEN = r"You can't `self\.log\(\)` inside `(\w+)`"
_UNMANAGED = r"trying to `self\.log\(\)` but (it is not managed|the loop's result collection is not registered)"


@check(family="logging", since="0.2.0", needs_steps=False, explains_crash=True)
def logging_happens_where_it_counts(recording: Recording) -> Iterator[Finding]:
    """`self.log` is called where Lightning takes a value, and what is logged goes through it.

    ## How it judges
    Reports calls in hooks that Lightning does not allow, calls in the constructor, whose values are dropped, and
    metrics that are written to the logger alone.

    ## Why it matters
    A call in `on_train_end` stops the run after the last epoch. What goes past `self.log` is in no
    `callback_metrics`: it cannot be monitored, averaged over an epoch, or gathered from several processes.

    ## Example
    ```python
    def on_train_end(self):
        self.log("weight_norm", self.net.weight.norm())
    ```

    ## Use instead
    ```python
    def on_train_epoch_end(self):
        self.log("weight_norm", self.net.weight.norm())
    ```

    ## Legitimate exceptions
    Writing images or histograms to `self.logger.experiment` is no metric, and not looked at.
    """
    failure, calls = recording.failure, list(recording.all(LogCall))
    if failure is not None and (match := re.search(_FORBIDDEN, failure.message)):
        yield Finding(
            f"self.log is called in `{match[1]}`, where Lightning refuses it.",
            "Values are collected in the steps, the batch hooks and the epoch hooks only.",
            "Log it in a step or in on_train_epoch_end; or self.logger.log_metrics({name: value}) here.",
            failure.place or recording.method_place(match[1]),
        )
        return
    if failure is not None and re.search(_UNMANAGED, failure.message):
        yield Finding(
            "self.log is called where no loop collects values.",
            "Prediction has no results to log to, and outside the Trainer's hooks there are none either.",
            "Log it in a step or in an epoch hook of training, validation or test.",
            failure.place,
        )
        return
    for call in {c.name: c for c in calls if c.at.stage == "start" and not c.at.hook}.values():
        yield Finding(
            f"`{call.name}` is logged before there is a Trainer; the value is dropped.",
            "The constructor runs before fit: nothing collects what it logs.",
            "self.save_hyperparameters()  # the logger receives them; or log it in on_train_start",
            call.place,
            "warning",
        )
    yield from _past_self_log(recording, calls)
    if not calls and not any(recording.all(MetricReceived)):
        require_log_calls(recording)


def _past_self_log(recording: Recording, calls: list[LogCall]) -> Iterator[Finding]:
    known = {f"{c.name}{suffix}" for c in calls for suffix in ("", "_step", "_epoch")}
    loss = {f"{recording.train_loss_name}{suffix}" for suffix in ("", "_step", "_epoch")}
    past = {m.name: m for m in recording.all(MetricReceived) if m.name not in known | loss | {"epoch"}}
    past = {name: m for name, m in past.items() if "/dataloader_idx_" not in name}
    place = find_call(recording, recording.methods, {"log_metrics"})
    if not past or place is None:
        return
    alone = not any(c.at.stage in ("train", "validate") for c in calls)
    yield Finding(
        f"{listed(sorted(past))} reached the logger past self.log.",
        "What is written to the logger alone is in no callback_metrics: early stopping, checkpoints and schedulers "
        "cannot monitor it" + (", and nothing else is logged." if alone else "."),
        f'self.log("{min(past)}", value, on_epoch=True)',
        place,
        "warning" if alone else "advice",
    )


@check(family="logging", severity="error", since="0.2.0", regimes=("train", "tools"))
def predict_step_logs_nothing(train: Recording, tools: Recording) -> Iterator[Finding]:
    """`predict_step` does not call `self.log`.

    ## How it judges
    Predicts one training batch, where the module defines `predict_step`.

    ## Why it matters
    Prediction collects no results: `trainer.predict` stops at the call, long after training.

    ## Example
    ```python
    def predict_step(self, batch, batch_idx):
        scores = self(batch[0])
        self.log("confidence", scores.max())
        return scores
    ```

    ## Use instead
    ```python
    def predict_step(self, batch, batch_idx):
        return self(batch[0])
    ```

    ## Legitimate exceptions
    A prediction that stops for another reason, such as another form of batch, is inconclusive.
    """
    tried = next((t for t in tools.all(ToolTried) if t.tool == "predict"), None)
    if tried is None:
        raise NotApplicable("the module has no predict_step, or loaders of its own")
    if re.search(_UNMANAGED, tried.error):
        yield Finding(
            "predict_step calls self.log, and trainer.predict stops there.",
            "Prediction has no results to log to.",
            "Return the values, and log in test_step or validation_step.",
            tried.place,
        )
    elif tried.error:
        raise Inconclusive(f"predict_step failed on a training batch: {shorten(tried.error, 120, placeholder='...')}")


@check(family="logging", severity="advice", since="0.2.0")
def step_metrics_reach_the_logger(recording: Recording) -> Iterator[Finding]:
    """An epoch has enough batches for what is logged by step.

    ## How it judges
    Compares the number of batches of the module's own training loader with the Trainer's default of writing
    every 50th step.

    ## Why it matters
    With fewer batches than that, a metric that is logged by step only is hardly ever written.

    ## Example
    ```python
    def train_dataloader(self):
        samples = [(torch.randn(8), index % 3) for index in range(80)]
        return torch.utils.data.DataLoader(samples, batch_size=8)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss
    ```

    ## Use instead
    ```python
    def train_dataloader(self):
        samples = [(torch.randn(8), index % 3) for index in range(80)]
        return torch.utils.data.DataLoader(samples, batch_size=8)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_epoch=True)
        return loss
    ```

    ## Legitimate exceptions
    A Trainer with another `log_every_n_steps` writes them: how yours is made the check does not know.
    """
    loader = next(recording.all(OwnLoader), None)
    if loader is None:
        raise NotApplicable("the module has no training loader of its own whose length is known")
    calls = [c for c in require_log_calls(recording) if c.at.stage == "train" and by_step(c) and not by_epoch(c)]
    if calls and loader.batches < _LOG_EVERY:
        yield Finding(
            f"{listed(dict.fromkeys(c.name for c in calls))} is logged by step only, and an epoch has "
            f"{count(loader.batches, 'batch', 'batches')}: by default every {_LOG_EVERY}th step is written.",
            "Trainer(log_every_n_steps=50) is the default.",
            "Trainer(log_every_n_steps=1), or self.log(..., on_epoch=True)",
            calls[0].place,
            "advice",
        )
