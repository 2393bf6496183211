"""What can be guessed for one argument: a slot, and its candidates in order."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lightning_conformance.errors import Signal

Path = tuple[str, ...]

# Sizes are all different, so that one of them in an error message tells which it is.
SIZES = {
    "features": 12,
    "hidden": 16,
    "latent": 8,
    "classes": 4,
    "channels": 3,
    "vocabulary": 32,
    "length": 6,
    "image": 32,
}


class WrongGuess(Signal):
    """A guessed value knows by how it is used that it is the wrong one.

    No ``Exception``, so that neither the user's ``except Exception`` nor a search for batches holds it.

    Args:
        path: The slot; None for the kind of networks.
        wanted: How many values it should give, where it is a network.
    """

    def __init__(self, path: Path | None = None, wanted: int | None = None) -> None:
        super().__init__(f"{'.'.join(path) if path else 'a network'} is of another kind than was guessed")
        self.path, self.wanted = path, wanted


@dataclass(frozen=True)
class Candidate:
    """One possible value.

    Args:
        make: Gives it, fresh.
        text: What it is, where it is not plain data; empty where it is.
        kind: ``plain``, ``object``, ``network``, ``mapping`` or ``record``.
    """

    make: Callable[[], Any]
    text: str = ""
    kind: str = "plain"

    @property
    def is_plain(self) -> bool:
        """Whether it can be written as an option."""
        return self.kind == "plain"


def plain(*values: Any) -> list[Candidate]:
    """Candidates that are plain data."""
    return [Candidate(lambda value=value: copy.deepcopy(value)) for value in values]  # type: ignore[misc]


def member(value: enum.Enum) -> Candidate:
    """A member of an enumeration, written by its name."""
    return Candidate(lambda: value)


def thing(text: str, make: Callable[[], Any], kind: str = "object") -> Candidate:
    """A candidate that is no plain data."""
    return Candidate(make, text, kind)


@dataclass
class Slot:
    """One argument, or one key of a configuration.

    Args:
        path: Names from the argument inwards.
        candidates: In the order in which they are tried.
        index: The one in use.
    """

    path: Path
    candidates: list[Candidate]
    index: int = 0
    tried: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last name."""
        return self.path[-1]

    @property
    def candidate(self) -> Candidate:
        """The one in use."""
        return self.candidates[self.index]

    def advance(self) -> bool:
        """Go on to the next candidate; False where there is none."""
        if self.index + 1 >= len(self.candidates):
            return False
        self.index += 1
        return True

    def replace(self, value: Any) -> None:
        """Use a plain value that the code itself asked for."""
        self.candidates.insert(self.index, plain(value)[0])
