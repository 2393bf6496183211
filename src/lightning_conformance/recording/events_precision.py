"""What a run does with dtypes, in an environment of another precision than float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightning_conformance.recording.events import Place, Seen

# Where the tensor of the odd dtype comes from: a line that makes or casts it, an operation under autocast, a plain
# attribute, a buffer, a layer that is not registered, the batch, a global variable, or not known.
OddTensor = Literal["made", "cast", "autocast", "attribute", "buffer", "layer", "batch", "global", "unknown"]


@dataclass(frozen=True)
class DtypesMet(Seen):
    """An operation got tensors of two floating dtypes.

    Args:
        operation: For example ``linear``.
        odd: The dtype that does not belong there, for example ``float32``.
        other: The dtype that it met.
        error: What torch said; empty where it computed in the wider of the two.
        kind: Where the odd one comes from.
        name: How it is reached, for example ``self.basis``; for ``made`` and ``cast``, what made it.
        made: The line that makes it, where that was seen.
        place: The line of the operation.
    """

    operation: str
    odd: str
    other: str
    error: str
    kind: OddTensor
    name: str = ""
    made: Place | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Overflowed(Seen):
    """Finite operands gave a result that is not, and in float32 it is.

    Args:
        largest: The largest magnitude of the result in float32.
    """

    operation: str
    dtype: str
    largest: float
    place: Place | None = None


@dataclass(frozen=True)
class NumberRounded(Seen):
    """A number of the code is another one in the dtype of the tensor beside it: 0, or 1.

    Args:
        operation: What uses it: a function, or an optimizer.
        by_optimizer: Whether an optimizer does.
    """

    operation: str
    number: float
    rounded: float
    dtype: str
    by_optimizer: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class RefusedUnderAutocast(Seen):
    """An operation ran under autocast that CUDA's autocast refuses, and the CPU's does not."""

    operation: str
    place: Place | None = None
