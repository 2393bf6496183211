"""What other batches did: events of the regimes that feed batches of other sizes, one batch again and again, ..."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen
from lightning_conformance.recording.model import Failure


@dataclass(frozen=True)
class SizeTried(Seen):
    """A short fit whose last training batch, and whose validation batch, had another size.

    Args:
        size: Samples in it.
        usual: Samples in the other training batches.
        hook: The hook that failed; empty where none did.
        failure: What it raised.
        loss: The loss of the batch, where it is a number.
    """

    size: int
    usual: int
    hook: str = ""
    failure: Failure | None = None
    loss: float | None = None


@dataclass(frozen=True)
class SampleReplaced(Seen):
    """``forward`` (or a network) ran twice in evaluation mode, the second time with one sample replaced.

    Args:
        others: How many other samples there are.
        changed: How many of them got another output.
        difference: The largest change of an output, relative to the outputs.
        operation: The first operation whose result for other samples differed.
        place: The user's line of that operation.
        network: The attribute that was run, where the training step calls it and not ``forward``.
        why_not: Why nothing was compared; empty where it was.
    """

    others: int = 0
    changed: int = 0
    difference: float = 0.0
    operation: str = ""
    place: Place | None = None
    network: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class LoaderTried(Seen):
    """The module's own data, asked for by a Trainer on a new instance.

    Args:
        entry: ``fit``, ``validate``, ``test`` or ``predict``.
        loader: The hook that gives the data, for example ``test_dataloader``.
        failure: What was raised.
        empty: Why no batch came, where none did: ``drop_last``, ``None`` for a batch that is None, ``no samples``, or
            ``unknown``.
    """

    entry: str
    loader: str
    failure: Failure | None = None
    empty: str = ""


@dataclass(frozen=True)
class PreparedState(Seen):
    """``prepare_data`` assigned attributes that other methods read.

    Args:
        owner: Name of the class.
        names: The attributes.
        readers: The methods that read them.
        place: The line that assigns the first of them, where that can be told.
    """

    owner: str
    names: tuple[str, ...]
    readers: tuple[str, ...]
    place: Place | None = None
