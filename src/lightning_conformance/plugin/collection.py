"""Conformance items: added to what pytest collects, or asked for by a test through the fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.plugin.distribution import is_controller, is_worker
from lightning_conformance.plugin.options import MARKER
from lightning_conformance.plugin.state import State, state_of
from lightning_conformance.plugin.suite import conforms, suite_subjects

if TYPE_CHECKING:
    from lightning_conformance.environments import Environment
    from lightning_conformance.subjects.subject import Subject

GROUP_PREFIX = "lightning:"


def group_name(subject: Subject, environment: Environment) -> str:
    """The xdist group of a subject in an environment."""
    return f"{GROUP_PREFIX}{subject.label}::{environment.name}".replace("@", "_")


def resolve(session: pytest.Session) -> None:
    """Resolve what the user named, before collection, so that a wrong word ends the run with exit code 4."""
    state = state_of(session.config)
    if not state.settings.requests:
        return
    try:
        for subject in state.subjects:
            _check(subject)
            _check_choice(state, subject)
        _check_node_ids(state)
    except UsageError as error:
        # A worker that ends here looks like a crash; the controller resolves the same words and reports them.
        if not is_worker(session.config):
            raise pytest.UsageError(str(error)) from None
        state.subjects.clear()


def _check_choice(state: State, subject: Subject) -> None:
    """See that each word names a check, and that something is judged.

    Raises:
        UsageError: One does not, or nothing is.
    """
    from lightning_conformance.checks import find_check

    choice = state.choice(subject)
    choice.checks(state.environments)
    for name in choice.expect:
        find_check(name.rpartition("::")[2])


def _check_node_ids(state: State) -> None:
    """See that each node id on the command line selects something.

    Raises:
        UsageError: One does not, or a chosen environment is not there.
    """
    from lightning_conformance.checks import find_check

    places = {f"{s.label}::{e.name}" for e in state.environments for s in state.subjects}
    for node_id in state.settings.only:
        place, _, check = node_id.rpartition("::")
        if place in places:
            find_check(check)
        elif not any(f"{known}::".startswith(f"{node_id}::") for known in places):
            raise UsageError(f"{node_id}: there is no such item.", f"There are: {', '.join(sorted(places))}.")


def _check(subject: Subject) -> None:
    try:
        subject.check_words()
    except SubjectError:
        # The user's code is at fault, not his words: the items of this subject will tell.
        return


def add_subjects(session: pytest.Session, report: pytest.CollectReport) -> None:
    """Add the subjects to what the session collects."""
    if report.passed and not is_controller(session.config):
        state = state_of(session.config)
        if state.settings.requests:
            report.result.extend(SubjectCollector.of(session, s) for s in state.subjects)


class SubjectCollector(pytest.Collector):
    """A module under test."""

    subject: Subject

    @classmethod
    def of(cls, parent: pytest.Session, subject: Subject) -> SubjectCollector:
        """A collector of the subject's environments."""
        path = getattr(subject.target, "path", None) or parent.config.rootpath
        node: SubjectCollector = cls.from_parent(parent, name=subject.label, path=Path(path), nodeid=subject.label)
        node.subject = subject
        return node

    def collect(self) -> Iterator[EnvironmentCollector]:
        """One collector for each environment."""
        for environment in state_of(self.config).environments:
            yield EnvironmentCollector.of(self, environment)


class EnvironmentCollector(pytest.Collector):
    """A module under test in one environment."""

    subject: Subject
    environment: Environment

    @classmethod
    def of(cls, parent: SubjectCollector, environment: Environment) -> EnvironmentCollector:
        """A collector of the checks in an environment."""
        node: EnvironmentCollector = cls.from_parent(parent, name=environment.name)
        node.subject, node.environment = parent.subject, environment
        return node

    def collect(self) -> Iterator[ConformanceItem]:
        """One item for each chosen check that was not left out by a node id on the command line."""
        state = state_of(self.config)
        only = state.settings.only
        for name in state.choice(self.subject).checks(state.environments)[self.name]:
            node_id = f"{self.nodeid}::{name}"
            if not only or any(f"{node_id}::".startswith(f"{prefix}::") for prefix in only):
                yield ConformanceItem.from_parent(self, name=name, callobj=conforms)


class ConformanceItem(pytest.Function):
    """One check of one subject in one environment; a test function on the plugin's fixtures."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_marker(MARKER)
        self.add_marker(pytest.mark.xdist_group(group_name(self.lightning_subject, self.lightning_environment)))

    @property
    def lightning_subject(self) -> Subject:
        """The module under test."""
        found = self.getparent(SubjectCollector)
        assert found is not None
        return found.subject

    @property
    def lightning_environment(self) -> Environment:
        """Where it runs."""
        found = self.getparent(EnvironmentCollector)
        assert found is not None
        return found.environment

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The user's file, not ours."""
        # pytest turns dots of the last part into colons where it shows it.
        return self.path, None, self.nodeid.rpartition(".")[2].partition(":")[2]


def parametrize(metafunc: pytest.Metafunc, names: list[str]) -> None:
    """Parametrize whoever uses the fixtures over subject, environment and, for a suite, check."""
    state = state_of(metafunc.config)
    try:
        own = [state.known(subject) for subject in suite_subjects(metafunc)]
        for subject in own:
            _check(subject)
            _check_choice(state, subject)
        cells = list(_cells(state, own or state.subjects, names))
    except UsageError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if not cells:
        reason = "no LightningModule was named: use --lightning-module or the ini option lightning_modules"
        cells = [pytest.param(*[None] * len(names), marks=pytest.mark.skip(reason=reason), id="none")]
    metafunc.parametrize(names, cells, indirect=True)


def _places(chosen: list[Environment], names: list[str]) -> list[Environment]:
    """Where a test runs: a suite everywhere, any other where a module is really at work, or just once."""
    if "lightning_check" in names:
        return chosen
    if "lightning_environment" not in names:
        return chosen[:1]
    return [place for place in chosen if not place.narrowed]


def _cells(state: State, subjects: list[Subject], names: list[str]) -> Iterator[Any]:
    with_check = "lightning_check" in names
    for subject in subjects:
        short = subject.label.rpartition(":")[2]
        checks = state.choice(subject).checks(state.environments) if with_check else {}
        for environment in _places(state.environments, names):
            marks = [pytest.mark.xdist_group(group_name(subject, environment))]
            if with_check:
                marks.append(getattr(pytest.mark, MARKER))
            for check in checks.get(environment.name, [""]):
                values = {
                    "lightning_subject": subject,
                    "lightning_environment": environment,
                    "lightning_check": check or None,
                }
                parts = [short, environment.name if "lightning_environment" in names else "", check]
                yield pytest.param(*(values[n] for n in names), marks=marks, id="-".join(filter(None, parts)))
