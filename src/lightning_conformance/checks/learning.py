"""Learning: two dozen steps on one batch lower the loss."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import number
from lightning_conformance.recording.model import LossSeen, OptimizerStepped, Recording

_FEW = 5


@check(
    family="learning",
    severity="advice",
    since="0.2.0",
    regimes=("train", "overfit"),
    caused_by=("weights_update", "loss_requires_grad", "loss_takes_raw_scores"),
)
def loss_decreases_on_one_batch(train: Recording, overfit: Recording) -> Iterator[Finding]:
    """Two dozen steps on one batch lower its loss.

    ## How it judges
    Trains twenty-four steps on one batch, and compares the losses of the first and of the last five steps.

    ## Why it matters
    A model that cannot learn one batch by heart will not learn a data set: the learning rate is far too small or too
    large, the gradient does not reach the layers that matter, or the loss has the wrong sign.

    ## Example
    ```python
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-7)
    ```

    ## Use instead
    ```python
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    ```

    ## Legitimate exceptions
    The loss of an adversarial or contrastive model, or with much noise or a long warm-up, need not fall: the check
    never fails. Manual optimization is not judged, since the loss that it returns may be any.
    """
    if not train.automatic:
        raise NotApplicable("manual optimization: what training_step returns need not be a loss")
    if not train.optimizers:
        raise NotApplicable("configure_optimizers returned no optimizer")
    losses = [event.value for event in overfit.all(LossSeen) if event.value is not None]
    if len(losses) < 3 * _FEW:
        raise NotApplicable("training_step returns no loss to compare")
    first, last = fmean(losses[:_FEW]), fmean(losses[-_FEW:])
    if last < first - 1e-3 * abs(losses[0]) or min(losses[-_FEW:]) < losses[0] - 1e-2 * abs(losses[0]):
        return
    rates = [max(step.learning_rates) for step in train.all(OptimizerStepped) if step.learning_rates]
    at = f" The learning rate was {number(max(rates))} at most." if rates else ""
    yield Finding(
        f"{len(losses)} steps on one batch took the loss from {number(losses[0])} to {number(losses[-1])} "
        f"(mean of the first five {number(first)}, of the last five {number(last, first)}).",
        f"The step is too small or too large, the loss has the wrong sign, or the gradient reaches too little.{at}",
        "Try learning rates ten times larger and smaller, and look at the gradients.",
        train.method_place("configure_optimizers") or train.method_place("training_step"),
        "advice",
    )
