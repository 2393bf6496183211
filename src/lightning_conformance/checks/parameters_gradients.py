"""Every trainable parameter gets a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.parameters_causes import alive, by_cause
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, step_methods
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Severity
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import BackwardRan, BatchFacts, ParameterFacts, Place, Recording

_ENOUGH_BATCHES = 3
_CUTS = (
    "detach",
    "detach_",
    "numpy",
    "item",
    "no_grad",
    "inference_mode",
    "tensor",
    "as_tensor",
    "from_numpy",
    "round",
)
_FLAT = ("round", "floor", "ceil", "trunc", "sign")
_CAUSES: dict[str, tuple[str, str]] = {
    "zero gradient": (
        "They take part in the loss, and their gradient was exactly zero in every step.",
        "Look for a dead activation, a multiplication by zero, a rounding, or a softmax over one element between them "
        "and the loss.",
    ),
    "not differentiated": (
        "The loss reaches them, and no backward pass gave them a gradient.",
        "Backward on the whole loss.",
    ),
    "cut off": (
        "Their module ran in training_step, but the loss does not reach them: detach(), no_grad, NumPy, or a result "
        "that is not used.",
        "Remove the cut, or freeze them: requires_grad_(False)",
    ),
    "unused": (
        "Their module did not run in training_step: they take no part in the loss. With several processes (ddp) "
        "this is an error.",
        "Remove them, use them, or freeze them: requires_grad_(False)",
    ),
}


@check(family="parameters", severity="warning", since="0.2.0", depends_on_guess=True)
def every_parameter_gets_a_gradient(recording: Recording) -> Iterator[Finding]:
    """Every trainable parameter gets a gradient in some step.

    ## How it judges
    Gathers, over all backward passes of the run, which trainable parameters got a gradient other than zero, and says
    of the others whether their layer ran, and whether the loss reaches it.

    ## Why it matters
    A layer that is never used, or whose output is detached, does not learn. On one device nothing is said; with several
    processes the second batch is an error.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.encoder(x).relu().detach())
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.encoder(x).relu())
    ```

    ## Legitimate exceptions
    A branch that other data would take gets no gradient here. One parameter of a layer whose others learn may have an
    exactly zero gradient for good reason (a bias before BatchNorm): that is advice.
    """
    finished = len(list(recording.all(BatchFacts)))
    if recording.failure is not None and finished < _ENOUGH_BATCHES:
        raise Inconclusive(f"the run stopped after {count(finished, 'batch', 'batches')} (see training_completes)")
    if not recording.trainable:
        raise NotApplicable("the module has no trainable parameter")
    if not any(p.gradient == "nonzero" or p.changed for p in recording.trainable):
        raise Inconclusive("no parameter got a gradient (see weights_update)")
    without = [p for p in recording.trainable if p.gradient != "nonzero" and not p.switched_off]
    still = [p for p in without if not p.changed or p.gradient == "zero"]
    for cause, members in by_cause(recording, still):
        if cause in _CAUSES:
            yield _without_gradient(recording, cause, members)
    by_hand = [p for p in without if p not in still and not p.in_graph and not p.optimizers]
    if by_hand and any(recording.all(BackwardRan)):
        yield _moved_by_hand(by_hand)


def _without_gradient(recording: Recording, cause: str, members: list[ParameterFacts]) -> Finding:
    text, fix = _CAUSES[cause]
    severity: Severity = "warning"
    if cause == "zero gradient" and all(alive(recording, p) for p in members):
        severity = "advice"
    if recording.batch_source == "inferred":
        text += f" The batch was inferred ({recording.batch_text}); with your data it may be otherwise."
    total = count(len(recording.trainable), "trainable parameter")
    seen = f"{len(members)} of {total} got no gradient: {listed(p.name for p in members)}."
    if cause == "zero gradient":
        seen = f"{len(members)} of {total} had a gradient of zero: {listed(p.name for p in members)}."
    return Finding(seen, text, fix, _place(recording, cause, members[0]), severity)


def _moved_by_hand(members: list[ParameterFacts]) -> Finding:
    return Finding(
        f"{count(len(members), 'trainable parameter')} changed without a gradient: {listed(p.name for p in members)}.",
        "They are moved by hand, as an average of others is; with several processes (ddp) a trainable parameter "
        "without a gradient is an error.",
        "Freeze them: requires_grad_(False)",
        members[0].place,
        "advice",
    )


def _place(recording: Recording, cause: str, member: ParameterFacts) -> Place | None:
    if cause == "cut off":
        return find_call(recording, step_methods(recording), _CUTS) or member.place
    if cause == "zero gradient":
        return find_call(recording, step_methods(recording), _FLAT) or member.place
    return member.place
