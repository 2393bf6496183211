"""What is frozen stays as it is, and what should be frozen is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_assignment, find_call
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_parameters import FreezeWithoutEffect, FrozenMoved, LayerFacts
from lightning_conformance.recording.model import Place, Recording

_FREEZING = ("requires_grad_", "freeze", "no_grad", "inference_mode")
# Whoever sets statistics anew or leaves a norm layer in training mode by name wants them to adapt.
_ADAPTING = ("reset_running_stats",)


@check(family="parameters", since="0.2.0")
def frozen_parameters_stay_frozen(recording: Recording) -> Iterator[Finding]:
    """What is frozen does not change, and what was meant to be frozen is.

    ## How it judges
    Looks for parameters that require no gradient and that an optimizer moves all the same, for frozen normalization
    layers whose running statistics follow the training data, and for assignments that look like freezing and are not:
    `requires_grad = False` on a module, or a misspelt attribute on a parameter.

    ## Why it matters
    `requires_grad_(False)` freezes weights, not running statistics: BatchNorm in training mode goes on updating them,
    and the frozen features are no longer those of the pretrained network. An assignment to a module's `requires_grad`
    only makes a new attribute; everything is trained.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(8, 16)
        self.backbone.requires_grad = False
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.backbone(x).relu())
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(8, 16)
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.backbone(x).relu())
    ```

    ## Legitimate exceptions
    An overridden `train()` that keeps the backbone in evaluation mode is not called before the first epoch since
    Lightning 2.2: call `.eval()` in `__init__`, too. What is meant to learn only the author knows: how much is
    frozen is told as advice, here of the right example, too.
    """
    layers = list(recording.all(LayerFacts))
    mistaken, moved = list(recording.all(FreezeWithoutEffect)), list(recording.all(FrozenMoved))
    frozen = [p for p in recording.parameters if not p.trainable]
    if not (frozen or mistaken or moved):
        raise NotApplicable("nothing is frozen")
    if not recording.completed and not (mistaken or moved):
        raise Inconclusive("the run stopped early (see training_completes)")
    for event in mistaken:
        yield _freezes_nothing(recording, event)
    if moved:
        yield _moved(recording, moved)
    drifting = [x for x in layers if x.frozen and x.has_statistics and x.drifted and not x.weights_changed]
    if drifting and recording.trainable and find_call(recording, recording.methods, _ADAPTING) is None:
        yield _drifts(recording, drifting)
    if frozen and recording.trainable:
        yield _share(recording)


def _freezes_nothing(recording: Recording, event: FreezeWithoutEffect) -> Finding:
    owner = f"self.{event.owner}" if event.owner else "self"
    place = find_assignment(recording, event.attribute)
    if event.is_module:
        return Finding(
            f"`{owner}.requires_grad` is False, and {count(event.parameters, 'parameter')} of it are trained.",
            "requires_grad belongs to tensors; assigning it to a module only makes a new attribute, and freezes "
            "nothing.",
            f"{owner}.requires_grad_(False)",
            place,
        )
    return Finding(
        f"`{owner}.{event.attribute}` is False, and `{owner}` is trained.",
        f"A parameter has no `{event.attribute}`: the attribute is called requires_grad.",
        "parameter.requires_grad = False",
        place,
    )


def _moved(recording: Recording, moved: list[FrozenMoved]) -> Finding:
    names = [name for event in moved for name in event.names]
    return Finding(
        f"{moved[0].optimizer} moved {count(len(names), 'frozen parameter')}, first at {moved[0].at.where}: "
        f"{listed(names)}.",
        "They were frozen with a gradient left in place; while that is there, be it zero, weight decay and the "
        "optimizer's momentum go on.",
        "parameter.grad = None  # on freezing; zero_grad(set_to_none=True), the default, does the same",
        find_call(recording, ["optimizer_zero_grad"], {"zero_grad"})
        or find_call(recording, recording.methods, _FREEZING)
        or recording.method_place("training_step"),
    )


def _drifts(recording: Recording, layers: list[LayerFacts]) -> Finding:
    return Finding(
        f"the running statistics of {count(len(layers), 'frozen layer')} changed in training: "
        f"{listed(layer.name for layer in layers)} ({layers[0].kind}).",
        "requires_grad_(False) freezes weights; in training mode the running mean and variance follow the data.",
        f"def on_train_epoch_start(self): self.{layers[0].name.partition('.')[0]}.eval()",
        _freezing_place(recording) or layers[0].place,
        "warning",
    )


def _freezing_place(recording: Recording) -> Place | None:
    return find_call(recording, recording.methods, ("requires_grad_", "freeze")) or find_assignment(
        recording, "requires_grad"
    )


def _share(recording: Recording) -> Finding:
    sizes = [(math.prod(p.shape), p) for p in recording.parameters]
    frozen = [(size, p) for size, p in sizes if not p.trainable]
    share = sum(size for size, _ in frozen) / max(1, sum(size for size, _ in sizes))
    return Finding(
        f"{len(frozen)} of {count(len(sizes), 'parameter')} ({share:.0%} of the values) are frozen: "
        f"{listed(p.name for _, p in frozen)}.",
        "Right if that is meant: a frozen layer never learns.",
        "requires_grad_(True)  # for what should learn",
        _freezing_place(recording) or frozen[0][1].place,
        "advice",
    )
