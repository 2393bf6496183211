"""What several processes that train together do: where each ends, and in what they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lightning_conformance.recording.events import Moment, Place, Seen
from lightning_conformance.recording.model import Failure

# It came to its end; an exception ended it; it waited, and was ended; its process died.
End = Literal["completed", "failed", "waiting", "died"]
# What DDP does after a backward pass.
GRADIENTS = "gradients"


@dataclass(frozen=True)
class Collective(Seen):
    """A rank begins an operation in which all ranks take part.

    Args:
        operation: For example ``all_gather``; ``gradients`` where DDP averages them.
        place: The user's line, where one asks for it.
    """

    operation: str
    place: Place | None = None


@dataclass(frozen=True)
class RankEnded(Seen):
    """How a rank's run was over.

    Args:
        how: Which way.
        failure: What ended it.
        place: The user's line that it was at, or that raised.
        waits: The operation in which it waited for other ranks; empty where it did not.
        exit: How the process ended, where it died.
        primary: Whether its end is the reason of the others'.
    """

    rank: int
    how: End
    failure: Failure | None = None
    place: Place | None = None
    waits: str = ""
    exit: str = ""
    primary: bool = False


@dataclass(frozen=True)
class CollectivesDiffer(Seen):
    """The first operation in which all ranks take part that was not the same on all of them.

    Args:
        index: How many were the same.
        calls: What each rank did in its place; None for one that did nothing more.
        logged: Names and lines of ``self.log`` that some ranks had called and others had not.
    """

    index: int
    calls: tuple[Collective | None, ...]
    logged: tuple[tuple[str, Place], ...] = ()


@dataclass(frozen=True)
class ParametersDiffer(Seen):
    """Parameters that are not the same on all ranks when training is over.

    Args:
        names: Those.
        of: How many there are.
    """

    names: tuple[str, ...]
    of: int


@dataclass(frozen=True)
class ParametersUnused(Seen):
    """A backward pass left parameters without a gradient, and the next step stopped.

    Args:
        names: Those.
        never: Those that no step uses, on any rank.
    """

    names: tuple[str, ...]
    never: tuple[str, ...]


@dataclass(frozen=True)
class MetricDiffers(Seen):
    """A logged metric that has another value on each rank when the run is over; NaN is the same as NaN.

    Args:
        values: One a rank.
    """

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class WrittenEverywhere(Seen):
    """A line that prints, or writes one and the same file, on every rank.

    Args:
        what: Path of the file, relative to the run's own folder; empty where it prints.
        times: How often, on the first rank.
    """

    what: str
    times: int
    place: Place


@dataclass(frozen=True)
class RankState(Seen):
    """What a rank shows when it is over, for comparison; it stands on no tape that a check sees.

    Args:
        parameters: A digest of each.
        metrics: What ``trainer.callback_metrics`` held.
        written: How often each line wrote each file (empty for a print).
        unused: Parameters that DDP named as unused.
    """

    parameters: dict[str, bytes | None] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    written: dict[tuple[str, Place], int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


__all__ = [
    "GRADIENTS",
    "Collective",
    "CollectivesDiffer",
    "End",
    "MetricDiffers",
    "Moment",
    "ParametersDiffer",
    "ParametersUnused",
    "RankEnded",
    "RankState",
    "WrittenEverywhere",
]
