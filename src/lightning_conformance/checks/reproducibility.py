"""The same seed gives the same run."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.recording.model import LossSeen, Recording


def loss_pairs(train: Recording, repeat: Recording) -> list[tuple[int, float, float]]:
    """Number of the step, and the loss of each of two runs from one seed."""
    firsts = [step.loss.value if step.loss else None for step in train.steps]
    seconds = [event.value for event in repeat.all(LossSeen)]
    pairs = enumerate(zip(firsts, seconds, strict=False))
    return [(index, a, b) for index, (a, b) in pairs if a is not None and b is not None]


def differing_losses(pairs: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """Those that differ by more than rounding."""
    return [(i, a, b) for i, a, b in pairs if a == a and abs(a - b) > 1e-4 * max(1.0, abs(a), abs(b))]


@check(family="reproducibility", severity="warning", regimes=("train", "repeat"))
def same_seed_same_losses(train: Recording, repeat: Recording) -> Iterator[Finding]:
    """Two runs from one seed see the same losses.

    ## How it judges
    Trains twice, each time with Python's, NumPy's and torch's random numbers seeded alike, and compares the loss of
    every step.

    ## Why it matters
    A result that cannot be repeated cannot be compared: a better number may be luck.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        generator = torch.Generator()
        generator.seed()
        noise = torch.randn(x.shape, generator=generator)
        return F.cross_entropy(self(x + 0.1 * noise), y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        noise = torch.randn_like(x)
        return F.cross_entropy(self(x + 0.1 * noise), y)
    ```

    ## Legitimate exceptions
    Some operations add in an order that differs from run to run; differences within rounding are not reported.
    """
    pairs = loss_pairs(train, repeat)
    if not pairs:
        raise NotApplicable("training_step returns no loss to compare")
    differ = differing_losses(pairs)
    if differ:
        step, one, other = differ[0]
        yield Finding(
            f"{len(differ)} of {len(pairs)} losses differ between two runs from one seed; "
            f"that of step {step} was {one:.6g} and {other:.6g}.",
            "Random numbers come from a source that the seed does not reach.",
            "lightning.seed_everything(seed)  # and no generator of one's own that is not seeded from it",
            train.method_place("training_step"),
            "warning",
        )
