"""The end of a session: what the workers made is added up, and files are written."""

from __future__ import annotations

import pytest

from lightning_conformance.plugin.distribution import hand_on, is_worker
from lightning_conformance.plugin.known import settle_baseline
from lightning_conformance.plugin.outcomes import gather
from lightning_conformance.plugin.reports import write_reports
from lightning_conformance.plugin.state import state_key


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was asked for; the summary tells what was written."""
    config = session.config
    hand_on(config)
    state = config.stash.get(state_key, None)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if state is None or is_worker(config) or terminal is None or config.option.collectonly:
        return
    reported = (report for reports in terminal.stats.values() for report in reports)
    gather(state, (report for report in reported if isinstance(report, pytest.TestReport)))
    told, all_written = write_reports(config)
    state.written = [*settle_baseline(config), *told]
    if state.settings.freeze:
        from lightning_conformance.plugin.freezing import freeze

        state.written.extend(freeze(config))
    if not all_written and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
