"""A key means one thing: it belongs to one loop, and the suffixes are Lightning's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lightning_conformance.checks.logged import by_epoch, by_step, columns, require_finished_epoch, require_log_calls
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.checks.wording import listed, number
from lightning_conformance.recording.model import Failure, LogCall, MetricReceived, Recording


@check(family="logging", since="0.2.0")
def keys_are_not_shared(recording: Recording) -> Iterator[Finding]:
    """No key is logged by the training loop and by the validation loop alike, or twice for one epoch.

    ## How it judges
    Compares the keys that the hooks of the two loops log, and counts what reaches the logger for an epoch.

    ## Why it matters
    Both values end up in one column, and a callback that monitors the key sees whichever was logged last.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        return self.shared_step(batch)

    def validation_step(self, batch, batch_idx):
        self.shared_step(batch)

    def shared_step(self, batch):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        return self.shared_step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.shared_step(batch, "val")

    def shared_step(self, batch, stage):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Legitimate exceptions
    What is the same in both loops by nature (a learning rate, a temperature) is told by its values.
    """
    calls = require_log_calls(recording)
    require_finished_epoch(recording)
    train = [c for c in calls if c.at.stage == "train"]
    validate = [c for c in calls if c.at.stage == "validate"]
    shared = [name for name in dict.fromkeys(c.name for c in validate) if name in {c.name for c in train}]
    for name in shared:
        of_train, of_validation = ([c for c in side if c.name == name] for side in (train, validate))
        if not _is_state(of_train, of_validation):
            yield _shared(recording, of_train, of_validation)
    yield from _twice_for_an_epoch(recording, calls, {*shared, recording.train_loss_name})


def _is_state(train: Sequence[LogCall], validate: Sequence[LogCall]) -> bool:
    """Whether validation logs what training logs, too: a number that stands still while nothing is trained."""
    of_train = {c.value for c in train}
    epochs = sorted({c.at.epoch for c in validate})
    values = [{c.value for c in validate if c.at.epoch == epoch} for epoch in epochs]
    # What the last epoch validates with is not logged by a training step any more.
    compared = values[:-1] or values
    return None not in of_train and all(len(v) == 1 for v in values) and all(v <= of_train for v in compared)


def _shared(recording: Recording, train: Sequence[LogCall], validate: Sequence[LogCall]) -> Finding:
    name, call = train[0].name, validate[0]
    in_one_column = columns(train[0]) & columns(call) and train[0].logger is not False and call.logger is not False
    received = [m for m in recording.all(MetricReceived) if m.name == name and m.at.epoch == call.at.epoch]
    values = list(dict.fromkeys(number(m.value) for m in received if m.at.stage != "sanity"))
    seen = (
        f" In epoch {call.at.epoch} the logger received {', '.join(values[-3:])}." if in_one_column and values else ""
    )
    hooks = listed(dict.fromkeys([train[0].at.hook, call.at.hook]))
    cause = "Both loops run one line of code." if train[0].place == call.place else "The two hooks name it alike."
    return Finding(
        f"`{name}` is logged by training and by validation (in {hooks}).{seen}",
        f"{cause} {'One column holds both' if in_one_column else 'What monitors it sees the one or the other'}.",
        f'self.log("val_{name.removeprefix("train_")}", ...) in validation; a shared step takes the stage as argument',
        call.place,
        "error" if in_one_column else "warning",
    )


def _twice_for_an_epoch(recording: Recording, calls: Sequence[LogCall], told: set[str]) -> Iterator[Finding]:
    """Keys that a step and the hook at the end of the epoch log, both as the epoch's value."""
    for name in dict.fromkeys(c.name for c in calls if c.name not in told):
        own = [c for c in calls if c.name == name and by_epoch(c) and not by_step(c) and c.logger is not False]
        steps = [c for c in own if "epoch" not in c.at.hook]
        ends = [c for c in own if "epoch" in c.at.hook and steps and c.at.stage == steps[0].at.stage]
        received = [m for m in recording.all(MetricReceived) if m.name == name and ends and m.at.epoch == 0]
        values = {number(m.value) for m in received if m.at.stage != "sanity"}
        if ends and len(values) > 1:
            yield Finding(
                f"`{name}` is logged in `{steps[0].at.hook}` and in `{ends[0].at.hook}`; for epoch 0 the logger "
                f"received {' and '.join(sorted(values))}.",
                "Lightning computes the epoch's value from what the steps log; the hook logs another one beside it.",
                f'Log it once: self.log("{name}", ...) in the one or in the other.',
                ends[0].place,
                "warning",
            )


