"""Checkpoints: what is lost, and what training goes on with."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from lightning_conformance.checks.checkpoints import (
    STATE_HOOKS,
    first_line,
    first_place,
    saved_checkpoint,
    saves_hyperparameters,
    tried,
)
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.reproducibility import differing_losses, loss_pairs
from lightning_conformance.checks.source import find_assignment, line_of, method_tree
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Severity
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.events_checkpoints import LoadTried, Resumed
from lightning_conformance.recording.model import Place, Recording


@check(
    family="checkpoints",
    since="0.2.0",
    regimes=("train", "round_trip"),
    caused_by=("setup_keeps_trained_layers", "parameters_are_registered", "checkpoint_loads"),
)
def loaded_module_is_the_same(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """A module that was loaded from a checkpoint computes what the trained one does.

    ## How it judges
    Loads the checkpoint without arguments, and into an instance that was built as before, and compares the state and
    the loss of one more batch, from the same random numbers.

    ## Why it matters
    What was trained is not what is used, and nothing says so: an argument fell back to its default, or a queue, a
    centre, a running scale was never saved.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.center = torch.zeros(3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.center = 0.9 * self.center + 0.1 * out.detach().mean(0)
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
        self.center = 0.9 * self.center + 0.1 * out.detach().mean(0)
        return F.cross_entropy(out - self.center, y)
    ```

    ## Legitimate exceptions
    Replay buffers and other containers are not expected in a checkpoint: advice.
    """
    saved_checkpoint(round_trip)
    built, alone = tried(round_trip, "built as before"), tried(round_trip, "without arguments")
    if built is None or built.failure is not None:
        raise Inconclusive("the checkpoint does not load (see checkpoint_loads)")
    if built.loss is None:
        raise NotApplicable("training_step returns no loss to compare")
    if built.differing or _differ(built.loss, built.loaded):
        yield _lost(train, built)
    elif alone is not None and alone.failure is None and _differ(alone.loss, alone.loaded):
        yield Finding(
            f"load_from_checkpoint(path) gives another module: its loss is {alone.loaded:.6g}, the trained one's is "
            f"{alone.loss:.6g}.",
            "Constructor arguments were not saved, and fell back to their defaults.",
            "self.save_hyperparameters()  # in __init__",
            saves_hyperparameters(train) or train.method_place("__init__"),
        )


def _lost(train: Recording, tried: LoadTried) -> Finding:
    severity, told, place = _by_attributes(train, tried.attributes)
    if tried.differing:
        severity = "error"
    values = (
        f" (loss {tried.loaded:.6g}, not {tried.loss:.6g})"
        if tried.loaded is not None and tried.loss is not None
        else ""
    )
    return Finding(
        f"an instance that was loaded from a checkpoint computes something else{values}"
        + (f"; {told} differ{'s' * (len(tried.attributes) == 1)}." if told else "."),
        "A checkpoint keeps parameters and buffers, and nothing else of the module.",
        'self.register_buffer("name", ...)  # or save and load it in on_save_checkpoint and on_load_checkpoint',
        place or train.method_place("__init__"),
        severity,
    )


def _by_attributes(train: Recording, attributes: Mapping[str, str]) -> tuple[Severity, str, Place | None]:
    """How bad it is, by what was lost: a tensor takes part in the computation, a container often need not."""
    kinds = set(attributes.values())
    severity: Severity = "error" if "tensor" in kinds else "warning" if "number" in kinds else "advice"
    order = sorted(attributes, key=lambda name: ("tensor", "number", "other").index(attributes[name]))
    place = next((p for name in order if (p := _made(train, name.rpartition(".")[2]))), None)
    return severity, listed(f"self.{name}" for name in order), place


def _made(train: Recording, name: str) -> Place | None:
    """Where an attribute is assigned, or registered as a buffer."""
    for method in train.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Call) and _registers(node, name):
                return line_of(method, node)
    return find_assignment(train, name)


def _registers(node: ast.Call, name: str) -> bool:
    named = node.args[0] if node.args else None
    is_call = isinstance(node.func, ast.Attribute) and node.func.attr == "register_buffer"
    return is_call and isinstance(named, ast.Constant) and named.value == name


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None or one != one or other != other:
        return False
    return abs(one - other) > 1e-5 * max(1.0, abs(one), abs(other))


@check(
    family="checkpoints",
    since="0.2.0",
    regimes=("train", "repeat", "resume"),
    caused_by=("loaded_module_is_the_same", "checkpoint_is_written", "hyperparameters_are_plain", "checkpoint_loads"),
)
def resumed_training_goes_on(train: Recording, repeat: Recording, resume: Recording) -> Iterator[Finding]:
    """Training that is resumed from a checkpoint goes on as if it had not been interrupted.

    ## How it judges
    Trains two epochs, and again with a new instance from the checkpoint of the first; every epoch is seeded alike.
    Compares the losses of the second epoch, and the attributes of both modules when it begins.

    ## Why it matters
    A schedule, a queue or a moving average that starts anew changes the run whenever a job is interrupted.

    ## Example
    ```python
    def on_fit_start(self):
        self.scale = torch.ones(3, device=self.device)

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.scale = 0.9 * self.scale + 0.1 * out.detach().abs().mean(0)
        return F.cross_entropy(out / self.scale, y)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.register_buffer("scale", torch.ones(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.scale = 0.9 * self.scale + 0.1 * out.detach().abs().mean(0)
        return F.cross_entropy(out / self.scale, y)
    ```

    ## Legitimate exceptions
    A module whose runs differ from one another anyway is not judged. Where no attribute explains the difference (a
    random number generator of its own, a scheduler that Lightning does not know), it is advice.
    """
    if differing_losses(loss_pairs(train, repeat)):
        raise Inconclusive("two runs from one seed differ (see same_seed_same_losses)")
    event = next(resume.all(Resumed))
    if event.failure is not None:
        if "weights_only" in event.failure.message:
            raise NotApplicable("the checkpoint is refused (see hyperparameters_are_plain)")
        own = event.failure.place is not None or first_place(train, STATE_HOOKS) is not None
        yield Finding(
            f"training cannot be resumed from a checkpoint: {event.failure.type}: {first_line(event.failure)}",
            "What is loaded does not fit the module or its optimizers.",
            "",
            event.failure.place or first_place(train, ("on_load_checkpoint", "configure_optimizers")),
            # Layers that change their shape while training, without a word of how to load them.
            "error" if own else "advice",
            detail=event.failure.traceback,
        )
        return
    compared = list(zip(event.straight, event.resumed, strict=False))
    if not any(a is not None and b is not None for a, b in compared):
        raise NotApplicable("training_step returns no loss to compare")
    wrong = [(a, b) for a, b in compared if _differ(a, b)]
    if wrong:
        severity, told, place = _by_attributes(train, event.attributes)
        yield Finding(
            f"after resuming, a loss is {wrong[0][1]:.6g} where it is {wrong[0][0]:.6g} without interruption"
            + (f". {told} had {'another value' if len(event.attributes) == 1 else 'other values'}." if told else "."),
            "A checkpoint keeps parameters, buffers, optimizers and schedulers; plain attributes start anew.",
            "Make it a function of self.current_epoch or self.global_step, a buffer, or save it in on_save_checkpoint.",
            place or train.method_place("training_step"),
            severity if told else "advice",
        )
