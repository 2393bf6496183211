"""What one run showed: frozen, picklable, plain data. No tensors, no modules, no Trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Gradient = Literal["none", "zero", "nonzero"]
Event = TypeVar("Event", bound="Seen")


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
        reaches_other: Whether the graph reaches a leaf that is no registered parameter.
        batch_size: Samples in the batch, where known.
    """

    kind: str
    keys: tuple[str, ...] = ()
    loss: TensorFacts | None = None
    loss_type: str = ""
    reaches: tuple[str, ...] = ()
    reaches_other: bool = False
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
    """

    name: str
    value: float | None
    on_step: bool | None
    on_epoch: bool | None
    batch_size: int | None
    reduction: str
    place: Place | None = None


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
class OptimizerFacts:
    """An optimizer: class name, whether ``configure_optimizers`` returned it, names of its parameters."""

    name: str
    configured: bool
    parameters: tuple[str, ...]
    unregistered: int = 0


@dataclass(frozen=True)
class ParameterFacts:
    """One registered parameter over the whole run.

    Args:
        trainable: Whether it required a gradient when some training step began.
        optimizers: Indexes of the optimizers that hold it.
        gradient: The largest gradient seen after a backward pass.
        changed: Whether its value at the end differs from that at the start.
        in_graph: Whether the loss reached it, or a backward pass gave it a gradient.
        switched_off: Whether it required a gradient at first, and no longer in the end.
        ran: Whether the module that owns it ran inside ``training_step``.
        late: Whether it was created, or put in the place of another, after training had started.
        place: The line that creates it, where that can be told.
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool
    optimizers: tuple[int, ...]
    gradient: Gradient
    changed: bool
    in_graph: bool
    ran: bool
    switched_off: bool = False
    late: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class UnregisteredLeaf:
    """A tensor that the loss reaches and ``named_parameters()`` does not know.

    Args:
        where: Attribute path such as ``self.layers[0].weight``; empty where it was not found.
        is_parameter: Whether it is an ``nn.Parameter``.
        passes: Backward passes that reached it.
        optimized: Whether an optimizer holds it.
        changed: Whether its value changed.
        container: Type name of the plain container that hides it, for example ``list``.
        place: The line that assigns the attribute, where that can be told.
    """

    where: str
    shape: tuple[int, ...]
    is_parameter: bool
    passes: int
    optimized: bool
    changed: bool
    container: str = ""
    place: Place | None = None


@dataclass(frozen=True)
class Failure:
    """The exception that ended a run, or kept it from starting.

    Args:
        stage: ``import``, ``construct``, ``batch``, ``fit`` or ``timeout``.
        type: Name of the exception's class.
        advice: What to type next, where the kit knows.
        from_lightning: Whether Lightning raised it, not the user's code or torch.
        traceback: The user's part of the traceback.
    """

    stage: str
    type: str
    message: str
    advice: str = ""
    at: Moment | None = None
    place: Place | None = None
    from_lightning: bool = False
    traceback: str = ""


@dataclass(frozen=True)
class MethodSource:
    """A method that the user's classes define: where, and its text (dedented)."""

    name: str
    place: Place
    text: str


@dataclass(frozen=True)
class Recording:
    """Everything that one run of one subject in one environment under one regime showed.

    Args:
        subject: Label of the subject.
        environment: Name of the environment.
        regime: Name of the regime.
        lightning: Package name and version, for example ``pytorch_lightning 2.6.6``.
        automatic: Whether the module uses automatic optimization.
        epochs: Epochs that were asked for.
        batches: Training batches an epoch that were asked for.
        train_loss_name: Configured name of the training loss.
        batch_source: Where the batches came from.
        batch_text: What a batch looked like, in the pasteable notation.
        notes: What the kit did that the user should know, one sentence each.
        tape: What happened, in order.
        failure: What ended the run early.
        ragged_failure: What a smaller last batch alone raised; the run was then repeated without it.
    """

    subject: str
    environment: str
    regime: str
    lightning: str = ""
    automatic: bool = True
    epochs: int = 0
    batches: int = 0
    train_loss_name: str = "train_loss"
    batch_source: str = ""
    batch_text: str = ""
    init_text: str = ""
    notes: tuple[str, ...] = ()
    tape: tuple[Seen, ...] = ()
    optimizers: tuple[OptimizerFacts, ...] = ()
    parameters: tuple[ParameterFacts, ...] = ()
    unregistered: tuple[UnregisteredLeaf, ...] = ()
    logged_metrics: Mapping[str, float] = field(default_factory=dict)
    methods: Mapping[str, MethodSource] = field(default_factory=dict)
    user_files: tuple[str, ...] = ()
    failure: Failure | None = None
    ragged_failure: Failure | None = None
    validation_failure: Failure | None = None

    def all(self, kind: type[Event]) -> Iterator[Event]:
        """The events of one kind, in order."""
        return (event for event in self.tape if isinstance(event, kind))

    @property
    def steps(self) -> tuple[StepRan, ...]:
        """The calls of ``training_step`` that returned."""
        return tuple(self.all(StepRan))

    @property
    def trainable(self) -> tuple[ParameterFacts, ...]:
        """The registered parameters that required a gradient and have an element (nn.Embedding(0, 8) has none)."""
        return tuple(p for p in self.parameters if p.trainable and 0 not in p.shape)

    @property
    def completed(self) -> bool:
        """Whether the run came to its end."""
        return self.failure is None

    def method_place(self, name: str) -> Place | None:
        """Where the user's class defines the method, if it does."""
        method = self.methods.get(name)
        return method.place if method else None
