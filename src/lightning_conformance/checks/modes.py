"""Layers that learn are in training mode while they do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, NotApplicable, Severity
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_parameters import LayerFacts
from lightning_conformance.recording.model import Place, Recording

_TRAINING_HOOKS = ("on_train_start", "on_train_epoch_start", "on_train_batch_start")
_MODE_HOOKS = ("on_validation_model_train", "on_validation_model_eval")


@check(family="parameters", severity="warning", since="0.2.0")
def modules_train_in_train_mode(recording: Recording) -> Iterator[Finding]:
    """Dropout and BatchNorm of what learns are in training mode in some training step of each epoch.

    ## How it judges
    Notes in which mode each layer runs that behaves differently in the two modes, while gradients are computed.

    ## Why it matters
    `from_pretrained()` and `.eval()` leave a network in evaluation mode, and since 2.2 Lightning does not undo this
    when training begins: the network is fine-tuned without dropout and with old statistics. A mode that is not put
    back after validation, or after sampling, has the same effect from then on.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 3), nn.Dropout())

    def on_train_epoch_end(self):
        self.eval()
        self.print(self(torch.zeros(1, 8, device=self.device)))
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 3), nn.Dropout())

    def on_train_epoch_end(self):
        self.eval()
        self.print(self(torch.zeros(1, 8, device=self.device)))
        self.train()
    ```

    ## Legitimate exceptions
    What is kept in evaluation mode on purpose is told by that: it is frozen, `train()` is overridden, or single
    layers (the BatchNorm layers alone) were switched. Lightning before 2.2 calls `train()` when a fit begins.
    """
    layers = [layer for layer in recording.all(LayerFacts) if layer.modes]
    if not layers:
        raise NotApplicable("no layer that ran in training behaves differently in evaluation mode")
    if "train" in recording.methods:
        raise NotApplicable("the module overrides train(), and so chooses the modes itself")
    suspects = [x for x in layers if x.learns and x.group != x.name and not all(ok for _, ok in x.modes)]
    for group, members in groupby(sorted(suspects, key=lambda x: x.group), key=lambda x: x.group):
        yield _in_evaluation(recording, group, list(members))


def _in_evaluation(recording: Recording, group: str, members: list[LayerFacts]) -> Finding:
    epochs = sorted({epoch for layer in members for epoch, ok in layer.modes if not ok})
    total = max(len(layer.modes) for layer in members)
    what = "the whole module" if group == "self" else f"`{group}`"
    seen = (
        f"{what} ran in evaluation mode in the training steps of {len(epochs)} of {count(total, 'epoch')}, with "
        f"{count(len(members), 'layer')} that behave differently in it: {listed(x.name for x in members)} "
        f"({members[0].kind})."
    )
    cause = "It is in evaluation mode when training begins, and nothing changes that: from_pretrained() and .eval()."
    if epochs[0] > 0:
        cause = "It was in training mode at first, and was not put back after something had called .eval()."
    owner = "self" if group == "self" else f"self.{group}"
    return Finding(seen, cause, f"{owner}.train()", _place(recording, members[0]), _severity(recording, group))


def _severity(recording: Recording, group: str) -> Severity:
    """A part that a training hook switches to evaluation mode, each time, is meant to be in it."""
    meant = group != "self" and find_call(recording, _TRAINING_HOOKS, {"eval"}) is not None
    return "advice" if meant else "warning"


def _place(recording: Recording, layer: LayerFacts) -> Place | None:
    for hook in _MODE_HOOKS:
        if hook in recording.methods:
            return recording.method_place(hook)
    return find_call(recording, recording.methods, {"eval", "from_pretrained"}) or layer.place
