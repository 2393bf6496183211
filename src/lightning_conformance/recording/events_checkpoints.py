"""What a checkpoint keeps, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightning_conformance.recording.events import Seen
from lightning_conformance.recording.model import Failure


@dataclass(frozen=True)
class CheckpointSaved(Seen):
    """A checkpoint of a trained instance was written, or not.

    Args:
        bytes: Size of all entries of ``state_dict``.
        frozen: Size of those that are frozen parameters.
        frozen_names: Attributes that hold them.
        plain: Type of each hyperparameter that no unpickler for weights alone takes, by name.
        hyperparameters: Names of all hyperparameters.
    """

    failure: Failure | None = None
    bytes: int = 0
    frozen: int = 0
    frozen_names: tuple[str, ...] = ()
    plain: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadTried(Seen):
    """The checkpoint was loaded, or not.

    Args:
        how: ``without arguments`` (``load_from_checkpoint(path)``), ``any pickle`` (the same, with
            ``weights_only=False``), or ``built as before`` (its state, into an instance that is built alike).
        differing: Entries of ``state_dict`` that are not what was saved.
        loss: The loss of the trained instance on one more batch.
        loaded: The loss of the loaded one on the same batch, from the same random numbers.
        attributes: Attributes of other values, with the kind of each: ``tensor``, ``number``, ``other``.
    """

    how: str
    failure: Failure | None = None
    differing: tuple[str, ...] = ()
    loss: float | None = None
    loaded: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartedAgain(Seen):
    """A trained instance was given to a Trainer again; ``changed``: trainable parameters that were others then."""

    changed: tuple[str, ...]


@dataclass(frozen=True)
class Resumed(Seen):
    """Training went on from the checkpoint of an epoch, beside a training without interruption.

    Args:
        straight: Losses of the epochs after it, without interruption.
        resumed: The same, resumed.
        attributes: Attributes of other values when the next epoch began, with the kind of each.
    """

    failure: Failure | None = None
    straight: tuple[float | None, ...] = ()
    resumed: tuple[float | None, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
