"""The batch is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, Inconclusive, Severity
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_operations import BatchChanged
from lightning_conformance.recording.model import Recording

_BEFORE_STEP = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "on_train_batch_start",
)


@check(family="data", since="0.2.0", regimes=("train", "operations"))
def batch_is_left_as_it_was(train: Recording, operations: Recording) -> Iterator[Finding]:
    """`training_step` does not change its batch.

    ## How it judges
    Compares the tensors of the batch before and after each step, over two epochs of the same batches.

    ## Why it matters
    Where the data set hands out its own tensors, the change lasts: the next epoch sees data that were changed
    already, and changes them again.

    ## Example
    ```python
    def train_dataloader(self):
        batches = [(torch.rand(4, 8), torch.arange(4) % 3) for _ in range(4)]
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x.mul_(0.5)
        return F.cross_entropy(self(x), y)
    ```

    ## Use instead
    ```python
    def train_dataloader(self):
        batches = [(torch.rand(4, 8), torch.arange(4) % 3) for _ in range(4)]
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = x * 0.5
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    A batch that `on_after_batch_transfer` changes is a copy on a device: advice. So is a change that makes no
    difference the second time (ignored labels set to -100), or that your own loader does not hand out again.
    """
    if not operations.tape:
        raise Inconclusive("no training step was seen")
    changes = list(operations.all(BatchChanged))
    for part in dict.fromkeys(event.part for event in changes):
        yield _changed(train, part, [event for event in changes if event.part == part])


def _changed(train: Recording, part: str, events: list[BatchChanged]) -> Finding:
    again = any(event.lasting for event in events)
    first, hook = events[0], ""
    level: Severity = "advice" if not again else "error" if first.own_data else "warning"
    if first.before_step:
        hook = next((name for name in _BEFORE_STEP if name in train.methods), "")
        # A batch that was moved to a device is a copy.
        level = level if hook == _BEFORE_STEP[0] else "advice"
    what = "the next epoch got the changed values, and they were changed again" if again else "it was harmless here"
    kept = "" if first.own_data else " A data set that keeps its tensors, and gives views of them, is changed by it."
    return Finding(
        f"`{part}` was changed in place {f'by `{hook}` ' if hook else ''}in {count(len(events), 'step')}; {what}.",
        "An operation in place (`x.mul_()`, `x += 1`, `x[mask] = 0`) writes into the tensor that the data set gave."
        + kept,
        "Make a new tensor (x = x * 0.5, x = x.masked_fill(mask, 0)), or change x.clone().",
        first.place or train.method_place(hook or "training_step"),
        level,
    )
