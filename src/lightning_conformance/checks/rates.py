"""The learning rate of each optimizer step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count, number
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import OptimizerStepped, Recording


@check(family="optimization", since="0.2.0")
def learning_rate_stays_sane(recording: Recording) -> Iterator[Finding]:
    """The learning rate is positive for most of each epoch, and a schedule does not let it grow without end.

    ## How it judges
    Follows the learning rates of the optimizer steps: negative ones, epochs whose steps all have rate 0, and, where the
    module reads `max_steps`, rates that grow with every step.

    ## Why it matters
    An epoch at rate 0 trains nothing; a negative rate climbs the loss.

    ## Example
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1, epoch / 5))
        return [optimizer], [warmup]
    ```

    ## Use instead
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1, (epoch + 1) / 5))
        return [optimizer], [warmup]
    ```

    ## Legitimate exceptions
    A warm-up by steps may have rate 0 in its first step.
    """
    steps = [s for s in recording.all(OptimizerStepped) if s.learning_rates]
    if not steps:
        raise NotApplicable("no optimizer was stepped")
    made = list(recording.all(SchedulerSeen))
    place = made[0].place if made else recording.method_place("configure_optimizers")
    negative = [s for s in steps if min(s.learning_rates) < 0]
    if negative:
        low = number(min(min(s.learning_rates) for s in negative))
        yield Finding(
            f"the learning rate was negative in {len(negative)} of {count(len(steps), 'step')}, {low} at the lowest.",
            "The schedule runs past its end: each such step climbs the loss.",
            "max(0.0, ...) around the factor, and a length that fits the run",
            place,
        )
    for epoch in sorted({s.at.epoch for s in steps}):
        for index in sorted({s.optimizer for s in steps}):
            own = [s for s in steps if s.at.epoch == epoch and s.optimizer == index]
            if len(own) > 1 and all(rate == 0 for s in own for rate in s.learning_rates):
                yield Finding(
                    f"the learning rate was 0 in all {count(len(own), 'step')} of epoch {epoch}.",
                    "A warm-up that counts epochs from 0 wastes the first one, or the rate itself is 0.",
                    "lambda epoch: min(1.0, (epoch + 1) / warmup)  # or 'interval': 'step'",
                    place,
                )
                return
    yield from _growing(recording, steps, made)


def _growing(recording: Recording, steps: list[OptimizerStepped], made: list[SchedulerSeen]) -> Iterator[Finding]:
    text = " ".join(method.text for method in recording.methods.values())
    rates = [max(s.learning_rates) for s in steps if s.optimizer == 0]
    if "max_steps" not in text or not made or len(rates) < 4 or made[0].name in ("OneCycleLR", "CyclicLR"):
        return
    if all(b > a for a, b in pairwise(rates)) and rates[-1] > 2 * rates[0] > 0:
        yield Finding(
            f"the learning rate grew with every step, from {number(rates[0])} to {number(rates[-1])}.",
            "trainer.max_steps is -1 where the Trainer was given max_epochs: a decay over -1 steps grows.",
            "self.trainer.estimated_stepping_batches",
            made[0].place,
            "error" if rates[0] >= 0.5 * (rates[1] - rates[0]) else "warning",
        )
