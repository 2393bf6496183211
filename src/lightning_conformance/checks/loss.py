"""What ``training_step`` returns must be a loss that can be minimized."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.cuts import cut_place
from lightning_conformance.checks.logged import require_gradient_training
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, loss_name, return_place
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count, number
from lightning_conformance.recording.model import BackwardRan, OptimizerStepped, Recording, StepRan


def trains_by_gradient(recording: Recording) -> bool:
    """Whether there is an optimizer; a module without any (k-means, ...) need not give a loss."""
    return bool(recording.optimizers)


def loss_steps(recording: Recording) -> list[StepRan]:
    """The steps that returned a loss tensor."""
    return [step for step in recording.steps if step.loss is not None]


@check(family="loss", explains_crash=True)
def loss_is_scalar(recording: Recording) -> Iterator[Finding]:
    """The loss has one element.

    ## How it judges
    Looks at the shape of each loss that `training_step` returned, or that a manual backward pass was given.

    ## Why it matters
    A gradient can only be started from a single number; torch raises at the first backward pass.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y, reduction="none")
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    A tensor of shape `(1,)` has one element and is fine.
    """
    for step in loss_steps(recording) if recording.automatic else ():
        if step.loss is not None and step.loss.numel != 1:
            yield _not_scalar(recording, step.loss.shape, "`training_step` returned a loss")
            return
    last = max(recording.all(BackwardRan), key=lambda b: (b.at.epoch, b.at.batch), default=None)
    implicit = recording.failure is not None and "implicitly created" in recording.failure.message
    if not recording.automatic and implicit and last and last.loss and last.loss.numel != 1:
        yield _not_scalar(recording, last.loss.shape, "backward was called on a tensor")
    elif not recording.automatic and last is None:
        raise NotApplicable("manual optimization, and no backward pass was run")
    elif recording.automatic and not loss_steps(recording):
        raise Inconclusive("no loss tensor was returned (see loss_returned)")


def _not_scalar(recording: Recording, shape: tuple[int, ...], what: str) -> Finding:
    return Finding(
        f"{what} of shape {shape}; expected one element.",
        "The loss is not reduced over the batch, for example because of reduction='none'.",
        f"{loss_name(recording)}.mean()",
        return_place(recording, "training_step"),
    )


@check(family="loss", depends_on_guess=True)
def loss_is_finite(recording: Recording) -> Iterator[Finding]:
    """Every loss is a finite number.

    ## How it judges
    Looks at each loss that was returned or differentiated for nan and infinity.

    ## Why it matters
    One nan makes every weight nan at the next step; Lightning checks nothing and trains on.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.nll_loss(torch.log(self(x)), y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.nll_loss(F.log_softmax(self(x), dim=-1), y)
    ```

    ## Legitimate exceptions
    The loss of values that cannot occur in your data may rightly be undefined: give a batch with the right
    ranges (`--lightning-batch`).
    """
    events: list[StepRan | BackwardRan] = [
        event for event in recording.tape if isinstance(event, (StepRan, BackwardRan)) and event.loss is not None
    ]
    if not events:
        require_gradient_training(recording)
        raise Inconclusive("no loss tensor was seen (see loss_returned)")
    bad = [event for event in events if event.loss and not event.loss.finite]
    if bad:
        yield _not_finite(recording, events, bad)


def _not_finite(recording: Recording, events: list[StepRan | BackwardRan], bad: list[StepRan | BackwardRan]) -> Finding:
    first = bad[0]
    value = first.loss.value if first.loss else None
    good = [e.loss.value for e in events[: events.index(first)] if e.loss and e.loss.value is not None]
    steps = sum(isinstance(event, StepRan) for event in bad) or len(bad)
    shown = value if value is not None else "not finite"
    seen = f"the loss is {shown} in {count(steps, 'step')}, first in {first.at.where}."
    if good:
        before = ", ".join(map(number, good[-3:]))
        cause = f"It was finite before ({before}): the training diverges, or a weight became infinite."
    else:
        cause = "It is so from the first step on: log, sqrt or a division of a value that the batch can take."
    if recording.batch_source == "inferred":
        cause += (
            f" The batch was inferred ({recording.batch_text}): give --lightning-batch if such values cannot occur."
        )
    place = return_place(recording, "training_step")
    return Finding(seen, cause, "Use a stable form (..._with_logits, logsumexp, clamp), or a smaller step.", place)


@check(family="loss", explains_crash=True)
def loss_requires_grad(recording: Recording) -> Iterator[Finding]:
    """The loss is connected with the module's parameters.

    ## How it judges
    Walks the graph of each returned loss down to its leaves: a parameter of the module must be among them.

    ## Why it matters
    A loss that was detached, converted with `.item()` or NumPy, or computed under `no_grad` cannot train
    anything. Wrapped again with `requires_grad=True` it even passes torch's own test, silently.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y).item()
        return torch.tensor(loss, requires_grad=True)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    A module without an optimizer (k-means, ...) needs no gradient: the check does not apply.
    """
    if not trains_by_gradient(recording):
        raise NotApplicable("configure_optimizers returned no optimizer")
    if not recording.automatic:
        yield from _manual_losses(recording)
        return
    losses = loss_steps(recording)
    if not losses:
        raise Inconclusive("no loss tensor was returned (see loss_returned)")
    detached = [step for step in losses if step.loss and not step.loss.requires_grad]
    if detached:
        yield _detached(recording, detached[0].at.where)
    elif not any(step.reaches for step in losses) and not _any_gradient(recording):
        yield _foreign_leaf(recording, losses)


def _any_gradient(recording: Recording) -> bool:
    registered = any(p.in_graph for p in recording.parameters)
    return registered or any(leaf.is_parameter for leaf in recording.unregistered)


def _manual_losses(recording: Recording) -> Iterator[Finding]:
    passes = list(recording.all(BackwardRan))
    if not passes:
        raise NotApplicable("manual optimization, and no backward pass was run")
    for one in passes:
        if one.loss and not one.loss.requires_grad:
            yield _detached(recording, one.at.where, one)
            return
    stepped = any(s.nonzero for s in recording.all(OptimizerStepped))
    if not stepped and not _any_gradient(recording):
        yield _foreign_leaf(recording, loss_steps(recording))


def _detached(recording: Recording, where: str, one: BackwardRan | None = None) -> Finding:
    if recording.parameters and not recording.trainable:
        return Finding(
            f"the loss of {where} does not require a gradient, because no parameter does.",
            "Every parameter is frozen (requires_grad is False).",
            "self.unfreeze(), or requires_grad_(True) for what is meant to learn.",
            find_call(recording, list(recording.methods), {"freeze", "requires_grad_"})
            or return_place(recording, "training_step"),
        )
    return Finding(
        f"the loss of {where} does not require a gradient.",
        "It was cut from the graph: detach(), item(), NumPy, argmax or a metric in place of the loss, no_grad, "
        "or every parameter is frozen.",
        "Return the tensor that the loss function gave, as it is.",
        (one.place if one else cut_place(recording)) or return_place(recording, "training_step"),
    )


def _foreign_leaf(recording: Recording, losses: list[StepRan]) -> Finding:
    return Finding(
        f"in all of {count(len(losses), 'step')}, the graph of the loss reaches no parameter of the module.",
        "The loss is a new tensor with requires_grad=True, or is computed from detached values only: "
        "backward runs, and no weight gets a gradient.",
        "Return the tensor that the loss function gave, without torch.tensor(...), .item() or .detach().",
        cut_place(recording) or return_place(recording, "training_step"),
    )
