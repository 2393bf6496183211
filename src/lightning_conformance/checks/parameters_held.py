"""Every parameter that is meant to learn is held by an optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_attribute_assignment, optimizer_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import OptimizerStepped, ParameterFacts, Place, Recording


@check(family="parameters", since="0.2.0", depends_on_guess=True)
def parameters_are_in_an_optimizer(recording: Recording) -> Iterator[Finding]:
    """Every parameter that gets a gradient is in an optimizer.

    ## How it judges
    Compares the parameters that the loss reaches with those that the optimizers hold, while they are stepped.

    ## Why it matters
    The gradient is computed, and nothing is done with it. This happens to layers that are left out of the optimizer's
    list, that are created or replaced after it was made, that are unfrozen later, or of which it holds a copy.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.encoder(x).relu())

    def configure_optimizers(self):
        return torch.optim.SGD(self.head.parameters(), lr=0.1)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.encoder(x).relu())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    ```

    ## Legitimate exceptions
    What the module steps by itself, and what changes all the same, is left alone. To train a part only, freeze the
    rest: `self.backbone.requires_grad_(False)`.
    """
    if not recording.optimizers:
        raise NotApplicable("there is no optimizer")
    if not recording.trainable:
        raise NotApplicable("the module has no trainable parameter")
    left = [p for p in recording.trainable if _is_left_out(p)]
    for cause, group in groupby(sorted(left, key=_cause), key=_cause):
        yield _left_out(recording, cause, list(group))


def _is_left_out(parameter: ParameterFacts) -> bool:
    wanted = parameter.gradient == "nonzero" or parameter.in_graph
    return wanted and not parameter.optimizers and not parameter.changed


def _cause(parameter: ParameterFacts) -> str:
    if parameter.late:
        return "late"
    return "thawed" if parameter.thawed else "left out"


def _left_out(recording: Recording, cause: str, members: list[ParameterFacts]) -> Finding:
    configure = optimizer_place(recording, {o.name for o in recording.optimizers})
    first, place = members[0], configure or members[0].place
    optimizer = recording.optimizers[0].name
    everything = f"torch.optim.{optimizer}(self.parameters(), ...)"
    if cause == "late":
        why = "They were created, or put in the place of others, after configure_optimizers had run."
        fix, place = "Create them in __init__, setup or configure_model.", _made_anew(recording, first) or configure
    elif cause == "thawed":
        why = (
            "They were frozen when configure_optimizers ran, which took only what required a gradient; they were "
            "unfrozen later, and nobody told the optimizer."
        )
        fix = f"{everything}  # what is frozen gets no gradient, and is left alone; or add_param_group on unfreezing"
    elif not any(o.parameters for o in recording.optimizers) and any(o.unregistered for o in recording.optimizers):
        why = "The optimizer holds none of the module's parameters: it was made from a copy, or from other layers."
        fix = everything
    else:
        why = "configure_optimizers does not give them to an optimizer."
        fix = f"{everything}  # or freeze them: requires_grad_(False)"
    steps = count(sum(1 for _ in recording.all(OptimizerStepped)), "optimizer step")
    total = count(len(recording.trainable), "trainable parameter")
    seen = f"{len(members)} of {total} get a gradient and are in no optimizer: {listed(p.name for p in members)}"
    return Finding(f"{seen} (in {steps}).", why, fix, place)


def _made_anew(recording: Recording, parameter: ParameterFacts) -> Place | None:
    """Where it is assigned, outside of the constructor."""
    later = [name for name in recording.methods if name != "__init__"]
    return find_attribute_assignment(recording, later, {parameter.name.partition(".")[0]}) or parameter.place
