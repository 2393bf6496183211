"""The parameters that are meant to learn do change."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.parameters_causes import alive, by_cause
from lightning_conformance.checks.parameters_hidden import hidden_leaves
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import (
    find_call,
    find_cleared,
    loss_name,
    optimizer_place,
    step_methods,
)
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Severity
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import (
    BackwardRan,
    BatchFacts,
    OptimizerStepped,
    ParameterFacts,
    Place,
    Recording,
    UnregisteredLeaf,
)

_ENOUGH_BATCHES = 3
_CLEARING = ("zero_grad", "clip_gradients", "clip_grad_norm_", "clip_grad_value_", "zero_", "fill_")
_AROUND_STEP = (
    "on_before_optimizer_step",
    "on_after_backward",
    "configure_gradient_clipping",
    "optimizer_step",
    "training_step",
)


@check(
    family="parameters",
    depends_on_guess=True,
    caused_by=(
        "loss_returned",
        "loss_requires_grad",
        "closure_executed",
        "parameters_are_registered",
        "parameters_are_in_an_optimizer",
    ),
)
def weights_update(recording: Recording) -> Iterator[Finding]:
    """The trainable parameters change over the run.

    ## How it judges
    Compares the exact value of every parameter before and after the run, and says why those that get a gradient did
    not change: in no optimizer, never stepped, a gradient that was cleared, a learning rate of 0.

    ## Why it matters
    What does not change does not learn. Other layers make up for it, the loss still goes down a little, and nothing
    is said.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.manual_backward(loss)
        self.optimizers().zero_grad()
        self.optimizers().step()
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.optimizers().zero_grad()
        self.manual_backward(loss)
        self.optimizers().step()
    ```

    ## Legitimate exceptions
    Parameters that get no gradient while others learn are the business of `every_parameter_gets_a_gradient`.
    """
    finished = len(list(recording.all(BatchFacts)))
    if recording.failure is not None and finished < _ENOUGH_BATCHES:
        raise Inconclusive(f"the run stopped after {count(finished, 'batch', 'batches')} (see training_completes)")
    hidden = list(hidden_leaves(recording, learning=False))
    if hidden:
        yield _hidden(hidden)
    trainable = recording.trainable
    if not trainable:
        if recording.unregistered:
            return
        raise NotApplicable("the module has no trainable parameter")
    if not any(p.changed for p in trainable):
        yield from _nothing_changed(recording)
        return
    for cause, members in by_cause(recording, (p for p in trainable if not p.changed)):
        if cause in _ERRORS or cause == "too small":
            yield _unchanged(recording, cause, members)


def _hidden(leaves: list[UnregisteredLeaf]) -> Finding:
    found = listed(leaf.where for leaf in leaves if leaf.where) or "outside of the module"
    return Finding(
        f"{count(len(leaves), 'tensor')} that the loss differentiates did not change: {found}.",
        "They are not registered, so that no optimizer holds them (see parameters_are_registered).",
        "Register them: nn.Module, nn.ModuleList, nn.Parameter as attributes of self.",
        leaves[0].place,
    )


def _nothing_changed(recording: Recording) -> Iterator[Finding]:
    trainable = recording.trainable
    if not recording.optimizers and not any(p.in_graph for p in trainable) and not _has_graph(recording):
        raise NotApplicable("no optimizer, and no loss that depends on the parameters")
    cause, fix, place = _why_nothing(recording)
    yield Finding(
        f"none of {count(len(trainable), 'trainable parameter')} changed in "
        f"{count(len(recording.steps), 'training step')}.",
        cause,
        fix,
        place,
    )


def _has_graph(recording: Recording) -> bool:
    return any(step.reaches for step in recording.steps)


def _why_nothing(recording: Recording) -> tuple[str, str, Place | None]:
    steps, passes = list(recording.all(OptimizerStepped)), list(recording.all(BackwardRan))
    configure = optimizer_place(recording, {o.name for o in recording.optimizers})
    step = recording.method_place("training_step")
    if not recording.optimizers:
        return (
            "configure_optimizers returned no optimizer: is its `return` missing?",
            "return optimizer",
            configure,
        )
    if recording.automatic and not any(s.loss for s in recording.steps):
        return "training_step returns no loss (see loss_returned).", f"return {loss_name(recording)}", step
    if not passes:
        return "No backward pass was run (see closure_executed).", "self.manual_backward(loss)", step
    if not steps and recording.automatic:
        override = find_call(recording, ["optimizer_step"], {"optimizer_closure", "closure"})
        return (
            "No optimizer was stepped: the overridden optimizer_step does not do it (see closure_executed).",
            "optimizer.step(closure=optimizer_closure)",
            override or recording.method_place("optimizer_step"),
        )
    if not steps:
        return "No optimizer was stepped (see closure_executed).", "self.optimizers().step()", step
    if any(batch.changed for batch in recording.all(BatchFacts)):
        return (
            "Values changed during the run, and in the end they are what they were: something puts them back.",
            "Do not load or copy an old state in a training hook.",
            find_call(recording, list(recording.methods), {"load_state_dict", "copy_"}) or step,
        )
    if all(rate == 0 for s in steps for rate in s.learning_rates):
        return (
            "The learning rate was 0 in every step.",
            "Give the optimizer a learning rate above 0; a warm-up by epochs must not start at 0.",
            configure,
        )
    if not any(p.in_graph for p in recording.trainable):
        return (
            "The loss reaches none of them (see loss_requires_grad).",
            "Return the tensor that the loss function gave, as it is.",
            step,
        )
    if not any(p.optimizers for p in recording.trainable):
        return (
            "The optimizer holds none of the module's parameters: it was made from a copy, or from other layers.",
            "torch.optim.Adam(self.parameters(), ...)",
            configure,
        )
    if not any(s.nonzero for s in steps):
        return (
            "No step had a gradient other than zero to apply: it was cleared before the step, or is exactly zero.",
            "zero_grad, backward, step: in this order",
            find_call(recording, _AROUND_STEP, _CLEARING) or find_cleared(recording, _AROUND_STEP) or step,
        )
    return (
        "Steps with gradients were made, and no value changed: the learning rate may be too small for the precision.",
        "Give the optimizer a larger learning rate.",
        configure,
    )


_ERRORS: dict[str, tuple[str, str]] = {
    "switched off": (
        "They required a gradient at first, and requires_grad was switched off during the run before they had changed: "
        "toggle_optimizer without untoggle_optimizer, or a freeze that is never undone.",
        "self.untoggle_optimizer(opt)  # at the end of its part of training_step",
    ),
    "no optimizer": (
        "They get a gradient and are in no optimizer (see parameters_are_in_an_optimizer).",
        "torch.optim.Adam(self.parameters(), ...)",
    ),
    "late": (
        "They get a gradient and are in no optimizer: they are younger than it (see parameters_are_in_an_optimizer).",
        "Create them in __init__, setup or configure_model.",
    ),
    "not stepped": (
        "They get a gradient, and the optimizer that holds them is never stepped.",
        "Step each optimizer: for opt in self.optimizers(): opt.step()",
    ),
    "cleared": (
        "A backward pass gave them a gradient, and it was gone whenever their optimizer stepped.",
        "opt.zero_grad(); self.manual_backward(loss); opt.step()  # in this order, for each optimizer",
    ),
    "rate zero": (
        "They get a gradient, and their learning rate is 0.",
        "Give their parameter group a learning rate above 0, or freeze them: requires_grad_(False)",
    ),
}
_TOO_SMALL = (
    "They get a gradient and are stepped, and their values do not change: the update is below the precision.",
    "Give their parameter group a larger learning rate.",
)


def _unchanged(recording: Recording, cause: str, members: list[ParameterFacts]) -> Finding:
    text, fix = _ERRORS.get(cause, _TOO_SMALL)
    severity: Severity = "error"
    if cause == "too small":
        severity = "advice" if all(alive(recording, p) for p in members) else "warning"
    total = len(recording.trainable)
    seen = f"{len(members)} of {count(total, 'trainable parameter')} did not change: {listed(p.name for p in members)}."
    return Finding(seen, text, fix, _place(recording, cause, members[0]), severity)


def _place(recording: Recording, cause: str, member: ParameterFacts) -> Place | None:
    if cause in ("no optimizer", "rate zero"):
        return optimizer_place(recording, {o.name for o in recording.optimizers}) or member.place
    if cause == "switched off":
        return find_call(recording, step_methods(recording), {"toggle_optimizer", "toggle_model"}) or member.place
    if cause == "cleared":
        return find_call(recording, _AROUND_STEP, _CLEARING) or member.place
    if cause == "not stepped":
        return recording.method_place("training_step") or member.place
    return member.place
