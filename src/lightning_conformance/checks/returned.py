"""What ``training_step`` returns: the loss, for every batch, and nothing that is meant for a logger."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.loss import trains_by_gradient
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import loss_name, return_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_state import ReturnedForLogger
from lightning_conformance.recording.model import BackwardRan, LogCall, Recording, StepRan


def _require_automatic(recording: Recording) -> None:
    if not recording.automatic:
        raise NotApplicable("manual optimization: what training_step returns is not used")


@check(family="loss", explains_crash=True)
def loss_returned(recording: Recording) -> Iterator[Finding]:
    """`training_step` returns the loss.

    ## How it judges
    Looks at what every call of `training_step` returned: in automatic optimization it must be a tensor,
    or a dict with the loss under the key `"loss"`.

    ## Why it matters
    Without a returned loss the closure still runs and the optimizer still steps, but no backward pass
    happens: nothing is learned, and Lightning gives one warning in the whole run.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
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
    Returning None for *some* batches is a matter of `loss_is_returned_for_every_batch`.
    Manual optimization is judged by what it does, not by what it returns.
    """
    _require_automatic(recording)
    missing = [step for step in recording.steps if step.loss is None]
    if missing and not trains_by_gradient(recording) and not _by_hand(recording):
        raise NotApplicable("configure_optimizers returned no optimizer")
    nothing = [step for step in missing if step.kind == "none"]
    other = [step for step in missing if step.kind != "none"]
    if other:
        yield _wrong_return(recording, other[0])
    if nothing and len(nothing) == len(recording.steps):
        yield _nothing_returned(recording, nothing)


@check(family="loss", severity="advice", since="0.2.0")
def loss_is_returned_for_every_batch(recording: Recording) -> Iterator[Finding]:
    """No batch is left out of training by a step that returns nothing.

    ## How it judges
    Counts the calls of `training_step` that returned None beside others that returned a loss.

    ## Why it matters
    Lightning skips the update of such a batch. Where that is not meant (a branch without `return`), part of the data
    is never trained on; with several processes it raises an error.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        if batch_idx % 2 == 0:
            self.log("loss_now", loss)
            return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        if batch_idx % 2 == 0:
            self.log("loss_now", loss)
        return loss
    ```

    ## Legitimate exceptions
    It is Lightning's documented way to skip a batch: advice.
    """
    _require_automatic(recording)
    nothing = [step for step in recording.steps if step.kind == "none"]
    if not nothing or len(nothing) == len(recording.steps):
        return
    first, total = nothing[0], len(recording.steps)
    yield Finding(
        f"`training_step` returned None in {len(nothing)} of {count(total, 'step')}, first in {first.at.where}.",
        "Lightning skips the update of such a batch; with several processes it raises an error.",
        f"return {loss_name(recording)}  # at the end of every branch",
        return_place(recording, "training_step"),
        "advice",
    )


@check(family="loss", severity="warning", since="0.2.0")
def returned_dict_is_read(recording: Recording) -> Iterator[Finding]:
    """What `training_step` returns beside the loss is not meant for a logger.

    ## How it judges
    Looks for dicts under the keys `log` and `progress_bar` in the dict that the step returns.

    ## Why it matters
    Lightning before 1.0 logged what stands under them; since then they are ignored, and nothing is logged.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        return {"loss": loss, "log": {"train_loss": loss}}
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
    Values that `self.log` gets as well are advice. A module that reads these keys itself, in a hook that takes
    `outputs`, is left alone; a callback of yours that does is not seen.
    """
    readers = [name for name in ("on_train_batch_end", "training_step_end") if name in recording.methods]
    read = {key for key in ("log", "progress_bar") for name in readers if key in recording.methods[name].text}
    lost = [event for event in recording.all(ReturnedForLogger) if event.key not in read]
    names = dict.fromkeys(name for event in lost for name in event.names)
    logged = {call.name for call in recording.all(LogCall)}
    unlogged = [name for name in names if name not in logged]
    if not lost:
        return
    under = listed(sorted({event.key for event in lost}))
    yield Finding(
        f"`training_step` returned {listed(unlogged or names)} under {under}, which nothing reads.",
        "Lightning before 1.0 logged these values and showed them in the progress bar; it has ignored them since.",
        f'self.log("{(unlogged or list(names))[0]}", value, on_step=False, on_epoch=True, prog_bar=True)',
        return_place(recording, "training_step"),
        "warning" if unlogged else "advice",
    )


def _by_hand(recording: Recording) -> bool:
    return any(b.in_training_step for b in recording.all(BackwardRan))


def _nothing_returned(recording: Recording, nothing: list[StepRan]) -> Finding:
    total, name = len(recording.steps), loss_name(recording)
    place = recording.method_place("training_step")
    seen = f"`training_step` returned None in {len(nothing)} of {count(total, 'step')}."
    if _by_hand(recording):
        return Finding(
            f"{seen} It runs backward by itself, while automatic optimization is on.",
            "A training loop made by hand: Lightning's closure runs beside it without a loss, and precision, "
            "gradient clipping and accumulation do not apply to it.",
            "Set self.automatic_optimization = False in __init__ (and use self.optimizers() and "
            f"self.manual_backward({name})), or leave backward and step to Lightning and `return {name}`.",
            place,
        )
    gives = return_place(recording, "training_step") != place
    why = "The method has no `return` that gives the loss"
    if gives:
        why = "No `return` that gives the loss was reached, or it gave None"
    return Finding(
        f"{seen} No backward pass was run.",
        f"{why}: the optimizer steps without gradients, nothing is learned.",
        f"return {name}",
        place,
    )


def _wrong_return(recording: Recording, step: StepRan) -> Finding:
    place, name = return_place(recording, "training_step"), loss_name(recording)
    if step.kind == "dict" and "loss" not in step.keys:
        return Finding(
            f"`training_step` returned a dict with the keys {listed(step.keys)}, and none is `loss`.",
            "Automatic optimization takes the loss from the key `loss`; Lightning refuses any other dict.",
            f'return {{"loss": {name}, ...}}',
            place,
        )
    kind = step.loss_type if step.kind == "dict" else step.kind
    if kind in ("coroutine", "generator"):
        place = recording.method_place("training_step")
    return Finding(
        f"`training_step` returned a {kind} as its loss in {step.at.where}.",
        "Automatic optimization needs a tensor, or a dict with a tensor under the key `loss`.",
        f"return {name}  # a tensor of one element, with its graph",
        place,
    )
