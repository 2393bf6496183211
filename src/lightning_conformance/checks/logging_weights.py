"""The batch size by which Lightning weighs what is logged."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.logged import by_epoch, in_step, require_log_calls
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.model import LogCall, Recording, WarningSeen


@check(family="logging", severity="error", since="0.2.0", needs_steps=False, explains_crash=True)
def batch_size_is_right(recording: Recording) -> Iterator[Finding]:
    """Lightning weighs logged values with the number of samples in the batch.

    ## How it judges
    Compares the batch size that Lightning reads off a batch, where `self.log` is given none, with the true one.

    ## Why it matters
    Lightning takes the first dimension of the first tensor. Where that is time, a node or a channel, each batch has
    the same weight, and the mean of an epoch is off as soon as the last batch is smaller. In a batch that it cannot
    look into it finds no tensor, and the run stops.

    ## Example
    ```python
    from types import SimpleNamespace

    class Named(Model):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return SimpleNamespace(x=batch[0], y=batch[1])

        def training_step(self, batch, batch_idx):
            loss = F.cross_entropy(self(batch.x), batch.y)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss
    ```

    ## Use instead
    ```python
    from types import SimpleNamespace

    class Named(Model):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return SimpleNamespace(x=batch[0], y=batch[1])

        def training_step(self, batch, batch_idx):
            loss = F.cross_entropy(self(batch.x), batch.y)
            self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.y))
            return loss
    ```

    ## Legitimate exceptions
    A batch_size that is given is taken as it is: tokens or nodes may be meant.
    """
    failure = recording.failure
    if failure is not None and re.search(r"could not infer the batch_size", failure.message):
        yield Finding(
            "Lightning finds no batch size in the batch, and needs one for the mean of the epoch.",
            "The batch is an object without tensors that it knows how to look for.",
            "self.log(..., batch_size=len(batch))",
            failure.place,
        )
        return
    constant = list(_always_one_size(require_log_calls(recording)))
    yield from constant
    weighed = [c for c in require_log_calls(recording) if _is_weighed(c)]
    if not weighed and not constant:
        raise NotApplicable("no mean over the batches of an epoch is logged whose weights Lightning chooses")
    for stage in ("train", "validate"):
        wrong = [c for c in weighed if c.at.stage == stage and c.size is not None and c.weight != c.size]
        if wrong:
            yield _wrong(wrong)
            return
    if weighed and not any(c.size is not None for c in weighed):
        doubts = list(_in_doubt(recording, weighed))
        yield from doubts
        if not doubts:
            raise Inconclusive("how many samples a batch has cannot be told")


def _always_one_size(calls: list[LogCall]) -> Iterator[Finding]:
    """A batch_size that is given, and is the same for batches of different sizes."""
    means = [c for c in calls if c.batch_size is not None and by_epoch(c) and in_step(c) and c.reduction == "mean"]
    for name in dict.fromkeys(c.name for c in means):
        own = [c for c in means if c.name == name and c.size is not None]
        given, sizes = {c.batch_size for c in own}, {c.size for c in own}
        if len(given) == 1 and len(sizes) > 1:
            yield Finding(
                f"`{name}` is logged with batch_size={own[0].batch_size} for batches of {' and '.join(map(str, sizes))}"
                " samples.",
                "A constant gives each batch the same weight; it may be meant so.",
                f'self.log("{name}", value)  # Lightning reads the size off the batch',
                own[0].place,
                "advice",
            )


def _is_weighed(call: LogCall) -> bool:
    is_mean = call.reduction in ("mean", "avg") and call.kind in ("tensor", "number")
    return is_mean and by_epoch(call) and in_step(call) and call.batch_size is None and call.weight is not None


def _wrong(calls: list[LogCall]) -> Finding:
    call = calls[0]
    sizes = sorted({(c.weight, c.size) for c in calls if c.weight and c.size})
    seen = ", ".join(f"{weight} for {size}" for weight, size in sizes[:3])
    return Finding(
        f"{listed(dict.fromkeys(c.name for c in calls))} is weighed in `{call.at.hook}` with a wrong batch size: "
        f"{seen} samples.",
        "Lightning reads the batch size off the first dimension of the first tensor of the batch, which is not the "
        "number of samples here.",
        f'self.log("{call.name}", value, batch_size=...)  # the number of samples',
        call.place,
        "warning",
    )


def _in_doubt(recording: Recording, calls: list[LogCall]) -> Iterator[Finding]:
    doubts = [w for w in recording.all(WarningSeen) if "ambiguous collection" in w.message]
    if doubts:
        yield Finding(
            f"Lightning could not be sure of the batch size, and took {calls[0].weight}.",
            "The tensors of the batch differ in their first dimension.",
            f'self.log("{calls[0].name}", value, batch_size=...)  # the number of samples',
            calls[0].place,
            "advice",
        )
