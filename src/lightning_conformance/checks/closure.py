"""Every optimizer step runs the closure, and a backward pass happens before each step."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.closure_automatic import judge_automatic
from lightning_conformance.checks.closure_manual import judge_manual
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.recording.model import Recording


@check(family="optimization", needs_steps=False, explains_crash=True)
def closure_executed(recording: Recording) -> Iterator[Finding]:
    """Every optimizer step runs the closure, and a backward pass happens before each step.

    ## How it judges
    Follows the order of `training_step`, backward passes, `zero_grad` and optimizer steps. In automatic
    optimization Lightning's closure (training_step, zero_grad, backward) must run in each step; in manual
    optimization each step needs a gradient to apply, and each backward pass a step that uses it.

    ## Why it matters
    A step without a gradient changes nothing; a step before the new gradient exists applies the old one again.

    ## Example
    ```python
    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer.step()
    ```

    ## Use instead
    ```python
    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer.step(closure=optimizer_closure)
    ```

    ## Legitimate exceptions
    What is harmless in this run, but not under gradient accumulation, mixed precision or several processes, is a
    warning.
    """
    if recording.automatic:
        yield from judge_automatic(recording)
    else:
        yield from judge_manual(recording)
