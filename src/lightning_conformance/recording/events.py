"""What can happen during a run: one frozen class a kind of event, each with its moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A line of the user's code.

    Args:
        file: Path of the file, as Python knows it.
        line: Line number, from 1.
        function: Qualified name of the function, for example ``Classifier.training_step``.
        source: The text of the line, without its newline.
        columns: First and last column (exclusive) of the expression, where known.
    """

    file: str
    line: int
    function: str = ""
    source: str = ""
    columns: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Moment:
    """When something happened: the stage, epoch and batch of the run, and the innermost hook."""

    stage: str
    epoch: int
    batch: int
    hook: str

    @property
    def where(self) -> str:
        """For example ``batch 2 of epoch 0``."""
        return f"epoch {self.epoch}" if self.batch < 0 else f"batch {self.batch} of epoch {self.epoch}"


@dataclass(frozen=True)
class Seen:
    """Base of everything on the tape; ``at`` says when."""

    at: Moment


@dataclass(frozen=True)
class TensorFacts:
    """What is known of a loss tensor. ``value`` is None unless it has one element."""

    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool
    is_leaf: bool
    finite: bool
    value: float | None

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class HookCalled(Seen):
    """A hook began: ``owner`` is ``LightningModule``, ``Callback``, ``Strategy``, ..."""

    owner: str
    name: str


@dataclass(frozen=True)
class StepRan(Seen):
    """One call of ``training_step`` returned.

    Args:
        kind: What was returned: ``none``, ``tensor``, ``dict`` or the name of another type.
        keys: Keys of a returned dict.
        loss: Facts of the loss tensor, where one was returned.
        loss_type: Type name of what stands for the loss, where it is no tensor.
        reaches: Names of registered parameters that the loss' graph reaches.
        batch_size: Samples in the batch, where known.
    """

    kind: str
    keys: tuple[str, ...] = ()
    loss: TensorFacts | None = None
    loss_type: str = ""
    reaches: tuple[str, ...] = ()
    batch_size: int | None = None


@dataclass(frozen=True)
class BackwardRan(Seen):
    """One backward pass, nested ones (activation checkpointing) not counted.

    Args:
        through_lightning: Whether Lightning ran it (the closure or ``manual_backward``).
        in_training_step: Whether ``training_step`` was running.
        loss: Facts of the tensor that was differentiated.
        of_returned_loss: Whether the tensor is part of the graph of the loss that this step returned.
        place: The user's line that asked for it, where there is one.
    """

    through_lightning: bool
    in_training_step: bool
    loss: TensorFacts | None
    of_returned_loss: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class OptimizerStepped(Seen):
    """One ``Optimizer.step``.

    Args:
        optimizer: Index into ``Recording.optimizers``.
        through_lightning: Whether it went through the Trainer's strategy.
        in_training_step: Whether ``training_step`` was running.
        closure: Whether a closure was passed.
        with_gradient: Parameters of the optimizer that had a gradient other than None.
        nonzero: Parameters of the optimizer that had a gradient other than zero.
        learning_rates: One a parameter group.
        moved: Whether a parameter changed; None where that was not looked at.
        stale: Whether gradients of an earlier step were still there and were applied again.
        place: The user's line that asked for it, where there is one.
    """

    optimizer: int
    through_lightning: bool
    in_training_step: bool
    closure: bool
    with_gradient: int
    nonzero: int
    learning_rates: tuple[float, ...]
    moved: bool | None = None
    stale: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class GradientsCleared(Seen):
    """One ``zero_grad`` of an optimizer; ``had_gradient``: whether there was anything to clear."""

    through_hook: bool
    in_training_step: bool
    had_gradient: bool
    place: Place | None = None


@dataclass(frozen=True)
class LogCall(Seen):
    """One call of ``self.log``; flags that the user left out are None; ``value`` is None for a metric object.

    ``reduction`` is how Lightning combines the values of an epoch: ``mean``, ``sum``, ...

    Args:
        kind: ``tensor``, ``number``, ``metric``, or the type name of what is none of them.
        dtype: Of a tensor.
        metric: Attribute path of the metric object that was logged, or that the value comes from.
        use: How: ``object``, or the value of its ``forward`` or ``compute``.
        logger: The flag; None where the user left it out.
        size: Samples in the batch at hand, where known.
        weight: The batch size that Lightning took for it, where it read one off the batch.
    """

    name: str
    value: float | None
    on_step: bool | None
    on_epoch: bool | None
    batch_size: int | None
    reduction: str
    place: Place | None = None
    kind: str = ""
    dtype: str = ""
    metric: str = ""
    use: str = ""
    logger: bool | None = None
    size: int | None = None
    weight: int | None = None


@dataclass(frozen=True)
class MetricReceived(Seen):
    """One value that reached the logger."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class WarningSeen(Seen):
    """A Python warning that the run gave."""

    category: str
    message: str
    place: Place | None = None


@dataclass(frozen=True)
class BatchFacts(Seen):
    """One training batch, when it was over.

    Args:
        size: Samples in it, where known.
        gradients: Norm of each parameter's gradient after backward; None where it had none.
        changed: Names of the parameters that differ from the batch before.
    """

    size: int | None
    gradients: Mapping[str, float | None]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class LossSeen(Seen):
    """What one call of ``training_step`` returned; None where that is no number."""

    value: float | None
