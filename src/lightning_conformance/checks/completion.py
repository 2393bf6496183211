"""The run comes to its end; where it does not, say why in one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lightning_conformance.checks.registry import COMPLETION, check
from lightning_conformance.checks.source import (
    find_attribute_assignment,
    find_call,
    return_place,
    step_methods,
)
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.recording.model import BackwardRan, Failure, OptimizerStepped, Place, Recording


@dataclass(frozen=True)
class Explanation:
    r"""What a known error message means.

    Args:
        pattern: Found in ``Type: message``.
        cause: What the author did.
        fix: What to write instead; ``\\1`` stands for the pattern's first group.
        method: The method that the finding points to, where no line of the user's raised it.
        near: A method that is missing; the finding points to the one that is spelt most like it.
        stage: The only stage of a failure that it fits; empty for any.
    """

    pattern: str
    cause: str
    fix: str
    method: str = ""
    near: str = ""
    stage: str = ""


EXPLANATIONS = (
    Explanation(
        r"Tried to step \d+ times",
        "The scheduler was told a total number of steps (total_steps, or epochs and steps_per_epoch) that is smaller "
        "than the run.",
        "OneCycleLR(optimizer, max_lr, total_steps=self.trainer.estimated_stepping_batches)",
        "configure_optimizers",
    ),
    Explanation(
        r"Support for `(\w+_epoch_end)` has been removed",
        r"`\1` was removed in Lightning 2.0; Lightning 1.x calls it with the list of what the steps returned.",
        r"Keep what the steps return on self, and use on_\1(self), which takes no argument; clear it there.",
        r"\1",
    ),
    Explanation(
        r"Training with multiple optimizers is only supported with manual optimization",
        "Since Lightning 2.0, automatic optimization knows one optimizer; optimizer_idx is gone.",
        "Set self.automatic_optimization = False in __init__, and call zero_grad, manual_backward and step on "
        "each of self.optimizers() in training_step.",
        "configure_optimizers",
    ),
    Explanation(
        r"No `training_step\(\)` method defined",
        "The class defines no training_step; a misspelt one is not called.",
        "def training_step(self, batch, batch_idx): ...",
        near="training_step",
    ),
    Explanation(
        r"No `configure_optimizers\(\)` method defined",
        "The class defines no configure_optimizers; a misspelt one is not called.",
        "def configure_optimizers(self): return torch.optim.Adam(self.parameters(), lr=1e-3)",
        near="configure_optimizers",
    ),
    Explanation(
        r"closure hasn't been executed",
        "The overridden optimizer_step never runs the closure, and with it training_step and backward.",
        "optimizer.step(closure=optimizer_closure)",
        "optimizer_step",
    ),
    Explanation(
        r"backward through the graph a second time",
        "A graph is differentiated twice: backward in training_step although automatic optimization runs its own, "
        "or a tensor kept from an earlier batch (a hidden state, a running loss) that was not detached.",
        "Leave backward to Lightning; keep tensors across batches with .detach().",
    ),
    Explanation(
        r"modified by an inplace operation",
        "A tensor that backward still needs was changed: an optimizer step between the loss and its backward pass, "
        "or an in-place operation in the forward pass.",
        "Leave step to Lightning, or step only after manual_backward.",
    ),
    Explanation(
        r"to use manual_backward, please disable automatic optimization",
        "manual_backward is for manual optimization only.",
        "Set self.automatic_optimization = False in __init__, or return the loss.",
    ),
    Explanation(
        r"does not require grad and does not have a grad_fn",
        "The loss was cut from the graph (detach, item, no_grad), or every parameter is frozen.",
        "Return the tensor that the loss function gave, as it is.",
    ),
    Explanation(
        r"optimizer got an empty parameter list",
        "No parameter is registered: the layers are kept in a plain list or dict, or the generator of "
        "self.parameters() was used up before.",
        "Keep layers in nn.ModuleList or nn.ModuleDict; call self.parameters() where the optimizer is made.",
        "configure_optimizers",
    ),
    Explanation(
        r"ReduceLROnPlateau conditioned on metric (\S+) which is not available",
        r"The scheduler monitors `\1`, which was not logged when the epoch ended.",
        r"Log it: self.log('\1', value, on_epoch=True), or correct the monitor in configure_optimizers.",
        "configure_optimizers",
    ),
    Explanation(
        r"(?:conditioned on metric|could not find the monitored key|monitor=)\W*'?`?(\w+)?",
        "A callback monitors a metric that was not logged when it looked.",
        "Log the metric with on_epoch=True under the monitored name.",
        "configure_callbacks",
    ),
    Explanation(
        r"Unknown configuration for model optimizers",
        "configure_optimizers returned something that is no optimizer, list, dict or ([optimizers], [schedulers]).",
        "return {'optimizer': optimizer, 'lr_scheduler': scheduler}",
        "configure_optimizers",
    ),
    Explanation(
        r"must include a monitor when a `ReduceLROnPlateau`",
        "ReduceLROnPlateau needs to know which metric to watch.",
        "return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'monitor': 'val_loss'}}",
        "configure_optimizers",
    ),
    Explanation(
        r"KeyError: '(\w+)'",
        r"The key '\1' is not there. With on_step=True and on_epoch=True Lightning logs the names `\1_step` "
        r"and `\1_epoch`; trainer.logged_metrics knows nothing under the plain name while training_step runs.",
        "Use the value at hand, or self.trainer.callback_metrics at the end of the epoch.",
    ),
    Explanation(
        r"Expected more than 1 value per channel when training",
        "BatchNorm cannot be trained on a batch of one sample.",
        "Use drop_last=True in the training loader, or a batch of two samples at least.",
    ),
    Explanation(
        r"You can't `self\.log\(\)` inside `(\w+)`",
        r"self.log is not allowed in `\1`.",
        "Log in a step or an epoch hook, or use self.logger.log_metrics.",
    ),
    Explanation(
        r"You called `self\.log\((\S+),.*twice in",
        r"`\1` is logged twice in one hook, with different arguments.",
        "Log it once.",
    ),
    Explanation(
        r"missing \d+ required positional argument|takes \d+ positional arguments? but|unexpected keyword argument",
        "The signature does not fit what the caller gives; hooks have lost arguments since Lightning 1.x "
        "(optimizer_idx, outputs, unused, ...).",
        "Take the hook's current signature from the documentation of your Lightning version.",
        stage="fit",
    ),
    Explanation(
        r"NotImplementedError: Module \[\w+\] is missing the required \"forward\" function",
        "self(...) is called, and the class defines no forward.",
        "def forward(self, x): ...",
    ),
)


def explain(failure: Failure) -> Explanation | None:
    """What a failure's message means, with the pattern's groups filled in."""
    for known in EXPLANATIONS:
        match = re.search(known.pattern, f"{failure.type}: {failure.message}")
        if known.stage not in ("", failure.stage):
            continue
        if match and not (known.pattern.startswith("KeyError") and not _is_logged_name(failure)):
            return replace(
                known,
                cause=match.expand(known.cause),
                fix=match.expand(known.fix),
                method=match.expand(known.method),
            )
    return None


def _is_logged_name(failure: Failure) -> bool:
    line = failure.place.source if failure.place else ""
    return "logged_metrics" in line or "callback_metrics" in line


@check(family="completion", needs_steps=False)
def training_completes(recording: Recording) -> Iterator[Finding]:
    """The module can be built, fed and trained for two epochs without an error.

    ## What it does
    Reports what ended the run: an error at import or construction, a batch that does not fit, an exception
    in a hook, or a run that does not end. The other checks are then inconclusive where they did not get to look.

    ## Why is this bad
    Some of these errors show only in the second batch, at the end of an epoch, or in a smaller last batch.

    ## Example
    ```python
    self.hidden = self.rnn(x, self.hidden)  # the second batch differentiates the first batch's graph again
    ```

    ## Use instead
    ```python
    self.hidden = self.rnn(x, self.hidden.detach())
    ```

    ## Known problems
    A module that needs full batches (`drop_last=True`) fails on the smaller last batch only: a warning.
    """
    if recording.failure is not None:
        yield _stopped(recording, recording.failure)
    elif not recording.steps:
        yield Finding(
            "the run ended without an error and without a single training step.",
            "The training dataloader gives no batch, or a hook skips them all.",
            "Give a batch: --lightning-batch 'x: float[8,16], y: int[8]<3'",
            recording.method_place("train_dataloader"),
        )
    if recording.ragged_failure is not None:
        yield _needs_full_batches(recording, recording.ragged_failure)
    if recording.validation_failure is not None:
        yield _validation_not_run(recording.validation_failure)


def _stopped(recording: Recording, failure: Failure) -> Finding:
    known = explain(failure)
    place = failure.place
    if place is None:
        place = _best_place(recording, failure, known) or place
    if failure.stage == "timeout":
        cause = "A loop that does not end, or a step that is far slower than the limit allows."
        fix = "Correct the loop, or raise the limit: --lightning-timeout=SECONDS"
    else:
        cause = known.cause if known else ""
        fix = known.fix if known else failure.advice
    in_batch = failure.at is not None and failure.at.batch >= 0
    if in_batch and failure.stage == "fit" and recording.batch_text and not (known or failure.from_lightning):
        cause = f"The batch was {recording.batch_text} ({recording.batch_source})."
        fix = "If such a batch cannot occur, say what can: --lightning-batch 'x: float[8,16], y: int[8]<3'"
    return Finding(_what_stopped(failure), cause, fix, place, detail=failure.traceback)


def _best_place(recording: Recording, failure: Failure, known: Explanation | None) -> Place | None:
    """Where the reason is, of an error that none of the user's lines raised."""
    if "second time" in failure.message:
        own = [b.place for b in recording.all(BackwardRan) if b.in_training_step and b.place]
        kept = find_attribute_assignment(recording, step_methods(recording))
        return own[0] if own else kept or return_place(recording, "training_step")
    if "modified by an inplace" in failure.message:
        stepped = [s.place for s in recording.all(OptimizerStepped) if s.in_training_step and s.place]
        return stepped[0] if stepped else return_place(recording, "training_step")
    if known and known.near:
        near = difflib.get_close_matches(known.near, recording.methods, n=1)
        return recording.method_place(near[0]) if near else None
    if known and known.method == "configure_optimizers":
        schedulers = {"OneCycleLR", "CyclicLR"} if "total number of steps" in known.cause else set[str]()
        found = find_call(recording, ["configure_optimizers"], schedulers)
        return found or return_place(recording, "configure_optimizers")
    for method in filter(None, (known.method if known else "", failure.at.hook if failure.at else "")):
        if method in recording.methods:
            return recording.method_place(method)
    return None


