"""What happens during a run, in order, each with its moment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from lightning_conformance.recording.model import HookCalled, Moment, Seen


@dataclass
class Tape:
    """The events of a run while it runs, and where the run is.

    Instruments read :attr:`now` and call :meth:`add`; the recorder freezes :attr:`events` in the end.

    Args:
        listeners: Called with owner and name of each hook, and whether it begins, once it is written down.
    """

    events: list[Seen] = field(default_factory=list)
    stage: str = "start"
    epoch: int = 0
    batch: int = -1
    batch_size: int | None = None
    in_training_step: bool = False
    lightning_backward: int = 0
    lightning_step: int = 0
    hooks: list[tuple[str, str]] = field(default_factory=list)
    failed_at: Moment | None = None
    listeners: list[Callable[[str, str, bool], None]] = field(default_factory=list)

    @property
    def hook(self) -> str:
        """Name of the innermost hook; empty outside of all hooks."""
        return self.hooks[-1][1] if self.hooks else ""

    @property
    def now(self) -> Moment:
        """The current moment."""
        return Moment(self.stage, self.epoch, self.batch, self.hook)

    def add(self, event: Seen) -> None:
        """Write an event down."""
        self.events.append(event)

    def enter(self, owner: str, name: str) -> None:
        """A hook begins; the one that reports an exception is not where the exception came from."""
        if name == "on_exception" and self.failed_at is None:
            self.failed_at = self.now
        self.hooks.append((owner, name))
        self.add(HookCalled(self.now, owner, name))
        for listener in self.listeners:
            listener(owner, name, True)

    def leave(self, owner: str, name: str) -> None:
        """A hook ends; remember the innermost one that an exception leaves."""
        if self.failed_at is None and sys.exc_info()[1] is not None:
            self.failed_at = self.now
        for listener in self.listeners:
            listener(owner, name, False)
        if (owner, name) in self.hooks:
            while self.hooks.pop() != (owner, name):
                pass
