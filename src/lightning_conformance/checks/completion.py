"""The run comes to its end; where it does not, say why in one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from textwrap import shorten

from lightning_conformance.checks.explanations import EXPLANATIONS, Explanation, explain
from lightning_conformance.checks.registry import COMPLETION, check
from lightning_conformance.checks.source import (
    find_attribute_assignment,
    find_call,
    return_place,
    step_methods,
)
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.model import BackwardRan, Failure, HookCalled, OptimizerStepped, Place, Recording


@check(family="completion", needs_steps=False, depends_on_guess=True)
def training_completes(recording: Recording) -> Iterator[Finding]:
    """The module can be built, fed and trained for two epochs without an error.

    ## How it judges
    Reports what ended the run: an error at import or construction, a batch that does not fit, an exception
    in a hook, or a run that does not end. The other checks are then inconclusive where they did not get to look.

    ## Why it matters
    Some of these errors show only in the second batch, at the end of an epoch, or in a smaller last batch.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.register_buffer("center", torch.zeros(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.center = 0.9 * self.center + 0.1 * out.mean(0)  # its graph is that of all batches before
        return F.cross_entropy(out - self.center, y)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.register_buffer("center", torch.zeros(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.center = 0.9 * self.center + 0.1 * out.mean(0).detach()
        return F.cross_entropy(out - self.center, y)
    ```

    ## Legitimate exceptions
    What the environment lacks (a package, a download, a file, a device) proves nothing about the module: the check is
    then inconclusive, and says what to do; with `--lightning-strict` it fails.
    """
    if recording.failure is not None and recording.failure.environment:
        raise _environment_lacks(recording.failure)
    if recording.failure is not None:
        yield _stopped(recording, recording.failure)
    elif not recording.steps:
        yield Finding(
            "the run ended without an error and without a single training step.",
            "The training dataloader gives no batch, or a hook skips them all.",
            "Give a batch: --lightning-batch 'x: float[8,16], y: int[8]<3'",
            recording.method_place("train_dataloader"),
        )
    if recording.validation_failure is not None:
        yield _validation_not_run(recording.validation_failure)


def _environment_lacks(failure: Failure) -> Inconclusive:
    """The module is not proven wrong where something is missing around it."""
    reason = f"the environment's error, not the module's: {failure.environment} ({_where_and_what(failure)})."
    reason = f"{reason} {failure.advice.splitlines()[0]}" if failure.advice else reason
    cause = f"The environment, not the module: {failure.environment}."
    finding = Finding(_what_stopped(failure), cause, failure.advice, failure.place, "warning", failure.traceback)
    return Inconclusive(reason, finding)


def _where_and_what(failure: Failure) -> str:
    hook = f"in `{failure.at.hook}`: " if failure.at and failure.at.hook else ""
    said = f"{failure.type}: {failure.message}" if failure.at else failure.message
    return hook + shorten(said, 200, placeholder="...")


def _stopped(recording: Recording, failure: Failure) -> Finding:
    known = explain(failure, recording.environment) or _missing_attribute(recording, failure)
    place = failure.place
    if place is None or (known and known.instead):
        place = _best_place(recording, failure, known) or place
    if failure.stage == "timeout":
        cause = "A loop that does not end, or a step that is far slower than the limit allows."
        fix = "Correct the loop, or raise the limit: --lightning-timeout=SECONDS"
    else:
        cause = known.cause if known else ""
        fix = known.fix if known else failure.advice
    if failure.at is not None and failure.at.stage == "sanity" and not known:
        cause = "Before it trains, Lightning runs a few validation batches: nothing has been trained or collected then."
        fix = "if self.trainer.sanity_checking: return  # where the hook needs what training leaves"
    in_batch = failure.at is not None and failure.at.batch >= 0
    if in_batch and failure.stage == "fit" and recording.batch_text and not (known or failure.from_lightning):
        cause = f"The batch was {recording.batch_text} ({recording.batch_source})."
        fix = "If such a batch cannot occur, say what can: --lightning-batch 'x: float[8,16], y: int[8]<3'"
    return Finding(_what_stopped(failure), cause, fix, place, detail=failure.traceback)


def _missing_attribute(recording: Recording, failure: Failure) -> Explanation | None:
    """An attribute of ``self`` that is assigned in methods that had not run, such as a hook with a misspelt name."""
    match = re.search(r"'(\w+)' object has no attribute '(\w+)'", failure.message)
    if match is None or f"self.{match[2]}" not in (failure.place.source if failure.place else ""):
        return None
    found = [name for name in recording.methods if find_attribute_assignment(recording, [name], {match[2]})]
    if not found or "__init__" in found:
        return None
    hooks = {h.name for h in recording.all(HookCalled)}
    near = difflib.get_close_matches(found[0], hooks, n=1, cutoff=0.8) if found[0] not in hooks else []
    cause = f"`self.{match[2]}` is assigned in {listed(found)} only, which had not run."
    if near:
        return Explanation(
            "", f"{cause} Lightning has no such hook.", f"def {near[0]}(self): ...", found[0], instead=True
        )
    return Explanation("", cause, f"self.{match[2]} = ...  # in __init__")


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
    stages = {"start": "before training began", "sanity": "in the sanity check, before training began"}
    when = stages.get(failure.at.stage, failure.at.where)
    return f"the run stopped {hook}{when}.\n{said}"


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
