"""What the plugin knows during one pytest session."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lightning_conformance.environments import Environment
    from lightning_conformance.plugin.options import Settings
    from lightning_conformance.plugin.store import RecordingStore
    from lightning_conformance.subjects.subject import Subject


@dataclass
class State:
    """Settings, subjects and environments of a session, the recordings made, and what was reported.

    Args:
        shared: A folder in which the processes of an xdist run share recordings; None without xdist.
        reports: What was reported of each conformance item, by node id.
        made: How often each recording was made, over all processes.
    """

    settings: Settings
    shared: Path | None = None
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)

    @cached_property
    def subjects(self) -> list[Subject]:
        """One subject for each module that was asked for; imports torch."""
        from lightning_conformance.subjects.subject import Subject, SubjectOptions

        found: list[Subject] = []
        for request in self.settings.requests:
            options = SubjectOptions(tuple(request.init), request.config, request.batch, request.train_loss)
            subject = Subject(request.target, options, request.target.base)
            same = sum(other.label.partition("#")[0] == subject.label for other in found)
            subject.name = f"{subject.label}#{same + 1}" if same else ""
            if same:
                subject.label = subject.name
            found.append(subject)
        return found

    @cached_property
    def environments(self) -> list[Environment]:
        """The chosen environments; imports torch.

        Raises:
            UsageError: A chosen environment is not there.
        """
        from lightning_conformance.environments import select

        return select(self.settings.environments)

    @cached_property
    def store(self) -> RecordingStore:
        """The recordings of this session."""
        from lightning_conformance.plugin.store import RecordingStore

        return RecordingStore(self.shared)


state_key = pytest.StashKey[State]()


def state_of(config: pytest.Config) -> State:
    """The session's state."""
    return config.stash[state_key]
