"""What the user asked for, read from options and ini keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_conformance.subjects.target import Target


@dataclass
class Request:
    """What the user asked for about one module, still words."""

    target: Target
    init: list[str] = field(default_factory=list)
    config: str = ""
    batch: str | None = None
    train_loss: str = ""


@dataclass(frozen=True)
class Settings:
    """The options, read: modules, environments, time limit in seconds (None: none), strictness, guessing."""

    requests: tuple[Request, ...]
    environments: tuple[str, ...]
    timeout: float | None
    strict: bool
    only: tuple[str, ...] = ()
    guess: bool = True
