"""What several processes tell the outside: metrics of one rank, and files that all of them write."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.distributed import ends
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.checks.wording import listed, number
from lightning_conformance.recording.events_logging import Monitored
from lightning_conformance.recording.events_ranks import MetricDiffers, WrittenEverywhere
from lightning_conformance.recording.model import LogCall, Recording

_SCHEDULERS = ("ReduceLROnPlateau",)


@check(family="distributed")
def monitored_metrics_are_reduced(recording: Recording) -> Iterator[Finding]:
    """What schedulers and callbacks monitor is the same number on every rank.

    ## How it judges
    Trains on two processes, and compares the metrics of an epoch that each has in the end. A metric that the module's
    own scheduler monitors, and that differs, is an error; of others, it is told that they are of one part of the data.

    ## Why it matters
    Without `sync_dist=True`, a rank knows its own part of the validation data. ReduceLROnPlateau then gives each rank a
    rate of its own, and the models go apart.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "val_loss"}
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y), sync_dist=True)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "val_loss"}
    ```

    ## Legitimate exceptions
    Callbacks, which decide by the value of one rank or of any, and monitors that the training script gives to the
    Trainer are advice.
    """
    ends(recording)
    schedulers = {event.key: event.owner for event in recording.all(Monitored) if event.owner in _SCHEDULERS}
    others = []
    for differ in recording.all(MetricDiffers):
        call = _epoch_call(recording, differ.name)
        if differ.name in schedulers:
            said = " and ".join(number(value) for value in differ.values)
            yield Finding(
                f"{schedulers[differ.name]} monitors `{differ.name}`, which is {said} on the ranks.",
                "Each rank has the mean of its own part of the data, and changes its rate by that.",
                f'self.log("{_plain(differ.name)}", value, on_epoch=True, sync_dist=True)',
                call.place if call else None,
            )
        elif call is not None:
            others.append((differ.name, call))
    if others:
        names = listed(dict.fromkeys(name for name, _ in others))
        yield Finding(
            f"{names}: each rank has the value of its own part of the data, and that of rank 0 is logged.",
            "Without sync_dist=True, self.log does not reduce over the ranks.",
            f'self.log("{_plain(others[0][0])}", value, on_epoch=True, sync_dist=True)',
            others[0][1].place,
            "advice",
        )


def _epoch_call(recording: Recording, name: str) -> LogCall | None:
    """The call that gave an epoch its value; None where the value is that of a single batch."""
    for call in recording.all(LogCall):
        if call.name not in (name, _plain(name)) or name == f"{call.name}_step":
            continue
        is_step = call.at.stage == "train" and call.at.batch >= 0
        if call.on_epoch or (call.on_epoch is None and not is_step):
            return call
    return None


def _plain(name: str) -> str:
    return name.removesuffix("_epoch")


@check(family="distributed", severity="warning")
def one_rank_writes(recording: Recording) -> Iterator[Finding]:
    """What is written outside of the run is written by one rank.

    ## How it judges
    Trains on two processes, and looks for lines of the module that open one and the same file for writing, or print, on
    both.

    ## Why it matters
    Processes that write one file at the same time leave parts of each in it; what is printed is there once a process.

    ## Example
    ```python
    def on_train_epoch_end(self):
        torch.save(self.net.state_dict(), "best.pt")
    ```

    ## Use instead
    ```python
    def on_train_epoch_end(self):
        if self.trainer.is_global_zero:
            torch.save(self.net.state_dict(), "best.pt")
    ```

    ## Legitimate exceptions
    That it is printed once a process is advice. Files that C++ code opens are not seen.
    """
    ends(recording)
    printed = []
    for written in recording.all(WrittenEverywhere):
        if not written.what:
            printed.append(written)
            continue
        yield Finding(
            f"every rank writes `{written.what}`.",
            "The line runs in each process.",
            "if self.trainer.is_global_zero: ...  # or the rank in the file's name",
            written.place,
            "warning",
        )
    if printed:
        yield Finding(
            f"every rank prints: {', '.join(f'line {each.place.line}' for each in printed)}.",
            "The line runs in each process: print says the same thing once for each.",
            "self.print(...), or rank_zero_info(...)",
            printed[0].place,
            "advice",
        )
