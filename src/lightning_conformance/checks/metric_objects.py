"""Metric objects of torchmetrics: registered, reset, and logged as what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.logged import by_epoch, finished_epochs, in_step, require_finished_epoch
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, mentions
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count, number
from lightning_conformance.recording.events_logging import MetricHidden, MetricState
from lightning_conformance.recording.model import LogCall, MetricReceived, Recording, WarningSeen

_NOT_FOUND = r"Could not find the `LightningModule` attribute"
_LOOPS = {"train": "on_train_epoch_end", "validate": "on_validation_epoch_end"}


@check(family="logging", severity="error", since="0.2.0", needs_steps=False, explains_crash=True)
def metric_objects_are_registered(recording: Recording) -> Iterator[Finding]:
    """Metric objects are attributes of the module, or stand in a ModuleList or ModuleDict.

    ## How it judges
    Looks for metric objects of torchmetrics in plain lists and dicts.

    ## Why it matters
    The module does not know them: Lightning refuses to log them, they stay on the CPU, and nobody resets them.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.metrics = [torchmetrics.Accuracy(task="multiclass", num_classes=3)]

    def validation_step(self, batch, batch_idx):
        x, y = batch
        for metric in self.metrics:
            metric(self(x), y)
            self.log("val_accuracy", metric)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.metrics = nn.ModuleList([torchmetrics.Accuracy(task="multiclass", num_classes=3)])

    def validation_step(self, batch, batch_idx):
        x, y = batch
        for metric in self.metrics:
            metric(self(x), y)
            self.log("val_accuracy", metric)
    ```

    ## Legitimate exceptions
    A list that holds attributes once more is fine. So is one whose metrics the code moves itself: advice.
    """
    hidden, failure = list(recording.all(MetricHidden)), recording.failure
    if failure is not None and re.search(_NOT_FOUND, failure.message):
        first = hidden[0] if hidden else None
        where = f"`{first.where}`, in a plain {first.container}, " if first else "a metric object "
        yield Finding(
            f"{where}is logged, and is no attribute of the module.",
            "A plain list or dict does not register what it holds: Lightning cannot find the metric.",
            _registered(first),
            (first.place if first else None) or failure.place,
        )
        return
    for container in {m.where.partition("[")[0]: m for m in reversed(hidden)}.values():
        attribute = container.where.partition("[")[0].removeprefix("self.")
        moved = mentions(recording, attribute, r"\.to\(")
        yield Finding(
            f"`{container.where}` is a {container.kind} in a plain {container.container}, which registers nothing.",
            "The metric stays on the CPU when the module moves, and is in no checkpoint.",
            _registered(container),
            container.place,
            "advice" if moved else "warning",
        )
    if not hidden:
        _require_metrics(recording)


def _registered(hidden: MetricHidden | None) -> str:
    if hidden is None:
        return "self.metric = ...  # an attribute, nn.ModuleList or nn.ModuleDict"
    kind = "Dict" if hidden.container == "dict" else "List"
    return f"{hidden.where.partition('[')[0]} = nn.Module{kind}(...)"


def _require_metrics(recording: Recording) -> list[MetricState]:
    states = list(recording.all(MetricState))
    if not states and recording.failure is not None:
        raise Inconclusive("the run stopped before an epoch began (see training_completes)")
    if not states:
        raise NotApplicable("the module has no metric objects of torchmetrics")
    return states


@check(family="logging", severity="error", since="0.2.0")
def metrics_are_reset(recording: Recording) -> Iterator[Finding]:
    """A metric object starts each epoch anew, and is computed before it is reset.

    ## How it judges
    Follows how often each metric object was updated since its last reset, as epochs begin and end.

    ## Why it matters
    A metric that is computed by hand and never reset holds all epochs, and the batches of the sanity check; one that
    is reset before it is computed gives nothing but its start value.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=3)

    def validation_step(self, batch, batch_idx):
        self.accuracy.update(self(batch[0]), batch[1])

    def on_validation_epoch_end(self):
        self.log("val_accuracy", self.accuracy.compute())
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=3)

    def validation_step(self, batch, batch_idx):
        self.accuracy.update(self(batch[0]), batch[1])

    def on_validation_epoch_end(self):
        self.log("val_accuracy", self.accuracy.compute())
        self.accuracy.reset()
    ```

    ## Legitimate exceptions
    MaxMetric, MinMetric and running means are meant to remember. A SumMetric may count the whole run: name what it
    is logged as a total.
    """
    states = _require_metrics(recording)
    require_finished_epoch(recording)
    for where in dict.fromkeys(s.where for s in states):
        for stage in _LOOPS:
            own = [s for s in states if s.where == where and s.at.stage == stage]
            if finding := _not_reset(recording, own) or _computed_too_late(recording, own):
                yield finding
                break


# Descendants of these keep what they were told, on purpose.
_REMEMBERING = {"MaxMetric", "MinMetric", "Running", "RunningMean", "RunningSum", "MetricTracker", "CatMetric"}
_TOTAL = re.compile(r"total|seen|cum|so_far|ever|global|lifetime|overall|all_", re.IGNORECASE)


def _not_reset(recording: Recording, states: list[MetricState]) -> Finding | None:
    """Where an epoch begins with what an earlier one left, and the metric is computed by hand."""
    begins = {s.at.epoch: s for s in states if s.edge == "begin"}
    ends = {s.at.epoch: s for s in states if s.edge == "end"}
    later = [e for e in begins if e > 0 and e - 1 in ends and e in ends]
    if not later or not all(0 < ends[e - 1].updates <= begins[e].updates < ends[e].updates for e in later):
        return None
    state = begins[later[0]]
    uses = [c for c in recording.all(LogCall) if c.metric == state.where and c.at.stage == state.at.stage]
    attribute = state.where.removeprefix("self.").partition(".")[0]
    by_hand = [c for c in uses if c.use == "compute"]
    computed = find_call(recording, recording.methods, {"compute"}, receiver=attribute)
    if _REMEMBERING & set(state.bases) or any(c.use == "object" for c in uses) or not (by_hand or computed):
        return None
    is_total = "SumMetric" in state.bases and any(_TOTAL.search(f"{c.name} {state.where}") for c in by_hand or uses)
    values = [f"{ends[e].updates} updates at the end of epoch {e}" for e in sorted(ends)]
    return Finding(
        f"`{state.where}` ({state.kind}) is computed and never reset: {', '.join(values[:2])}.",
        "compute() by hand does not reset the metric: each epoch's value holds the epochs before, and the sanity "
        "check.",
        f"{state.where}.reset()  # in {_LOOPS[state.at.stage]}, after compute(); or log the object: "
        f'self.log("...", {state.where})',
        (by_hand[0].place if by_hand else computed) or state.place,
        "advice" if is_total else "error",
    )


def _computed_too_late(recording: Recording, states: list[MetricState]) -> Finding | None:
    """Where Lightning computes a metric that holds nothing: torchmetrics warns of it."""
    if not states:
        return None
    state = states[0]
    said = rf"compute`` method of metric {state.kind} was called before"
    heard = [w for w in recording.all(WarningSeen) if re.search(said, w.message)]
    # Lightning computes validation metrics before the hook of the epoch's end, and in the sanity check after it.
    only_sanity = all(w.at.stage == "sanity" for w in heard)
    calls = [c for c in recording.all(LogCall) if c.metric == state.where and c.at.stage == state.at.stage]
    updates = max(s.updates for s in states)
    attribute = state.where.removeprefix("self.").partition(".")[0]
    if not heard or not calls or (only_sanity and not updates):
        return None
    if updates:
        reset = find_call(recording, recording.methods, {"reset"}, receiver=attribute)
        if reset is None and len({s.where for s in recording.all(MetricState) if s.kind == state.kind}) > 1:
            # Another metric of its class may be the one.
            return None
        return Finding(
            f"`{state.where}` ({state.kind}) is logged as an object, and was reset when Lightning computed it: it had "
            f"seen {count(updates, 'update')}.",
            "Lightning computes a logged metric object after the hooks of the epoch's end, and resets it itself.",
            f"Do not call {state.where}.reset(); Lightning does.",
            reset or calls[0].place,
            "advice" if only_sanity else "error",
        )
    conditional = find_call(recording, recording.methods, {"update", attribute}, receiver=attribute)
    return Finding(
        f"`{state.where}` ({state.kind}) is logged as `{calls[0].name}`, and was never updated.",
        "Without an update a metric computes its start value, or nan.",
        f"{state.where}.update(prediction, target)  # in each step",
        calls[0].place,
        "warning" if conditional else "error",
    )


@check(family="logging", severity="warning", since="0.2.0")
def metric_values_are_not_averaged(recording: Recording) -> Iterator[Finding]:
    """Metric objects are logged as objects where an epoch's value is wanted.

    ## How it judges
    Where a step logs what a metric object returned for its batch, compares the epoch's value, which is the mean of
    those, with what the metric itself computes of the epoch.

    ## Why it matters
    The mean of the batches' F1, AUROC or recall is not that of the epoch.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.f1 = torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro")

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_f1", self.f1(self(x), y))
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.f1 = torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro")

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.f1(self(x), y)
        self.log("val_f1", self.f1)
    ```

    ## Legitimate exceptions
    Where both agree, as for an accuracy over all samples, nothing is said.
    """
    states = _require_metrics(recording)
    require_finished_epoch(recording)
    calls = [c for c in recording.all(LogCall) if c.use in ("forward", "compute") and in_step(c) and by_epoch(c)]
    calls = [c for c in calls if c.at.stage in _LOOPS and c.reduction in ("mean", "avg")]
    for call in {(c.metric, c.name, c.at.stage): c for c in reversed(calls)}.values():
        for epoch in finished_epochs(recording):
            own = [s.value for s in states if (s.where, s.at.stage, s.at.epoch) == (call.metric, call.at.stage, epoch)]
            value = next((v for v in own if v is not None), None)
            logged = _epoch_value(recording, call, epoch)
            if value is not None and logged is not None and abs(value - logged) > 1e-3 * max(1.0, abs(value)):
                yield _averaged(call, epoch, logged, value)
                break


def _epoch_value(recording: Recording, call: LogCall, epoch: int) -> float | None:
    names = (f"{call.name}_epoch", call.name)
    received = [m for m in recording.all(MetricReceived) if m.at.epoch == epoch and m.at.stage != "sanity"]
    return next((m.value for name in names for m in reversed(received) if m.name == name), None)


def _averaged(call: LogCall, epoch: int, logged: float, value: float) -> Finding:
    what = "its value for each batch" if call.use == "forward" else "its running value after each batch"
    return Finding(
        f"`{call.name}` of epoch {epoch} is {number(logged, value)}, the mean over batches; `{call.metric}` computes "
        f"{number(value, logged)} for the epoch.",
        f"self.log is given {what}, and averages the numbers.",
        f'self.log("{call.name}", {call.metric})  # the object: Lightning computes and resets it',
        call.place,
        "warning",
    )
