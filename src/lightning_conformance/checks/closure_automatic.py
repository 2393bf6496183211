"""Automatic optimization: what happened between the closure and the optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.source import find_call, loss_name
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.model import (
    BackwardRan,
    GradientsCleared,
    HookCalled,
    OptimizerStepped,
    Recording,
    StepRan,
)


def judge_automatic(recording: Recording) -> Iterator[Finding]:
    """Lightning's closure must run in each of its steps, and training_step must not do Lightning's work."""
    if dropped := _dropped_closure(recording):
        yield dropped
        return
    if not recording.steps:
        raise Inconclusive("no training step was completed (see training_completes)")
    if not recording.optimizers:
        raise NotApplicable("configure_optimizers returned no optimizer")
    yield from _own_backward(recording)
    yield from _own_steps(recording)
    yield from _own_zero_grad(recording)
    yield from _steps_without_backward(recording)
    yield from _never_cleared(recording)


def _never_cleared(recording: Recording) -> Iterator[Finding]:
    """Steps of Lightning's that applied the gradients of the step before again."""
    override = recording.method_place("optimizer_zero_grad")
    steps = [s for s in recording.all(OptimizerStepped) if not s.in_training_step]
    stale = [s for s in steps if s.stale]
    if stale and override is not None:
        yield Finding(
            f"{len(stale)} of {count(len(steps), 'optimizer step')} applied gradients of earlier steps again.",
            "The overridden optimizer_zero_grad does not clear them: gradients are added to the old ones.",
            "optimizer.zero_grad()  # in optimizer_zero_grad",
            override,
        )


def _dropped_closure(recording: Recording) -> Finding | None:
    failure = recording.failure
    asked = any(h.name == "optimizer_step" for h in recording.all(HookCalled))
    if failure is None or not asked or "closure hasn't been executed" not in failure.message:
        return None
    place = find_call(recording, ["optimizer_step"], {"step"}) or recording.method_place("optimizer_step")
    return Finding(
        f"the closure was not run in {failure.at.where if failure.at else 'a step'}: no training_step, no backward.",
        "The overridden optimizer_step does not hand the closure on to the optimizer.",
        "optimizer.step(closure=optimizer_closure)",
        place,
    )


def _own_backward(recording: Recording) -> Iterator[Finding]:
    own = [b for b in recording.all(BackwardRan) if b.in_training_step and not b.through_lightning]
    returned = any(step.loss for step in recording.steps)
    of_loss = [b for b in own if b.of_returned_loss] or ([] if returned else own)
    if not of_loss:
        return
    name, place = loss_name(recording), of_loss[0].place
    if not returned and _moved_inside(recording):
        yield Finding(
            f"training_step ran backward by itself {count(len(own), 'time')}, and automatic optimization is on.",
            "It works here because nothing is returned (see loss_returned); precision, clipping and accumulation "
            "do not apply.",
            "self.automatic_optimization = False  # in __init__",
            place,
            "warning",
        )
    elif recording.failure and "second time" in recording.failure.message:
        yield Finding(
            "training_step ran backward on the loss that it returned; Lightning's own backward pass then failed.",
            "Automatic optimization runs backward on the returned loss; a graph can be differentiated once.",
            f"Remove the call; `return {name}` is enough.",
            place,
        )
    elif returned:
        yield Finding(
            f"training_step ran backward on the loss that it returned, {count(len(of_loss), 'time')}.",
            "Lightning's zero_grad wipes these gradients before its own backward pass: work done twice. Under "
            "accumulate_grad_batches they are added instead, and count twice.",
            f"Remove the call; `return {name}` is enough.",
            place,
            "warning",
        )


def _moved_inside(recording: Recording) -> bool:
    return any(s.in_training_step and s.moved for s in recording.all(OptimizerStepped))


