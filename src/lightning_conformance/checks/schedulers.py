"""Learning rate schedulers are stepped, for as long as the run lasts, and give rates that make sense."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import method_tree
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import Recording, WarningSeen

_LENGTH = re.compile(r"(?i)step|total|T_max|epoch|iter|batch|milestone|length|^n$|^T_0$")
_EPOCHS = re.compile(r"max_epochs")


def _schedulers(recording: Recording) -> list[SchedulerSeen]:
    found = list(recording.all(SchedulerSeen))
    if not found:
        raise NotApplicable("the module makes no learning rate scheduler of torch's")
    return found


@check(family="optimization", since="0.2.0")
def scheduler_is_stepped(recording: Recording) -> Iterator[Finding]:
    """Every scheduler that the module makes is stepped.

    ## What it does
    Counts the steps of each scheduler over two epochs: those that `configure_optimizers` returned, and those
    that it made and did not return.

    ## Why is this bad
    A scheduler that nobody steps leaves the learning rate as it is, and nothing is said.

    ## Example
    ```python
    self.scheduler = StepLR(optimizer, 10)
    return optimizer
    ```

    ## Use instead
    ```python
    return {"optimizer": optimizer, "lr_scheduler": StepLR(optimizer, 10)}
    ```

    ## Known problems
    A scheduler that the module's own code steps only later than the second epoch is not judged.
    """
    found = _schedulers(recording)
    if not recording.completed:
        raise Inconclusive("the run did not come to its end (see training_completes)")
    ignored = any("unsupported keys in the optimizer" in w.message for w in recording.all(WarningSeen))
    for scheduler in found:
        if scheduler.steps or scheduler.planned_epochs == 0:
            continue
        if not scheduler.returned:
            if not ignored and not _steps_by_hand(recording):
                yield _not_returned(scheduler)
        elif not recording.automatic:
            if not _steps_by_hand(recording):
                yield _left_in_manual(recording, scheduler)
        elif _was_due(recording, scheduler):
            yield _held_back(recording, scheduler)


def _steps_by_hand(recording: Recording) -> bool:
    """Whether some method steps a scheduler, if perhaps not in this short run."""
    texts = (m.text for name, m in recording.methods.items() if name not in ("configure_optimizers", "__init__"))
    return any(re.search(r"(?i)sch\w*(\(\)|\[[^]]*\])*\.step\w*\(", text) for text in texts)


def _was_due(recording: Recording, scheduler: SchedulerSeen) -> bool:
    units = recording.epochs if scheduler.interval == "epoch" else recording.epochs * recording.batches
    return scheduler.frequency <= units and "lr_scheduler_step" in recording.methods


def _not_returned(scheduler: SchedulerSeen) -> Finding:
    return Finding(
        f"{scheduler.name} was made, not returned from configure_optimizers, and never stepped.",
        "Lightning steps the schedulers that configure_optimizers returns, and knows of no others.",
        "return {'optimizer': optimizer, 'lr_scheduler': scheduler}",
        scheduler.place,
    )


def _left_in_manual(recording: Recording, scheduler: SchedulerSeen) -> Finding:
    return Finding(
        f"{scheduler.name} was not stepped in {count(recording.epochs, 'epoch')}.",
        "In manual optimization Lightning leaves schedulers to the module, and no method of it steps one.",
        "self.lr_schedulers().step()  # in on_train_epoch_end, or after each optimizer step",
        scheduler.place,
    )


def _held_back(recording: Recording, scheduler: SchedulerSeen) -> Finding:
    return Finding(
        f"{scheduler.name} was due each {scheduler.frequency} {scheduler.interval}, and never stepped.",
        "The overridden lr_scheduler_step does not step it.",
        "scheduler.step()  # in lr_scheduler_step; scheduler.step(metric) where it has a monitor",
        recording.method_place("lr_scheduler_step"),
    )


@check(family="optimization", since="0.2.0")
def scheduler_fits_the_run(recording: Recording) -> Iterator[Finding]:
    """A scheduler counts in the unit in which Lightning steps it, and lasts as long as the run.

    ## What it does
    Compares the length of each scheduler (`T_max`, `total_steps`, the numbers a schedule's function holds) with
    the epochs and steps of the run, and with the interval at which Lightning steps it.

    ## Why is this bad
    Lightning steps a scheduler once an epoch unless told otherwise. One that counts optimizer steps then hardly
    moves; one that counts epochs and is stepped with each batch is over at once.

    ## Example
    ```python
    return [optimizer], [CosineAnnealingLR(optimizer, T_max=self.trainer.estimated_stepping_batches)]
    ```

    ## Use instead
    ```python
    schedule = CosineAnnealingLR(optimizer, T_max=self.trainer.estimated_stepping_batches)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]
    ```

    ## Known problems
    A length that is a constant is judged only where the code calls it a number of steps.
    """
    for scheduler in _schedulers(recording):
        yield from _unusable(scheduler)
        if scheduler.returned and recording.automatic:
            yield from _wrong_unit(recording, scheduler)


def _unusable(scheduler: SchedulerSeen) -> Iterator[Finding]:
    for name, value in scheduler.horizons:
        if _LENGTH.search(name) and (math.isinf(value) or value < 0):
            what = "trainer.num_training_batches is inf" if math.isinf(value) else "trainer.max_steps is -1"
            yield Finding(
                f"{scheduler.name} was made with {name} = {value:g}.",
                f"In configure_optimizers {what}, unless the Trainer was told otherwise: the schedule never moves, "
                "or runs the wrong way.",
                "self.trainer.estimated_stepping_batches",
                scheduler.place,
            )
            return


def _wrong_unit(recording: Recording, scheduler: SchedulerSeen) -> Iterator[Finding]:
    lengths = [(n, v) for n, v in scheduler.horizons if math.isfinite(v) and v > 0]
    words = _words(recording, scheduler)
    longest = max(lengths, key=lambda pair: pair[1], default=None)
    if longest is None:
        return
    name, length = longest
    if scheduler.interval == "epoch" and length * scheduler.frequency > scheduler.planned_epochs:
        follows = length == scheduler.planned_steps and re.search(r"stepping_batches|num_training|len\(", words)
        if follows or (_names_steps(name, words) and length >= scheduler.planned_steps):
            yield Finding(
                f"{scheduler.name} is stepped once an epoch ({count(scheduler.planned_epochs, 'epoch')} here), and its "
                f"{name} is {length:g}, which counts optimizer steps.",
                "Lightning steps schedulers once an epoch by default ('interval': 'epoch').",
                "{'scheduler': scheduler, 'interval': 'step'}",
                scheduler.place,
                "error" if follows else "warning",
            )
    elif scheduler.interval == "step" and length == scheduler.planned_epochs and _EPOCHS.search(words):
        yield Finding(
            f"{scheduler.name} is stepped with each batch, and its {name} is {length:g}, the number of epochs.",
            f"It is over after {length:g} of {count(scheduler.planned_steps, 'step')}.",
            "Count steps (self.trainer.estimated_stepping_batches), or use 'interval': 'epoch'.",
            scheduler.place,
        )


def _words(recording: Recording, scheduler: SchedulerSeen) -> str:
    """The code that makes the scheduler, and the assignments to the names that it uses."""
    method = recording.methods.get("configure_optimizers")
    tree = method_tree(method) if method else None
    if tree is None:
        return ""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _is_maker(n, scheduler)]
    if not calls:
        return ""
    text = " ".join(ast.unparse(call) for call in calls)
    for node in ast.walk(tree):
        named = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(named, ast.Name) and node.value not in calls:
            text += f" {ast.unparse(node.value)}" if re.search(rf"\b{named.id}\b", text) else ""
    return text


def _is_maker(node: ast.Call, scheduler: SchedulerSeen) -> bool:
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    source = scheduler.place.source if scheduler.place else ""
    return called == scheduler.name or (bool(called) and "sched" in called.lower() and called in source)


def _names_steps(name: str, words: str) -> bool:
    """Whether the code calls the length a number of steps (``total_steps`` alone is torch's own word)."""
    if name in ("num_training_steps", "num_warmup_steps", "warmup_steps", "max_steps"):
        return True
    values = re.findall(r"=\s*([^,)=]+)", words)
    return any(re.search(r"(?i)steps|stepping", v) for v in values)
