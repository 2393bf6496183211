"""The pytest plugin; the only code of the kit that imports pytest.

Loading it imports neither torch nor Lightning, and of the kit itself no more than these hooks: they hand on to the
modules that do the work where a session asks for it. A pytest run that does not use the kit pays nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from lightning_conformance.plugin.fixtures import (
    lightning_batch,
    lightning_check,
    lightning_device,
    lightning_environment,
    lightning_module,
    lightning_recording,
    lightning_recordings,
    lightning_subject,
)
from lightning_conformance.plugin.keys import DATA, MADE, folder_key, grouped_key, is_in_use
from lightning_conformance.plugin.options import pytest_addoption, pytest_cmdline_main, pytest_configure

__all__ = [
    "lightning_batch",
    "lightning_check",
    "lightning_device",
    "lightning_environment",
    "lightning_module",
    "lightning_recording",
    "lightning_recordings",
    "lightning_subject",
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_collection",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_generate_tests",
    "pytest_make_collect_report",
    "pytest_report_header",
    "pytest_runtest_logreport",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
]

_GROUP = "@lightning:"
_PARAMETRIZED = ("lightning_subject", "lightning_environment", "lightning_check")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Tell what is configured."""
    if not is_in_use(config):
        return []
    from lightning_conformance.plugin.header import header_lines

    return header_lines(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Resolve what the user named, before collection."""
    if is_in_use(session.config):
        from lightning_conformance.plugin.collection import resolve

        resolve(session)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the subjects to what the session collects."""
    report = yield
    if isinstance(collector, pytest.Session) and is_in_use(collector.config):
        from lightning_conformance.plugin.collection import add_subjects

        add_subjects(collector, report)
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize whoever uses the fixtures; no option has to speak of the kit for that."""
    names = [name for name in _PARAMETRIZED if name in metafunc.fixturenames]
    if names:
        from lightning_conformance.plugin.collection import parametrize

        parametrize(metafunc, names)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the diagnosis instead of our own traceback, and attach the verdict."""
    report = yield
    if is_in_use(item.config):
        from lightning_conformance.plugin.outcomes import tell

        tell(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep node ids free of xdist's group suffix, so that they are the same with and without workers."""
    head, group, tail = report.nodeid.rpartition(_GROUP)
    if group and "@" not in tail:
        report.nodeid = head


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was asked for."""
    config = session.config
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    reported = (report for reports in terminal.stats.values() for report in reports) if terminal else ()
    # The workers of pytest-xdist may have judged what only a test file names.
    if is_in_use(config) or folder_key in config.stash or any(hasattr(report, DATA) for report in reported):
        from lightning_conformance.plugin.finishing import finish

        finish(session)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Tell what was checked."""
    if is_in_use(config):
        from lightning_conformance.plugin.terminal import write_summary

        write_summary(terminalreporter, exitstatus, config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule by subject and environment."""
    if not config.stash.get(grouped_key, False):
        return None
    from lightning_conformance.plugin.distribution import scheduler

    return scheduler(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where recordings are shared."""
    from lightning_conformance.plugin.distribution import tell_folder

    tell_folder(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Add up what a worker recorded."""
    made = getattr(node, "workeroutput", {}).get(MADE)
    if made:
        from lightning_conformance.plugin.distribution import add_up

        add_up(node.config, made)
