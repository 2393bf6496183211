"""What is seen of the names in the user's code: hooks and what they take, and names that Lightning does not have."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method, ``self`` not counted; ``kind`` is that of :mod:`inspect`, in lower case."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True)
class MethodSeen(Seen):
    """A public method that the module's own classes define; of several with one name, the one that is called.

    Args:
        place: Where; None where its source is not there.
        parameters: What it takes; None where that cannot be read.
        base: What Lightning's method of that name takes; None where Lightning's module has none.
        of_callback: Whether only Lightning's Callback has a method of that name.
        mentioned: Whether the user's code names it anywhere but in its definition.
    """

    name: str
    place: Place | None
    parameters: tuple[Parameter, ...] | None
    base: tuple[Parameter, ...] | None
    of_callback: bool
    mentioned: bool


@dataclass(frozen=True)
class HooksKnown(Seen):
    """The public methods of Lightning's module, without those that every torch module has."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class TrainerNameMissing(Seen):
    """A method reads ``self.trainer.NAME``, and the Trainer has none; ``near`` is spelt much like it."""

    name: str
    method: str
    place: Place
    near: str = ""


@dataclass(frozen=True)
class StrangerSeen(Seen):
    """A callback of the other Lightning package took part in the run."""

    name: str
