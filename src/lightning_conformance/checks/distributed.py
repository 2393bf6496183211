"""One model on several processes: every parameter has a gradient, and the ranks stay equal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.ranks_source import rank_edit
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import return_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_ranks import (
    ParametersDiffer,
    ParametersUnused,
    RankEnded,
)
from lightning_conformance.recording.model import BackwardRan, Place, Recording

_FIND_UNUSED = "Trainer(strategy='ddp_find_unused_parameters_true')"


def ends(recording: Recording) -> list[RankEnded]:
    """How each rank's run was over.

    Raises:
        NotApplicable: There was one process.
    """
    found = list(recording.all(RankEnded))
    if not found:
        raise NotApplicable(f"the environment {recording.environment} is one process")
    return found


@check(family="distributed", explains_crash=True, needs_steps=False)
def parameters_are_used_on_every_rank(recording: Recording) -> Iterator[Finding]:
    """Every backward pass reaches every trainable parameter, as DDP wants it.

    ## How it judges
    Trains on two processes with `strategy="ddp"`. Where parameters without a gradient stop that, names them, and trains
    again with a strategy that looks for them.

    ## Why it matters
    DDP waits for the gradient of each parameter: the second step stops with "It looks like your LightningModule has
    parameters that were not used in producing the loss". One process, and one batch, show nothing.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.auxiliary = nn.Linear(8, 2)  # and no loss that needs it
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
    ```

    ## Legitimate exceptions
    Parameters that are used by turns (a GAN's two networks, heads for some batches) are rightly there: it is advice
    then. Lightning 1.9 looks for unused parameters by default, so that nothing stops.
    """
    ends(recording)
    for unused in recording.all(ParametersUnused):
        if unused.never:
            yield Finding(
                f"{count(len(unused.never), 'parameter')} got no gradient in any step, and strategy='ddp' stopped in "
                f"{unused.at.where}: {listed(unused.never)}.",
                "DDP waits for the gradient of each trainable parameter; no loss depends on these.",
                f"Leave them out, or requires_grad_(False) before training, or {_FIND_UNUSED}",
                _place_of(recording, unused.never[0]),
            )
        else:
            layers = listed(unused.names) if unused.names else "some parameters"
            yield Finding(
                f"no step uses all parameters, and strategy='ddp' stopped in {unused.at.where}: {layers} had no "
                "gradient in a backward pass, and have one in others.",
                "DDP waits, in each backward pass, for the gradient of each trainable parameter.",
                f"{_FIND_UNUSED}, for those who train it on several devices",
                _place_of(recording, unused.names[0]) if unused.names else None,
                "advice",
            )


def _place_of(recording: Recording, name: str) -> Place | None:
    place = next((p.place for p in recording.parameters if p.name == name and p.place), None)
    return place or recording.method_place("__init__")


@check(family="distributed")
def ranks_stay_equal(recording: Recording) -> Iterator[Finding]:
    """The ranks train one model: their parameters are the same in the end.

    ## How it judges
    Trains on two processes, each with its own batches, and compares the parameters of both, bit for bit, when training
    is over. Buffers are not compared: statistics such as BatchNorm's are each rank's own.

    ## Why it matters
    Nothing stops. Each process trains a model of its own, on a part of the data, and that of the first is saved.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        F.cross_entropy(self(x), y).backward()
        optimizer.step()
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self(x), y))
        optimizer.step()
    ```

    ## Legitimate exceptions
    An optimizer that looks at the loss itself, such as LBFGS with a line search, sees a different one on each rank: use
    the mean of all, `self.all_gather(loss).mean()`.
    """
    ends(recording)
    for differ in recording.all(ParametersDiffer):
        what = f"{len(differ.names)} of {count(differ.of, 'parameter')} differ between the ranks after training"
        seen = f"{what}: {listed(differ.names)}."
        raw = next((b.place for b in recording.all(BackwardRan) if not b.through_lightning and b.place), None)
        yield Finding(seen, *_why_they_differ(recording, differ, raw))


def _why_they_differ(
    recording: Recording, differ: ParametersDiffer, raw: Place | None
) -> tuple[str, str, Place | None]:
    """Cause, fix and place; ``raw`` is a backward pass that did not go through Lightning."""
    thawed = [p.name for p in recording.parameters if p.thawed and p.name in differ.names]
    if thawed:
        return (
            f"{listed(thawed)} had requires_grad=False when training began, and True later: DDP averages the "
            "gradients of those that were trainable when it was made.",
            "Leave requires_grad on, and keep them still another way until then: a learning rate of 0 for their "
            "group, or detach() behind them with strategy='ddp_find_unused_parameters_true'.",
            _thawing(recording) or recording.method_place("__init__"),
        )
    if raw is not None:
        cause = "A backward pass that Lightning does not know of: DDP does not average its gradients."
        return cause, "self.manual_backward(loss)", raw
    return (
        "Weights were changed, or optimizers stepped, by what one rank alone knows: its rank, its batch, its "
        "loss or its random numbers.",
        "Do it on every rank with the same values, such as the mean of self.all_gather(x).",
        rank_edit(recording) or _in_place(recording) or return_place(recording, "training_step"),
    )


def _thawing(recording: Recording) -> Place | None:
    """Where requires_grad is switched on."""
    return _line(recording, r"requires_grad\s*=\s*True|requires_grad_\((?:True)?\)|unfreeze\(")


def _in_place(recording: Recording) -> Place | None:
    """A line of the module's own that writes into a tensor by its `.data`, or copies into one; or sets a gradient."""
    written = r"\.data\b.*[^=!<>]=[^=]|\.data\.\w+_\(|\.(?:copy_|mul_|lerp_|fill_|zero_|normal_)\(|\.grad\s*=[^=]"
    return _line(recording, written)


def _line(recording: Recording, pattern: str) -> Place | None:
    """The first line of a method after the constructor that has the pattern."""
    for name, method in recording.methods.items():
        for number, line in enumerate(method.text.splitlines()):
            if name != "__init__" and re.search(pattern, line):
                return Place(method.place.file, method.place.line + number, method.place.function, line)
    return None
