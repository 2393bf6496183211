"""Schedulers are made for the run that they are used in: as long as it is, counted as Lightning steps them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.schedulers_length import (
    MANY_EPOCHS,
    TOO_MANY_EPOCHS,
    counts_steps,
    differing,
    lengths,
    scheduler_call,
    speaks_of_epochs,
)
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.recording.events_schedulers import SchedulersBuilt, SchedulerSeen, TrainerAsked
from lightning_conformance.recording.model import OptimizerStepped, Place, Recording

_BY_STEP = '{"scheduler": scheduler, "interval": "step"}'
_ESTIMATE = "self.trainer.estimated_stepping_batches  # known in configure_optimizers"


@check(family="optimization", severity="error", since="0.2.0", regimes=("train", "horizons"))
def scheduler_fits_the_run(train: Recording, horizons: Recording) -> Iterator[Finding]:
    """A scheduler counts what Lightning counts, epochs or steps, and knows how many there are.

    ## How it judges
    Compares the numbers that a scheduler was made with in runs of several lengths: which follow the number of batches,
    and which are negative or infinite because the Trainer did not know them yet.

    ## Why it matters
    A schedule in steps that moves once an epoch (the default) hardly begins: warm-up never ends, the rate never decays.

    ## Example
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        steps = self.trainer.estimated_stepping_batches
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return [optimizer], [cosine]
    ```

    ## Use instead
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        steps = self.trainer.estimated_stepping_batches
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return [optimizer], [{"scheduler": cosine, "interval": "step"}]
    ```

    ## Legitimate exceptions
    A fixed number of steps is told from one of epochs by its size and its name only.
    """
    schedulers = [s for s in train.all(SchedulerSeen) if s.known is not None]
    if not schedulers:
        raise NotApplicable("Lightning has no scheduler of the module")
    other_batches, more_epochs = list(horizons.all(SchedulersBuilt))
    for each in schedulers:
        unknown = _unknown_length(train, each)
        if unknown:
            yield unknown
            continue
        by_epoch = _moves_by_epoch(train, each)
        if by_epoch is None:
            continue
        with_batches, with_epochs = (_differing(each, built) for built in (other_batches, more_epochs))
        if by_epoch:
            yield from _too_slow(train, each, with_batches)
        elif with_epochs and not with_batches and train.automatic and other_batches.batches != more_epochs.batches:
            yield _too_fast(each, with_epochs[0])


def _differing(scheduler: SchedulerSeen, built: SchedulersBuilt) -> list[str]:
    index = scheduler.known
    if index is None or index >= len(built.horizons):
        return []
    return differing(scheduler.horizon, built.horizons[index])


def _moves_by_epoch(recording: Recording, scheduler: SchedulerSeen) -> bool | None:
    """Whether it is stepped once an epoch; None where nobody stepped it."""
    if scheduler.monitor:
        return None
    if recording.automatic and "lr_scheduler_step" not in recording.methods:
        return scheduler.interval == "epoch"
    if not scheduler.steps:
        return None
    return scheduler.steps <= recording.epochs


def _unknown_length(recording: Recording, scheduler: SchedulerSeen) -> Finding | None:
    asked = list(recording.all(TrainerAsked))
    if not asked:
        return None
    bad = [
        (name, value)
        for name, value in scheduler.horizon.items()
        if math.isinf(value) or (value < 0 and value % 1 == 0)
    ]
    said = next((a for a in asked for _, value in bad if value * a.value > 0), None)
    if said is None:
        said = _shown_by_rates(recording, scheduler, asked)
    if said is None:
        return None
    return Finding(
        f"{scheduler.name} is made for a run of {_length(said)}.",
        f"`trainer.{said.attribute}` was {said.value:g} when it was read: "
        + (
            "the loaders are not there yet in configure_optimizers."
            if math.isinf(said.value)
            else f"the Trainer has no {said.attribute} unless the user gave one."
        ),
        _ESTIMATE,
        said.place or scheduler.place,
    )


def _length(asked: TrainerAsked) -> str:
    unit = "epochs" if asked.attribute == "max_epochs" else "steps"
    return f"infinitely many {unit}" if math.isinf(asked.value) else f"{asked.value:g} {unit}"


def _shown_by_rates(recording: Recording, scheduler: SchedulerSeen, asked: list[TrainerAsked]) -> TrainerAsked | None:
    """A length that was not known and shows in the learning rates: they leave their range, or never move."""
    rates = [max(step.learning_rates) for step in recording.all(OptimizerStepped) if step.learning_rates]
    top = max(scheduler.rates, default=0.0)
    negative = next((a for a in asked if a.value < 0 and a.attribute == "max_steps"), None)
    leaves = bool(rates) and ((rates[-1] == max(rates) and rates[-1] > 1.01 * top) or min(rates) < 0)
    # Torch's other schedulers start from rates of their own, or rise by design.
    if negative and top and leaves and "LambdaLR" in scheduler.name:
        return negative
    still = len(rates) > 2 and len(set(rates)) == 1 and (scheduler.steps or 0) > 1 and "LambdaLR" in scheduler.name
    return next((a for a in asked if math.isinf(a.value) and a.at.hook == "configure_optimizers" and still), None)


def _too_slow(recording: Recording, scheduler: SchedulerSeen, with_batches: list[str]) -> Iterator[Finding]:
    text = scheduler_call(recording, scheduler)
    cause = "Lightning steps a scheduler once an epoch unless its interval is `step`; this one is made for steps."
    known = dict(lengths(scheduler))
    longest = max([v for v in known.values() if math.isfinite(v)] + [float(scheduler.warmup)], default=0.0)
    one_cycle = scheduler.name == "OneCycleLR"
    if with_batches:
        name = with_batches[0]
        seen = f"{scheduler.name} moves once an epoch, but its {_words(name)} follows the number of batches."
        yield Finding(seen, cause, _BY_STEP, scheduler.place)
    elif one_cycle and "steps_per_epoch" in text:
        yield Finding("OneCycleLR moves once an epoch, and counts the steps of one.", cause, _BY_STEP, scheduler.place)
    elif longest >= MANY_EPOCHS and counts_steps(text):
        seen = f"{scheduler.name} moves once an epoch: what it counts takes {longest:g} epochs."
        level = "error" if longest >= 2 * MANY_EPOCHS else "warning"
        yield Finding(seen, cause, _BY_STEP, scheduler.place, level)  # type: ignore[arg-type]
    elif speaks_of_epochs(text):
        return
    elif longest >= TOO_MANY_EPOCHS or scheduler.warmup >= MANY_EPOCHS:
        many = max(longest, scheduler.warmup)
        seen = f"{scheduler.name} moves once an epoch: what it counts takes {many:g} epochs."
        yield Finding(
            seen, "The number looks like one of steps; the interval is `epoch`.", _BY_STEP, scheduler.place, "warning"
        )
    elif one_cycle:
        seen = f"OneCycleLR moves once an epoch, {longest:g} epochs long."
        cause = "It is meant to be stepped after each batch; Lightning steps it once an epoch, and warns."
        yield Finding(seen, cause, _BY_STEP, scheduler.place, "warning")


def _too_fast(scheduler: SchedulerSeen, name: str) -> Finding:
    return Finding(
        f"{scheduler.name} moves with each batch, but its {_words(name)} is a number of epochs.",
        "The interval is `step`; the schedule is over, or begins anew, after as many batches as the run has epochs.",
        '"interval": "epoch", or a length of self.trainer.estimated_stepping_batches',
        scheduler.place,
        "warning",
    )


def _words(name: str) -> str:
    return f"`{name.rpartition('.')[2].lstrip('_')}`"


def scheduler_place(recording: Recording, scheduler: SchedulerSeen) -> Place | None:
    """Where it was made, or else where optimizers are configured."""
    return scheduler.place or recording.method_place("configure_optimizers")


def require_train(recording: Recording) -> None:
    """The run has come to an end of an epoch.

    Raises:
        Inconclusive: It has not.
    """
    if not recording.completed:
        raise Inconclusive("the run did not come to its end")
