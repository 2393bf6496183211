"""What the plugin knows during one pytest session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.plugin.keys import state_key
from lightning_conformance.plugin.settings import Choice, Settings

if TYPE_CHECKING:
    from lightning_conformance.environments import Environment
    from lightning_conformance.plugin.specs import RememberedSpecs
    from lightning_conformance.plugin.store import RecordingStore
    from lightning_conformance.reporting.known import Baseline
    from lightning_conformance.subjects.subject import SearchLimits, Subject


@dataclass
class State:
    """Settings, subjects and environments of a session, the recordings made, and what was reported.

    Args:
        shared: A folder in which the processes of an xdist run share recordings; None without xdist.
        cache: pytest's cache; None where it is switched off.
        reports: What was reported of each conformance item, by node id.
        made: How often each recording was made, over all processes.
        seconds: How long each item took, set-up included, by node id.
        written: What the summary tells of files that were written.
        baseline: The known failures; None where no such file is named, or is there yet.
    """

    settings: Settings
    shared: Path | None = None
    cache: Any = None
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    baseline: Baseline | None = None
    _subjects: list[Subject] = field(default_factory=list)
    _choices: dict[str, Choice] = field(default_factory=dict)

    @cached_property
    def subjects(self) -> list[Subject]:
        """One subject for each module that was asked for; imports torch."""
        from lightning_conformance.subjects.subject import Subject, SubjectOptions

        found: list[Subject] = []
        for request in self.settings.requests:
            options = SubjectOptions(
                tuple(request.init),
                request.config,
                request.batch,
                request.train_loss,
                guess=self.settings.guess,
                val_batch=request.val_batch,
            )
            subject = self._named(Subject(request.target, options, request.target.base))
            self._choices[subject.label] = request.choice
            found.append(subject)
        return found

    def choice(self, subject: Subject) -> Choice:
        """Which checks judge a subject, and which of them are expected to fail."""
        said = self._choices.get(subject.label, self.settings.choice)
        declared = _declared_failures(subject)
        return said if not declared else Choice(said.select, said.ignore, {**declared, **said.expect})

    @cached_property
    def specs(self) -> RememberedSpecs:
        """The batch specs that were inferred, in this session and before."""
        from lightning_conformance.plugin.specs import RememberedSpecs

        return RememberedSpecs(self.cache, self.shared)

    @property
    def limits(self) -> SearchLimits:
        """What finding a batch may cost."""
        from lightning_conformance.subjects.subject import SearchLimits

        timeout = self.settings.timeout
        data = timeout and timeout / 4
        return SearchLimits(self.settings.infer_attempts, self.settings.infer_seconds, data)

    def known(self, subject: Subject) -> Subject:
        """The session's subject for the same module, built and fed alike; this one where there is none.

        Each subject of a session has a label of its own, so that no recording stands for another module.
        """
        return next((s for s in self._subjects if _same(s, subject)), None) or self._named(subject)

    def _named(self, subject: Subject) -> Subject:
        same = sum(other.label.partition("#")[0] == subject.label for other in self._subjects)
        if same:
            subject.label = subject.name = f"{subject.label}#{same + 1}"
        subject.limits, subject.specs = self.limits, self.specs
        self._subjects.append(subject)
        return subject

    @cached_property
    def environments(self) -> list[Environment]:
        """The chosen environments; imports torch.

        Raises:
            UsageError: A chosen environment is not there.
        """
        from lightning_conformance.environments import select

        return select(self.settings.environments)

    @cached_property
    def possible(self) -> dict[str, int]:
        """How many checks each environment judges, if none is left out."""
        from lightning_conformance.checks.choosing import chosen, judged_in

        return {place: len(checks) for place, checks in judged_in(self.environments, chosen()).items()}

    @cached_property
    def store(self) -> RecordingStore:
        """The recordings of this session."""
        from lightning_conformance.plugin.store import RecordingStore

        return RecordingStore(self.shared)


def _declared_failures(subject: Subject) -> dict[str, str]:
    """What the module's own file says of failures; nothing where that file cannot be read."""
    from lightning_conformance.errors import SubjectError

    try:
        said = subject.declared.expected_failures or {}
    except SubjectError:
        return {}
    return {str(check): str(reason) for check, reason in said.items()}


def _same(one: Subject, other: Subject) -> bool:
    """Whether two subjects are one; objects (instances, functions, batches) are compared by identity."""

    def words(subject: Subject) -> list[Any]:
        options = subject.options
        parts = [subject.target, subject.base, options.config, options.batch, options.train_loss, options.seed]
        parts.append(options.val_batch)
        init = options.init
        return [*parts, *(chain(*init.items()) if isinstance(init, Mapping) else init)]

    pairs = zip_longest(words(one), words(other))
    return all(a is b or (_plain(a) and _plain(b) and a == b) for a, b in pairs)


def _plain(value: Any) -> bool:
    """Whether ``==`` tells that two values are the same (it does not of tensors and arrays)."""
    from lightning_conformance.subjects.target import Target

    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return isinstance(value, str | int | float | Path | Target | None)


def state_of(config: pytest.Config) -> State:
    """The session's state, made where a test asks for the kit that no option speaks of.

    Raises:
        pytest.UsageError: Words that cannot be meant.
    """
    if state_key not in config.stash:
        from lightning_conformance.plugin.starting import start

        start(config)
    return config.stash[state_key]
