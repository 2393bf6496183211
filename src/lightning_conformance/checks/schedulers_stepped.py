"""Every scheduler that is made is stepped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.schedulers import require_train, scheduler_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import HookCalled, Recording

_STEPS = re.compile(r"sched\w*(?:\[[^\]]*\])?\.step\w*\(|lr_schedulers\(|scheduler_step\(|sch\w*\.step\w*\(")


@check(family="optimization", severity="error", since="0.2.0", caused_by=("optimizer_configuration_is_read",))
def scheduler_is_stepped(recording: Recording) -> Iterator[Finding]:
    """Each scheduler that the module makes is stepped, by Lightning or by the module.

    ## How it judges
    Notes every scheduler that is made for one of the Trainer's optimizers, and counts the calls of its `step`.

    ## Why it matters
    A scheduler that is not returned, or not stepped in manual optimization, leaves the learning rate as it is.

    ## Example
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
        return optimizer
    ```

    ## Use instead
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
        return [optimizer], [scheduler]
    ```

    ## Legitimate exceptions
    A module that says somewhere that it steps its scheduler, and did not do so in this run, is believed.
    """
    schedulers = [s for s in recording.all(SchedulerSeen) if s.of_trainer and not s.part and s.steps is not None]
    if not schedulers:
        raise NotApplicable("the module makes no scheduler")
    require_train(recording)
    handed_over = [s for s in schedulers if s.known is not None]
    for each in schedulers:
        if each.steps or _says_that_it_steps(recording):
            continue
        if each.known is None:
            yield _not_returned(recording, each, bool(handed_over))
        elif not recording.automatic:
            yield _manual(recording, each)
        elif _is_offered(recording):
            yield _does_nothing(recording, each)


def _says_that_it_steps(recording: Recording) -> bool:
    def body(text: str) -> str:
        return text.partition("):\n")[2] or text.partition(":\n")[2]

    return any(
        _STEPS.search(body(method.text)) or (name == "lr_scheduler_step" and ".step" in body(method.text))
        for name, method in recording.methods.items()
    )


def _is_offered(recording: Recording) -> bool:
    called = any(event.name == "lr_scheduler_step" for event in recording.all(HookCalled))
    return called and "lr_scheduler_step" in recording.methods


def _not_returned(recording: Recording, scheduler: SchedulerSeen, others: bool) -> Finding:
    return Finding(
        f"{scheduler.name} is made and never stepped: Lightning does not know it.",
        "configure_optimizers does not return it" + (" with the others" if others else "") + ", nobody else steps it.",
        "return [optimizer], [scheduler]",
        scheduler_place(recording, scheduler),
        "warning" if others else "error",
    )


def _manual(recording: Recording, scheduler: SchedulerSeen) -> Finding:
    return Finding(
        f"{scheduler.name} was never stepped in {recording.epochs} epochs.",
        "automatic_optimization is False: Lightning then steps no scheduler, and the module does not either.",
        "self.lr_schedulers().step()  # in on_train_epoch_end, or after optimizer.step()",
        scheduler_place(recording, scheduler),
    )


def _does_nothing(recording: Recording, scheduler: SchedulerSeen) -> Finding:
    return Finding(
        f"{scheduler.name} was never stepped, although lr_scheduler_step was called.",
        "The module's own lr_scheduler_step takes the place of Lightning's, and does not step the scheduler.",
        "scheduler.step() if metric is None else scheduler.step(metric)",
        recording.method_place("lr_scheduler_step"),
    )
