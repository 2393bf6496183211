"""The Trainer's other entry points: validate, test and predict."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.recording.events_evaluation import EntryTried
from lightning_conformance.recording.model import Recording


@check(
    family="evaluation",
    since="0.2.0",
    regimes=("train", "evaluate"),
    depends_on_guess=True,
)
def evaluation_runs_outside_fit(train: Recording, evaluate: Recording) -> Iterator[Finding]:
    """`Trainer.validate`, `test` and `predict` run where the module has a step for them.

    ## How it judges
    Calls each of them on a trained instance. Outside of `fit` Lightning evaluates in inference mode, where not even
    `torch.enable_grad()` gives gradients.

    ## Why it matters
    A test step is first run when training is over, after days.

    ## Example
    ```python
    def validation_step(self, batch, batch_idx):
        with torch.enable_grad():
            x = batch[0].requires_grad_()
            slope = torch.autograd.grad(self(x).sum(), x)[0]
    ```

    ## Use instead
    ```python
    def validation_step(self, batch, batch_idx):
        with torch.inference_mode(False), torch.enable_grad():
            x = batch[0].clone().requires_grad_()
            slope = torch.autograd.grad(self(x).sum(), x)[0]
    ```

    ## Legitimate exceptions
    A step that fails on batches of another step is not blamed: the check is inconclusive.
    """
    tried = list(evaluate.all(EntryTried))
    unfed = []
    for event in tried:
        failure = event.failure
        if failure is None:
            if event.nothing:
                yield _nothing_predicted(train)
            continue
        if failure.environment or not (event.own_batches or _is_own_fault(failure.type, failure.message, train)):
            unfed.append(f"Trainer.{event.entry}: {failure.type}: {failure.message.splitlines()[0]}")
            continue
        yield _entry_fails(train, event)
    if unfed and len(unfed) == len(tried):
        raise Inconclusive(f"the batches of another step do not fit: {'; '.join(unfed)}")


def _nothing_predicted(train: Recording) -> Finding:
    return Finding(
        "predict_step returned None for every batch: Trainer.predict gives nothing.",
        "predict_step has no return.",
        "return self(batch)",
        train.method_place("predict_step"),
        "warning",
    )


def _needs_gradient(message: str) -> bool:
    return "does not require grad" in message or "nference tensor" in message or "nference mode" in message


def _is_own_fault(kind: str, message: str, train: Recording) -> bool:
    """Whether an error has nothing to do with what the step was fed."""
    name = train.subject.rpartition(":")[2].partition("#")[0].rpartition(".")[2]
    about_self = kind == "AttributeError" and f"'{name}' object" in message
    return (
        _needs_gradient(message)
        or about_self
        or kind in ("NameError", "NotImplementedError", "MisconfigurationException")
    )


def _entry_fails(train: Recording, event: EntryTried) -> Finding:
    failure = event.failure
    assert failure is not None
    if _needs_gradient(failure.message):
        cause = (
            "Outside of fit, Lightning evaluates in inference mode: torch.enable_grad() gives no gradients there, and "
            "what was made in it cannot enter a graph."
        )
        fix = "with torch.inference_mode(False), torch.enable_grad(): ...  # on a clone of the batch"
    else:
        cause, fix = f"{event.step} was never run by fit.", ""
    return Finding(
        f"Trainer.{event.entry} raises {failure.type}: {failure.message.splitlines()[0]}",
        cause,
        fix,
        failure.place or train.method_place(event.step),
        detail=failure.traceback,
    )
