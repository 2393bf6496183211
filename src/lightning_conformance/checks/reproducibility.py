"""The same seed gives the same run."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.recording.model import Compared, Recording


@check(family="reproducibility", severity="warning", regimes=("train", "repeat"))
def same_seed_same_losses(train: Recording, repeat: Recording) -> Iterator[Finding]:
    """Two runs from one seed see the same losses.

    ## What it does
    Trains twice, each time with Python's, NumPy's and torch's random numbers seeded alike, and compares the loss of
    every step.

    ## Why is this bad
    A result that cannot be repeated cannot be compared: a better number may be luck.

    ## Example
    ```python
    self.generator = torch.Generator()
    self.generator.seed()
    ```

    ## Use instead
    ```python
    self.generator = torch.Generator()
    self.generator.manual_seed(self.hparams.seed)
    ```

    ## Known problems
    Some operations add in an order that differs from run to run; differences within rounding are not reported.
    """
    pairs = [(c, c.first, c.second) for c in repeat.all(Compared) if c.first is not None and c.second is not None]
    if not pairs:
        raise NotApplicable("training_step returns no loss to compare")
    differ = [(c, a, b) for c, a, b in pairs if a == a and abs(a - b) > 1e-4 * max(1.0, abs(a), abs(b))]
    if differ:
        what, one, other = differ[0]
        yield Finding(
            f"{len(differ)} of {len(pairs)} losses differ between two runs from one seed; "
            f"the {what.what} was {one:.6g} and {other:.6g}.",
            "Random numbers come from a source that the seed does not reach.",
            "lightning.seed_everything(seed)  # and no generator of one's own that is not seeded from it",
            train.method_place("training_step"),
            "warning",
        )
