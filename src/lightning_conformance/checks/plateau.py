"""What a scheduler that waits for a plateau needs of the Trainer."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.schedulers import scheduler_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import LogCall, Recording


@check(family="optimization", severity="advice", since="0.2.0")
def plateau_heeds_validation(recording: Recording) -> Iterator[Finding]:
    """A scheduler that waits for a plateau of a validation metric works where validation is rare.

    ## How it judges
    Looks for ReduceLROnPlateau with a metric that only validation logs, stepped each epoch.

    ## Why it matters
    With `Trainer(check_val_every_n_epoch=2)` the first epoch ends without the metric, and Lightning stops the run.

    ## Example
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        schedule = {"scheduler": plateau, "monitor": "val_loss"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
    ```

    ## Use instead
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        schedule = {"scheduler": plateau, "monitor": "val_loss"}
        schedule["frequency"] = self.trainer.check_val_every_n_epoch
        return {"optimizer": optimizer, "lr_scheduler": schedule}
    ```

    ## Legitimate exceptions
    Left alone are a metric that training logs, too, and a configuration that speaks of `frequency`, `strict` or
    `check_val_every_n_epoch`: its author has thought of it.
    """
    waiting = [s for s in recording.all(SchedulerSeen) if s.known is not None and s.monitor]
    if not waiting:
        raise NotApplicable("no scheduler of the module waits for a plateau")
    validated = {c.name for c in recording.all(LogCall) if c.at.stage == "validate"}
    trained = {c.name for c in recording.all(LogCall) if c.at.stage == "train"}
    text = "".join(m.text for n, m in recording.methods.items() if n in ("configure_optimizers", "lr_scheduler_step"))
    for each in waiting:
        if (
            each.monitor in trained
            or each.monitor not in validated
            or any(word in text for word in ("frequency", "check_val_every", "strict"))
        ):
            continue
        yield Finding(
            f"{each.name} needs `{each.monitor}` at the end of each epoch; only validation logs it.",
            "With Trainer(check_val_every_n_epoch=2), or more, an epoch ends without it, and the run stops.",
            '"frequency": self.trainer.check_val_every_n_epoch',
            scheduler_place(recording, each),
            "advice",
        )
