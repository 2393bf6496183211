"""What is seen of metric objects, of what is kept for the end of an epoch, of monitors, and of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightning_conformance.recording.events import Place, Seen

Edge = Literal["begin", "end"]


@dataclass(frozen=True)
class MetricState(Seen):
    """A metric object (of torchmetrics) when an epoch of a loop begins with its first step, or ends.

    Args:
        where: Its attribute path, such as ``self.val_acc``.
        kind: Name of its class.
        bases: Names of the classes of torchmetrics that its class descends from.
        edge: Which end of the epoch.
        updates: Updates since it was last reset.
        value: At the end, what it would compute of this epoch's updates alone; None where that cannot be told.
        place: The line that assigns it, where that can be told.
    """

    where: str
    kind: str
    bases: tuple[str, ...]
    edge: Edge
    updates: int
    value: float | None = None
    place: Place | None = None


@dataclass(frozen=True)
class MetricHidden(Seen):
    """A metric object that the module holds in a plain container, and does not register."""

    where: str
    kind: str
    container: str
    place: Place | None = None


@dataclass(frozen=True)
class KeptSize(Seen):
    """How many things a list or dict of the module holds, when an epoch's steps of a loop begin, or are over.

    Args:
        name: The attribute.
        edge: Which end of the epoch's steps.
    """

    name: str
    edge: Edge
    size: int


@dataclass(frozen=True)
class KeptAmount(Seen):
    """What a number of the module is, when an epoch's steps of a loop begin, or are over.

    Args:
        name: The attribute.
        edge: Which end of the epoch's steps.
    """

    name: str
    edge: Edge
    amount: float


@dataclass(frozen=True)
class Monitored(Seen):
    """What a callback or scheduler watches, when the run is over.

    Args:
        owner: Name of its class.
        key: The metric.
        known: Names in ``trainer.callback_metrics``.
    """

    owner: str
    key: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class NameShadowed(Seen):
    """An attribute that stands in the place of a method or property of LightningModule.

    Args:
        name: The attribute.
        kind: Type name of its value.
        layer: Whether it is a registered module, parameter or buffer, which the method hides.
    """

    name: str
    kind: str
    layer: bool
    place: Place | None = None


@dataclass(frozen=True)
class Reseeded(Seen):
    """A global random number generator was seeded inside a hook.

    Args:
        function: For example ``torch.manual_seed``.
        seed: What it was seeded with.
        restored: Whether its state was put back within the hook, as ``fork_rng`` does.
    """

    function: str
    seed: str
    restored: bool
    place: Place | None = None


@dataclass(frozen=True)
class OwnLoader(Seen):
    """The module's own training dataloader: how many batches it has."""

    batches: int