_TWICE = r"You called `self\.log\((\S+), [\s\S]*twice in `(\w+)"
_INDEX = r"with the key `([^`]*)` but it should not contain information about `dataloader_idx`"


@check(family="logging", since="0.2.0", needs_steps=False, explains_crash=True)
def keys_are_not_forked(recording: Recording) -> Iterator[Finding]:
    """A key is logged in one way, and the suffixes `_step`, `_epoch` and `/dataloader_idx_` are left to Lightning.

    ## How it judges
    Looks for a key that one hook logs with different arguments, for a suffix written by hand where Lightning adds
    the same one, and for code that reads a key by the name that it does not have.

    ## Why it matters
    Lightning refuses the first. With on_step=True and on_epoch=True it logs `loss_step` and `loss_epoch`, and
    nothing under `loss`: what else is logged as `loss_epoch` falls into the same column.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_loss", loss, prog_bar=True)
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss
    ```

    ## Legitimate exceptions
    Logging a key twice with the same arguments, as `forward` may, is fine.
    """
    crash = _crash(recording, recording.failure)
    if crash is not None:
        yield crash
        return
    calls = require_log_calls(recording)
    forked = {column: c.name for c in calls if len(columns(c)) > 1 for column in columns(c)}
    for call in {c.name: c for c in calls if c.name in forked and len(columns(c)) == 1}.values():
        yield Finding(
            f"`{call.name}` is logged in `{call.at.hook}`, and Lightning logs `{forked[call.name]}` under that name.",
            "With on_step=True and on_epoch=True a key is split into `_step` and `_epoch`: two values share a column.",
            f'Log "{forked[call.name]}" with on_step=False, on_epoch=True, and leave the suffix away.',
            call.place,
            "warning",
        )


def _crash(recording: Recording, failure: Failure | None) -> Finding | None:
    if failure is None or failure.stage not in ("batch", "fit"):
        return None
    calls = list(recording.all(LogCall))
    if match := re.search(_TWICE, failure.message):
        name = match[1]
        same = [c for c in calls if c.name == name]
        other = next((c for c in same if c.place != same[-1].place), None)
        elsewhere = f", first at line {other.place.line}" if other and other.place else ""
        loaders = " add_dataloader_idx=False gives two loaders one key." if "validation" in match[2] else ""
        return Finding(
            f"`{name}` is logged twice in `{match[2]}`, with different arguments{elsewhere}.",
            "Lightning keeps one set of arguments for a key of a hook, and refuses another." + loaders,
            f'self.log("{name}", value, prog_bar=True, on_step=False, on_epoch=True)  # once, with all that is wanted',
            failure.place,
        )
    if match := re.search(_INDEX, failure.message):
        plain = match[1].partition("/dataloader_idx_")[0]
        return Finding(
            f"the key `{match[1]}` holds a dataloader_idx, which Lightning adds itself.",
            "With several loaders each key gets the suffix `/dataloader_idx_` and the loader's index.",
            f'self.log("{plain}", value), or add_dataloader_idx=False with a key of your own for each loader',
            failure.place,
        )
    key = re.fullmatch(r"'?(\w+)'?", failure.message) if failure.type == "KeyError" else None
    line = failure.place.source if failure.place else ""
    # Where the error was met while a batch was sought, no calls are written down.
    forked = failure.stage == "batch" or any(c.name == key[1] and len(columns(c)) > 1 for c in calls if key)
    if key and "logged_metrics" in line and forked:
        return Finding(
            f"`{key[1]}` is read from the logged metrics, and is not there.",
            f"With on_step=True and on_epoch=True Lightning logs `{key[1]}_step` and `{key[1]}_epoch`; the latter only "
            "at the end of the epoch.",
            f'Use the value at hand, or self.trainer.callback_metrics["{key[1]}"] at the end of the epoch.',
            failure.place,
        )
    return None
