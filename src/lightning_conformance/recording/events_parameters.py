"""What happens to parameters and layers beside their training: freezing, modes, running statistics."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class LayerFacts(Seen):
    """A layer that behaves differently in training and in evaluation, over the whole run.

    Args:
        name: Its path in the module, such as ``backbone.norm1``.
        kind: Its class.
        group: The outermost module around it that was in evaluation mode whenever the layer was; its own path if only
            the layer was.
        has_statistics: Whether it keeps running statistics.
        frozen: Whether it has parameters, and none of them ever required a gradient.
        learns: Whether something in the group has a trainable parameter.
        modes: For each epoch in which it ran in ``training_step``: whether it ever ran in training mode.
        drifted: Whether its running statistics changed in the training steps.
        weights_changed: Whether its own parameters changed.
        place: The line that creates the group.
    """

    name: str
    kind: str
    group: str
    has_statistics: bool
    frozen: bool
    learns: bool
    modes: tuple[tuple[int, bool], ...]
    drifted: bool
    weights_changed: bool
    place: Place | None = None


@dataclass(frozen=True)
class FrozenMoved(Seen):
    """An optimizer step changed parameters that require no gradient."""

    optimizer: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class FreezeWithoutEffect(Seen):
    """An attribute that looks as if it froze something, and does not.

    Args:
        owner: The path of the module or parameter that has it.
        attribute: What was assigned: ``requires_grad`` on a module, a misspelt word on a parameter.
        parameters: Trainable parameters that it was meant for.
    """

    owner: str
    attribute: str
    parameters: int
    is_module: bool
