"""The parameters that are meant to learn do change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lightning_conformance.checks.parameters_hidden import unregistered
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
)

_ENOUGH_BATCHES = 3
_CUTS = (
    "detach",
    "detach_",
    "numpy",
    "item",
    "no_grad",
    "inference_mode",
    "tensor",
    "as_tensor",
    "from_numpy",
    "round",
)
_FLAT = ("round", "floor", "ceil", "trunc", "sign")
_CLEARING = ("zero_grad", "clip_gradients", "clip_grad_norm_", "clip_grad_value_", "zero_", "fill_")
_AROUND_STEP = (
    "on_before_optimizer_step",
    "on_after_backward",
    "configure_gradient_clipping",
    "optimizer_step",
    "training_step",
)


@check(family="parameters", depends_on_guess=True)
def weights_update(recording: Recording) -> Iterator[Finding]:
    """The trainable parameters change over the run.

    ## What it does
    Compares the exact value of every parameter before and after the run, and says of each that did not
    change why: no gradient, a zero gradient, in no optimizer, learning rate 0, or not registered at all.

    ## Why is this bad
    Layers kept in a plain list, parameters left out of the optimizer or created after it never learn; the loss
    still goes down a little, and nothing is said.

    ## Example
    ```python
    self.layers = [nn.Linear(8, 8) for _ in range(3)]
    ```

    ## Use instead
    ```python
    self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
    ```

    ## Known problems
    A parameter that takes no part in the loss is a warning: it may belong to another mode of the module.
    Freeze what is not meant to learn with `requires_grad_(False)`.
    """
    finished = len(list(recording.all(BatchFacts)))
    if recording.failure is not None and finished < _ENOUGH_BATCHES:
        raise Inconclusive(f"the run stopped after {count(finished, 'batch', 'batches')} (see training_completes)")
    yield from unregistered(recording)
    trainable = recording.trainable
    if not trainable:
        if recording.unregistered:
            return
        raise NotApplicable("the module has no trainable parameter")
    if not any(p.changed for p in trainable):
        yield from _nothing_changed(recording)
        return
    for cause, members in _by_cause(recording):
        yield _unchanged(recording, cause, members)


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


def _rates(recording: Recording, parameter: ParameterFacts) -> list[float]:
    """The learning rates of the steps of its optimizers; groups cannot be told apart, so all of them."""
    return [
        rate
        for step in recording.all(OptimizerStepped)
        if step.optimizer in parameter.optimizers
        for rate in step.learning_rates
    ]


def _had_gradient(recording: Recording, parameter: ParameterFacts) -> bool:
    steps = [s for s in recording.all(OptimizerStepped) if s.optimizer in parameter.optimizers]
    return any(s.nonzero for s in steps)


def _classify(recording: Recording, parameter: ParameterFacts) -> str:
    if parameter.switched_off:
        return "switched off"
    if parameter.gradient == "nonzero":
        if not parameter.optimizers:
            return "late" if parameter.late else "no optimizer"
        rates = _rates(recording, parameter)
        if not rates:
            return "not stepped"
        if not _had_gradient(recording, parameter):
            return "cleared"
        return "rate zero" if 0.0 in rates else "too small"
    if parameter.gradient == "zero":
        return "zero gradient"
    if parameter.in_graph:
        return "no optimizer" if not parameter.optimizers else "not differentiated"
    return "cut off" if parameter.ran else "unused"


def _by_cause(recording: Recording) -> Iterator[tuple[str, list[ParameterFacts]]]:
    still = [p for p in recording.trainable if not p.changed]
    keyed = sorted(((_classify(recording, p), p) for p in still), key=lambda pair: pair[0])
    for cause, pairs in groupby(keyed, key=lambda pair: pair[0]):
        yield cause, [p for _, p in pairs]


_ERRORS: dict[str, tuple[str, str]] = {
    "switched off": (
        "They required a gradient at first, and requires_grad was switched off during the run before they had changed: "
        "toggle_optimizer without untoggle_optimizer, or a freeze that is never undone.",
        "self.untoggle_optimizer(opt)  # at the end of its part of training_step",
    ),
    "no optimizer": (
        "They get a gradient and are in no optimizer.",
        "torch.optim.{optimizer}(self.parameters(), ...)  # or freeze them: requires_grad_(False)",
    ),
    "late": (
        "They get a gradient and are in no optimizer: they were created after configure_optimizers had run.",
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
_WARNINGS: dict[str, tuple[str, str]] = {
    "too small": (
        "They get a gradient and are stepped, and their values do not change: the update is below the precision.",
        "Give their parameter group a larger learning rate.",
    ),
    "zero gradient": (
        "They take part in the loss, and their gradient was exactly zero in every step.",
        "Look for a dead activation, a multiplication by zero, a rounding, or a softmax over one element between them "
        "and the loss.",
    ),
    "not differentiated": (
        "The loss reaches them, and no backward pass gave them a gradient.",
        "Backward on the whole loss.",
    ),
    "cut off": (
        "Their module ran in training_step, but the loss does not reach them: detach(), no_grad, NumPy, or a result "
        "that is not used.",
        "Remove the cut, or freeze them: requires_grad_(False)",
    ),
    "unused": (
        "Their module did not run in training_step: they take no part in the loss. With several processes (ddp) "
        "this is an error.",
        "Remove them, use them, or freeze them: requires_grad_(False)",
    ),
}


def _unchanged(recording: Recording, cause: str, members: list[ParameterFacts]) -> Finding:
    severe = cause in _ERRORS
    text, fix = (_ERRORS if severe else _WARNINGS)[cause]
    fix = fix.replace("{optimizer}", recording.optimizers[0].name if recording.optimizers else "Adam")
    place = _place(recording, cause, members[0])
    severity: Severity = "error" if severe else "warning"
    if cause in ("zero gradient", "too small") and all(_alive(recording, p) for p in members):
        severity = "advice"
    total = len(recording.trainable)
    seen = f"{len(members)} of {count(total, 'trainable parameter')} did not change: {listed(p.name for p in members)}."
    if not severe and recording.batch_source == "inferred":
        text += f" The batch was inferred ({recording.batch_text}); with your data it may be otherwise."
    return Finding(seen, text, fix, place, severity)


def _alive(recording: Recording, parameter: ParameterFacts) -> bool:
    """Whether another parameter of the same layer learns: then the loss just does not depend on this one.

    A bias before BatchNorm, or one that cancels in a difference, has no gradient but rounding errors.
    """
    layer = parameter.name.rpartition(".")[0]
    return any(p.changed and p.name.rpartition(".")[0] == layer for p in recording.parameters)


def _place(recording: Recording, cause: str, member: ParameterFacts) -> Place | None:
    if cause in ("no optimizer", "rate zero"):
        return optimizer_place(recording, {o.name for o in recording.optimizers}) or member.place
    if cause == "switched off":
        return find_call(recording, step_methods(recording), {"toggle_optimizer", "toggle_model"}) or member.place
    if cause == "cut off":
        return find_call(recording, step_methods(recording), _CUTS) or member.place
    if cause == "zero gradient":
        return find_call(recording, step_methods(recording), _FLAT) or member.place
    if cause == "cleared":
        return find_call(recording, _AROUND_STEP, _CLEARING) or member.place
    if cause == "not stepped":
        return recording.method_place("training_step") or member.place
    return member.place
