"""What one run showed: frozen, picklable, plain data. No tensors, no modules, no Trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from lightning_conformance.recording.events import (
    BackwardRan,
    BatchFacts,
    GradientsCleared,
    HookCalled,
    LogCall,
    LossSeen,
    MetricReceived,
    Moment,
    OptimizerStepped,
    Place,
    Seen,
    StepRan,
    TensorFacts,
    WarningSeen,
)

Gradient = Literal["none", "zero", "nonzero"]
Event = TypeVar("Event", bound="Seen")

TRAIN = "train"


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
        thawed: Whether it was frozen at first, and required a gradient later.
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
    thawed: bool = False


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
        environment: What the environment lacks, where that and not the module is the reason.
    """

    stage: str
    type: str
    message: str
    advice: str = ""
    at: Moment | None = None
    place: Place | None = None
    from_lightning: bool = False
    traceback: str = ""
    environment: str = ""


@dataclass(frozen=True)
class MethodSource:
    """A method that the user's classes define: where, and its text (dedented)."""

    name: str
    place: Place
    text: str


@dataclass(frozen=True)
class Settled:
    """What training showed that the subject needs of the data that it is fed.

    Args:
        ragged: Whether the last batch of an epoch may be smaller.
        validation: Whether there is something to validate with.
        loaders: How many validation loaders ``validation_step`` gets.
        find_unused: Whether several processes must look for parameters without a gradient.
    """

    ragged: bool = True
    validation: bool = True
    loaders: int = 1
    find_unused: bool = False


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
        validation_source: Where validation batches came from, where they were others.
        validation_text: What such a batch looked like, in the pasteable notation.
        batch_doubts: What makes an inferred batch less than certain.
        guessed: Constructor arguments that nobody gave: options to paste, or words where one is no plain data.
        notes: What the kit did that the user should know, one sentence each.
        tape: What happened, in order.
        logged_metrics: What ``trainer.logged_metrics`` held when the run was over.
        failure: What ended the run early.
        ragged_failure: What a smaller last batch alone raised; the run was then repeated without it.
        validation_failure: What validation with training batches raised; the run was then repeated without it.
        settled: What other regimes heed.
        ceiling: The highest level that a finding has, where nobody asked for the environment; empty for any.
        missing: Why nothing was run; empty where it was.
        inapplicable: Why the regime has nothing to show with this module; empty where it has.
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
    validation_source: str = ""
    validation_text: str = ""
    batch_doubts: tuple[str, ...] = ()
    init_text: str = ""
    guessed: tuple[str, ...] = ()
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
    settled: Settled = Settled()
    ceiling: Literal["", "warning", "advice"] = ""
    missing: str = ""
    inapplicable: str = ""

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
    def is_guessed(self) -> bool:
        """Whether what was seen may be due to constructor arguments that were guessed: a run was begun with them."""
        return bool(self.guessed) and (self.failure is None or self.failure.stage in ("fit", "timeout"))

    @property
    def completed(self) -> bool:
        """Whether the run came to its end."""
        return self.failure is None and not self.missing

    def method_place(self, name: str) -> Place | None:
        """Where the user's class defines the method, if it does."""
        method = self.methods.get(name)
        return method.place if method else None


__all__ = [
    "TRAIN",
    "BackwardRan",
    "BatchFacts",
    "Failure",
    "Gradient",
    "GradientsCleared",
    "HookCalled",
    "LogCall",
    "LossSeen",
    "MethodSource",
    "MetricReceived",
    "Moment",
    "OptimizerFacts",
    "OptimizerStepped",
    "ParameterFacts",
    "Place",
    "Recording",
    "Seen",
    "Settled",
    "StepRan",
    "TensorFacts",
    "UnregisteredLeaf",
    "WarningSeen",
]