def _own_steps(recording: Recording) -> Iterator[Finding]:
    own = [s for s in recording.all(OptimizerStepped) if s.in_training_step]
    moving = [s for s in own if s.moved]
    by_hand = not any(step.loss for step in recording.steps)
    if not own or (by_hand and moving):
        return
    first = (moving or own)[0]
    inplace = recording.failure is not None and "modified by an inplace" in recording.failure.message
    if not moving:
        yield Finding(
            f"an optimizer was stepped inside training_step {count(len(own), 'time')}; no weight changed by it.",
            "There are no gradients at that moment, so zero_grad and step do nothing: they do not stop Lightning's "
            "closure either. Under accumulate_grad_batches they throw away or apply half-accumulated gradients.",
            "Remove the call: Lightning calls zero_grad, backward and step after training_step.",
            first.place,
            "warning",
        )
    elif not recording.optimizers[first.optimizer].configured:
        yield Finding(
            f"an optimizer that configure_optimizers did not return was stepped inside training_step "
            f"{count(len(moving), 'time')} and changed weights.",
            "Weights are changed behind Lightning's back while automatic optimization also steps.",
            "Return the optimizer from configure_optimizers, or use manual optimization.",
            first.place,
        )
    else:
        effect = "and backward then failed" if inplace else "in addition to Lightning's own step"
        yield Finding(
            f"an optimizer was stepped in training_step, and changed weights {count(len(moving), 'time')}, {effect}.",
            "The gradients of the batch before are still there: each of them is applied twice.",
            "Remove the call: Lightning steps the optimizer after training_step.",
            first.place,
        )


def _own_zero_grad(recording: Recording) -> Iterator[Finding]:
    own = [c for c in recording.all(GradientsCleared) if c.in_training_step]
    stepped = any(s.in_training_step for s in recording.all(OptimizerStepped))
    differentiated = any(b.in_training_step for b in recording.all(BackwardRan))
    if own and not stepped and not differentiated:
        yield Finding(
            f"zero_grad was called inside training_step {count(len(own), 'time')}.",
            "Lightning clears the gradients itself, so the call changes nothing here. Under "
            "accumulate_grad_batches it throws away what was accumulated.",
            "Remove the call.",
            own[0].place,
            "warning",
        )


def _steps_without_backward(recording: Recording) -> Iterator[Finding]:
    """Lightning's own steps that had no gradient, although a loss was returned; and steps before the closure."""
    if not any(step.loss for step in recording.steps):
        if not any(b.in_training_step for b in recording.all(BackwardRan)):
            raise Inconclusive("no loss was returned, so there was nothing to differentiate (see loss_returned)")
        return
    early = _early_steps(recording)
    empty = [s for s in recording.all(OptimizerStepped) if not s.in_training_step and not s.with_gradient]
    if early:
        yield Finding(
            f"the optimizer stepped {count(len(early), 'time')} without a closure run since the step before.",
            "Such a step applies gradients that were applied already (or, in the first batch, none).",
            "optimizer.step(closure=optimizer_closure)  # once in optimizer_step",
            early[0].place or find_call(recording, ["optimizer_step"], {"step"}),
        )
    elif not _trainer_stepped(recording):
        yield Finding(
            f"the closure ran in {count(len(recording.steps), 'batch', 'batches')}, and no optimizer was stepped.",
            "The overridden optimizer_step runs the closure, and does not step the optimizer.",
            "optimizer.step(closure=optimizer_closure)",
            find_call(recording, ["optimizer_step"], {"optimizer_closure", "closure"})
            or recording.method_place("optimizer_step"),
        )
    elif (
        empty and not any(recording.all(BackwardRan)) and any(s.loss and s.loss.requires_grad for s in recording.steps)
    ):
        yield Finding(
            f"{count(len(empty), 'optimizer step')} and no backward pass: the optimizer had no gradient to apply.",
            "The overridden backward hook does not run a backward pass.",
            "def backward(self, loss): loss.backward()",
            recording.method_place("backward"),
        )


def _trainer_stepped(recording: Recording) -> bool:
    return recording.failure is not None or any(recording.all(OptimizerStepped)) or not recording.optimizers


def _early_steps(recording: Recording) -> list[OptimizerStepped]:
    """Lightning's steps that no training step came before, since the last step of the same optimizer."""
    early, fresh = [], set[int]()
    for event in recording.tape:
        if isinstance(event, StepRan):
            fresh = set(range(len(recording.optimizers)))
        elif isinstance(event, OptimizerStepped) and not event.in_training_step:
            if event.optimizer not in fresh and event.at.hook == "optimizer_step":
                early.append(event)
            fresh.discard(event.optimizer)
    return early
