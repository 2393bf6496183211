"""What torch's operations did inside ``training_step``: events of the regime ``operations``."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class ShapesDiffered(Seen):
    """Two operands of different shapes were broadcast.

    Args:
        operation: For example ``mse_loss`` or ``sub``.
        first: Shape of the first operand; of a loss, the prediction.
        second: Shape of the second operand; of a loss, the target.
        result: Shape that both were broadcast to.
        is_loss: Whether the operation is one of torch's loss functions.
        in_loss: Whether the loss that the step returned depends on the result.
        place: The user's line.
    """

    operation: str
    first: tuple[int, ...]
    second: tuple[int, ...]
    result: tuple[int, ...]
    is_loss: bool
    in_loss: bool
    place: Place | None = None


@dataclass(frozen=True)
class ScoresTaken(Seen):
    """A loss function, or a normalisation, was given something that does not look like what it takes.

    Args:
        taker: The function, for example ``cross_entropy``.
        given: What it was given: ``softmax``, ``log_softmax``, ``sigmoid``, ``raw``, ``one class``, ...
        dim: The dimension that was normalised, and that with the classes, where they differ.
        place: The user's line that calls the taker.
        given_place: The user's line that made what was given, where that was seen.
    """

    taker: str
    given: str
    dim: tuple[int, int] | None = None
    place: Place | None = None
    given_place: Place | None = None


@dataclass(frozen=True)
class TermWithoutGraph(Seen):
    """A term that is added to the loss is computed from parameters that learn, and sends them no gradient.

    Args:
        how: What cut it: ``no_grad``, ``detach``, ...
        value: What it was worth.
        place: The user's line that adds it.
        cut_place: The user's line on which it was cut.
    """

    how: str
    value: float
    place: Place | None = None
    cut_place: Place | None = None


@dataclass(frozen=True)
class BatchChanged(Seen):
    """A tensor of the batch had other values after ``training_step`` than before, or before it than the loader gave.

    Args:
        part: Its path, for example ``batch[0]``.
        own_data: Whether the user's own loader gave the batch.
        lasting: Whether a later batch came with the changed values: the data themselves were changed.
        before_step: Whether it was changed before ``training_step``, in a hook.
        place: The user's line that changed it, where that was seen.
    """

    part: str
    own_data: bool
    lasting: bool
    before_step: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class GraphsAlive(Seen):
    """How many tensors that a backward pass would need are still there, one number for each step so far."""

    saved: tuple[int, ...]


@dataclass(frozen=True)
class GraphKept(Seen):
    """A backward pass was told to keep its graph.

    Args:
        option: ``retain_graph`` or ``create_graph``.
        used_again: Whether another pass of this batch, or ``autograd.grad``, used the graph again.
        place: The user's line.
    """

    option: str
    used_again: bool
    place: Place | None = None
