"""Manual optimization: zero_grad, backward and step, as the module makes them."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.source import loss_name, return_place
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.model import (
    BackwardRan,
    GradientsCleared,
    Moment,
    OptimizerStepped,
    Recording,
    Seen,
)


def judge_manual(recording: Recording) -> Iterator[Finding]:
    """Each step needs a gradient to apply, each backward pass a step that uses it, both through Lightning."""
    if not recording.steps:
        raise Inconclusive("no training step was completed (see training_completes)")
    passes, steps = list(recording.all(BackwardRan)), list(recording.all(OptimizerStepped))
    if not recording.trainable and not steps:
        raise NotApplicable("nothing to train by gradient")
    if not passes and not any(s.nonzero for s in steps):
        yield from _never_backward(recording, steps)
    elif not steps:
        yield _never_stepped(recording, passes)
    else:
        yield from _steps_without_gradient(recording, passes, steps)
        yield from _behind_lightning(recording, passes, steps)
        yield from _stale_gradients(steps)
        yield from _thrown_away(recording)


def _thrown_away(recording: Recording) -> Iterator[Finding]:
    """Gradients of the only optimizer that zero_grad cleared before a step had used them."""
    if len(recording.optimizers) != 1:
        return
    lost: list[GradientsCleared] = []
    waiting: Moment | None = None
    for event in recording.tape:
        if isinstance(event, BackwardRan):
            waiting = event.at
        elif isinstance(event, OptimizerStepped):
            waiting = None
        elif isinstance(event, GradientsCleared):
            # Within one batch a method of the optimizer's may have used them (SAM's first step).
            if event.had_gradient and waiting and (waiting.epoch, waiting.batch) != (event.at.epoch, event.at.batch):
                lost.append(event)
            waiting = None
    used = any(s.nonzero for s in recording.all(OptimizerStepped))
    if lost and used:
        yield Finding(
            f"zero_grad threw gradients away {count(len(lost), 'time')} before a step had used them.",
            "Gradients are accumulated over batches, and cleared in between: only the last batch before a step counts.",
            "opt.step(); opt.zero_grad()  # together, where the step is made",
            lost[0].place,
            "warning",
        )


def _stale_gradients(steps: list[OptimizerStepped]) -> Iterator[Finding]:
    stale = [s for s in steps if s.stale]
    if stale:
        yield Finding(
            f"{len(stale)} of {count(len(steps), 'optimizer step')} applied gradients of earlier steps again.",
            "zero_grad is not called between a step and the next backward pass: gradients are added to the old ones.",
            "opt.zero_grad(); self.manual_backward(loss); opt.step()",
            stale[0].place,
        )


def _never_backward(recording: Recording, steps: list[OptimizerStepped]) -> Iterator[Finding]:
    changed = any(p.changed for p in recording.parameters)
    if changed or (not recording.optimizers and not _has_graph(recording)):
        raise NotApplicable("nothing to train by gradient")
    what = f"{count(len(steps), 'optimizer step')}, but no" if steps else "no optimizer step and no"
    yield Finding(
        f"in {count(len(recording.steps), 'training step')} there was {what} backward pass.",
        "automatic_optimization is False: Lightning leaves backward and step to training_step, which does not "
        "do them. A returned loss is not used.",
        f"opt = self.optimizers(); opt.zero_grad(); self.manual_backward({loss_name(recording)}); opt.step()",
        steps[0].place if steps else recording.method_place("training_step"),
    )


def _has_graph(recording: Recording) -> bool:
    return any(step.loss and step.loss.requires_grad for step in recording.steps)


def _never_stepped(recording: Recording, passes: list[BackwardRan]) -> Finding:
    return Finding(
        f"{count(len(passes), 'backward pass', 'backward passes')} and no optimizer step in "
        f"{count(len(recording.steps), 'training step')}.",
        "automatic_optimization is False: nobody but training_step steps the optimizer, and it does not.",
        "self.optimizers().step()  # after manual_backward; zero_grad before it",
        passes[-1].place or return_place(recording, "training_step"),
    )


def _steps_without_gradient(
    recording: Recording, passes: list[BackwardRan], steps: list[OptimizerStepped]
) -> Iterator[Finding]:
    empty = [s for s in steps if not s.nonzero]
    if len(empty) < len(steps):
        yield from _idle_optimizers(recording, steps)
        return
    cleared = _cleared_before_step(recording, empty[0])
    if cleared is not None:
        cause = "zero_grad stands between the backward pass and the step, and throws the gradient away."
        fix = "opt.zero_grad(); self.manual_backward(loss); opt.step()  # in this order"
        place = cleared.place
    else:
        cause, place = (
            "No backward pass gave a gradient to the parameters that this optimizer holds.",
            empty[0].place,
        )
        fix = "self.manual_backward(loss)  # before opt.step(); the optimizer over self.parameters()"
    yield Finding(
        f"none of {count(len(steps), 'optimizer step')} had a gradient to apply, although "
        f"{count(len(passes), 'backward pass ran', 'backward passes ran')}.",
        cause,
        fix,
        place,
    )


def _idle_optimizers(recording: Recording, steps: list[OptimizerStepped]) -> Iterator[Finding]:
    for index, facts in enumerate(recording.optimizers):
        own = [s for s in steps if s.optimizer == index]
        if own and not any(s.nonzero for s in own):
            yield Finding(
                f"optimizer {index} ({facts.name}) stepped {count(len(own), 'time')}, and never had a gradient.",
                "Its parameters have no gradient then: their loss is not differentiated, is cut from them, or the "
                "gradient was cleared before.",
                "self.manual_backward(...)  # of the loss that this optimizer minimizes, before its step",
                own[0].place,
            )


def _cleared_before_step(recording: Recording, step: OptimizerStepped) -> GradientsCleared | None:
    """The zero_grad between a backward pass and the step that it should have served."""
    before: list[Seen] = list(recording.tape[: recording.tape.index(step)])
    for event in reversed(before):
        if isinstance(event, GradientsCleared) and event.had_gradient:
            return event
        if isinstance(event, BackwardRan):
            return None
    return None


def _behind_lightning(
    recording: Recording, passes: list[BackwardRan], steps: list[OptimizerStepped]
) -> Iterator[Finding]:
    raw = [b for b in passes if not b.through_lightning]
    if raw:
        yield Finding(
            f"{len(raw)} of {count(len(passes), 'backward pass', 'backward passes')} did not go through Lightning.",
            "loss.backward() knows nothing of the Trainer's precision and strategy: no gradient scaling in mixed "
            "precision, no synchronisation between processes.",
            f"self.manual_backward({loss_name(recording)})",
            raw[0].place,
            "warning",
        )
    unknown = [s for s in steps if not s.through_lightning]
    if unknown and len(unknown) == len(steps):
        yield Finding(
            f"all of {count(len(steps), 'optimizer step')} bypassed Lightning: trainer.global_step stayed 0.",
            "The optimizer is stepped itself, not through self.optimizers(): max_steps is never reached, and "
            "checkpoints by step are never written.",
            "opt = self.optimizers(); opt.step()",
            unknown[0].place,
            "warning",
        )
