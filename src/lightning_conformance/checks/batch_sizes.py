"""Any number of samples will do: a smaller last batch, other sizes, a single sample."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.recording.events_batches import SizeTried
from lightning_conformance.recording.model import Recording

_OF_ONE = ("Expected more than 1 value per channel", "Expected more than 1 spatial element")
_DROPS = ("squeeze", "squeeze_")


@check(family="data", severity="warning", since="0.2.0")
def last_smaller_batch_works(recording: Recording) -> Iterator[Finding]:
    """The last, smaller batch of an epoch works.

    ## How it judges
    Makes the last batch of each epoch smaller, where the kit makes the batches. If only that batch fails, the run is
    repeated with full batches, and the failure is reported here.

    ## Why it matters
    A data set is seldom a multiple of the batch size: the run stops at the end of its first epoch.

    ## Example
    ```python
    # batch: x: float[4,2,4], y: int[4]<3
    def forward(self, x):
        return self.net(x.view(4, 8))
    ```

    ## Use instead
    ```python
    # batch: x: float[4,2,4], y: int[4]<3
    def forward(self, x):
        return self.net(x.view(x.size(0), 8))  # or x.flatten(1)
    ```

    ## Legitimate exceptions
    With `drop_last=True` in every loader full batches are all there is.
    """
    failure = recording.ragged_failure
    if failure is not None:
        yield Finding(
            f"the last, smaller batch of an epoch fails: {failure.type}: {failure.message}",
            "The batch size is fixed in the code, or kept from an earlier batch; full batches work.",
            "Take the batch size from the batch (x.size(0)); if full batches are required, use drop_last=True.",
            failure.place,
            "warning",
            failure.traceback,
        )
    elif not recording.completed:
        raise Inconclusive("training does not complete (see training_completes)")
    elif len({step.batch_size for step in recording.steps}) < 2:
        raise NotApplicable("all batches had one size")


@check(family="data", severity="warning", since="0.2.0", regimes=("train", "ladder"))
def any_batch_size_works(train: Recording, ladder: Recording) -> Iterator[Finding]:
    """Batches of two, three or seven samples work as well as usual ones.

    ## How it judges
    Trains shortly with batches of other sizes, and validates with them.

    ## Why it matters
    The last batch of an epoch may have any number of samples, and the batch size is the first thing that is changed.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        losses = F.cross_entropy(self(x), y, reduction="none")
        return losses.topk(3).values.mean()  # the hardest samples
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        losses = F.cross_entropy(self(x), y, reduction="none")
        return losses.topk(min(3, len(losses))).values.mean()
    ```

    ## Legitimate exceptions
    An error that the code raises on purpose is respected. A larger batch than usual is advice.
    """
    if train.ragged_failure is not None:
        raise NotApplicable("a smaller batch fails (see last_smaller_batch_works)")
    _require_that_some_size_works(ladder)
    tried = [event for event in ladder.all(SizeTried) if event.size > 1]
    failed = [event for event in tried if event.failure is not None and not _on_purpose(event)]
    if not failed:
        return
    works = [event.size for event in tried if event.failure is None]
    worst = min(failed, key=lambda event: event.size > event.usual)
    assert worst.failure is not None
    yield Finding(
        f"a batch of {worst.size} samples fails in `{worst.hook}`, where {worst.usual} work: "
        f"{worst.failure.type}: {worst.failure.message}",
        f"The batch size is fixed in the code. Sizes that work: {', '.join(map(str, [worst.usual, *works]))}.",
        "Take the batch size from the batch (x.size(0)).",
        worst.failure.place,
        "warning" if worst.size < worst.usual else "advice",
        worst.failure.traceback,
    )


@check(family="data", severity="warning", since="0.2.0", regimes=("train", "ladder"))
def batch_of_one_works(train: Recording, ladder: Recording) -> Iterator[Finding]:
    """A batch of a single sample works.

    ## How it judges
    Trains shortly with a last batch of one sample, and validates on one.

    ## Why it matters
    One sample too many for the batch size, and the epoch ends with an error: `squeeze()` drops the batch dimension
    when it is 1, and BatchNorm cannot be trained on one value.

    ## Example
    ```python
    def forward(self, x):
        return self.net(x).squeeze()
    ```

    ## Use instead
    ```python
    # batch: x: float[B,1,8], y: int[B]<3
    def forward(self, x):
        return self.net(x).squeeze(1)
    ```

    ## Legitimate exceptions
    With `drop_last=True` training never sees such a batch; BatchNorm, and a loss that needs several samples, are
    advice. An error that the code raises on purpose is respected.
    """
    one = next((event for event in ladder.all(SizeTried) if event.size == 1), None)
    if one is None:
        raise NotApplicable("a usual batch has one sample")
    if one.failure is None:
        if one.loss is not None and one.loss != one.loss:
            yield Finding(
                "the loss of a batch of one sample is nan.",
                "A standard deviation or a mean over the other samples of the batch does not exist for one sample.",
                "Use drop_last=True in the training loader, or leave such a batch out.",
                train.method_place("training_step"),
                "advice",
            )
        return
    if _on_purpose(one):
        raise NotApplicable(f"the code refuses a batch of one sample: {one.failure.message}")
    others = [train.ragged_failure, *(event.failure for event in ladder.all(SizeTried) if event.size > 1)]
    if any(other is not None and other.place == one.failure.place for other in others):
        raise NotApplicable("other sizes fail, too (see last_smaller_batch_works and any_batch_size_works)")
    if any(text in one.failure.message for text in _OF_ONE):
        yield Finding(
            f"a batch of one sample cannot be trained on: {one.failure.type}: {one.failure.message}",
            "BatchNorm needs several values per channel while it trains.",
            "drop_last=True in the training loader, or another normalisation (LayerNorm, GroupNorm).",
            one.failure.place,
            "warning" if _makes_last_batch(train) else "advice",
            one.failure.traceback,
        )
        return
    dropped = find_call(train, [one.hook, "training_step", "forward", *train.methods], _DROPS)
    place = one.failure.place
    squeezes = dropped is not None and "squeeze" not in (place.source if place else "")
    yield Finding(
        f"a batch of one sample fails in `{one.hook}`: {one.failure.type}: {one.failure.message}",
        "`squeeze()` without a dimension drops the batch dimension when it is 1."
        if dropped is not None
        else "The code takes for granted that a batch has several samples.",
        "squeeze(-1): name the dimension that is to go" if dropped else "Keep the batch dimension, whatever its size.",
        dropped if squeezes else place,
        "warning",
        one.failure.traceback,
    )


def _require_that_some_size_works(ladder: Recording) -> None:
    """What fails with every size, usual ones perhaps among them, says nothing of sizes."""
    failures = [event.failure for event in ladder.all(SizeTried)]
    if failures and all(failure is not None for failure in failures):
        assert failures[0] is not None
        raise Inconclusive(f"a short fit fails with every size: {failures[0].type}: {failures[0].message}")


def _on_purpose(event: SizeTried) -> bool:
    place = event.failure.place if event.failure else None
    return place is not None and place.source.strip().startswith(("raise", "assert"))


def _makes_last_batch(train: Recording) -> bool:
    """Whether the module's own training loader may end with a batch of one."""
    loader = train.methods.get("train_dataloader")
    return loader is not None and "DataLoader(" in loader.text and "drop_last" not in loader.text