def _what_stopped(failure: Failure) -> str:
    said = f"{failure.type}: {failure.message}"
    if failure.stage == "timeout":
        where = f" in `{failure.at.hook}`, {failure.at.where}" if failure.at else ""
        return f"the run did not end: {failure.message}{where}."
    if failure.at is None:
        return failure.message
    hook = f"in `{failure.at.hook}`, " if failure.at.hook else ""
    when = "before training began" if failure.at.stage == "start" else failure.at.where
    return f"the run stopped {hook}{when}.\n{said}"


def _needs_full_batches(recording: Recording, failure: Failure) -> Finding:
    return Finding(
        f"the last, smaller batch of an epoch fails: {failure.type}: {failure.message}",
        "The batch size is fixed in the code, or kept from an earlier batch; full batches work.",
        "Take the batch size from the batch (x.size(0)); if full batches are required, use drop_last=True.",
        failure.place,
        "warning",
    )


def _validation_not_run(failure: Failure) -> Finding:
    return Finding(
        f"validation_step failed on a training batch: {failure.type}: {failure.message}",
        "Either it is wrong, or validation batches look different; the run was repeated without validation.",
        "Give validation batches: a LightningDataModule or the module's own val_dataloader.",
        failure.place,
        "warning",
        failure.traceback,
    )


__all__ = ["COMPLETION", "EXPLANATIONS", "explain", "training_completes"]
