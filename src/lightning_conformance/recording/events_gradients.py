"""Gradients under other settings of the Trainer, and those that one optimizer's turn leaves to another."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class GradientsScaled(Seen):
    """The gradient of one way to train beside that of another, before the first optimizer step.

    Args:
        how: ``accumulated``: two equal batches, beside one; ``doubled``: a batch of everything twice, beside once.
        ratio: Of the first to the second.
        aligned: The cosine between them.
        losses: Ratio of the first losses.
    """

    how: str
    ratio: float
    aligned: float
    losses: float


@dataclass(frozen=True)
class GradientsClipped(Seen):
    """One call of the module's own ``configure_gradient_clipping``: the norm before and after it."""

    limit: float
    before: float
    after: float


@dataclass(frozen=True)
class GradientsLeft(Seen):
    """A backward pass for the step of one optimizer gave gradients to parameters of another as well.

    Args:
        stepped: The optimizer that stepped, as an index into ``Recording.optimizers``.
        other: The optimizer whose parameters were given gradients.
        parameters: How many of them.
        added: Whether the next step of the other applied them together with gradients of its own.
        place: The user's line that ran the backward pass.
    """

    stepped: int
    other: int
    parameters: int
    added: bool
    place: Place | None = None
