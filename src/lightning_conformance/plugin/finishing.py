"""The end of a session: what the workers made is added up, and files are written."""

from __future__ import annotations

import pytest

from lightning_conformance.plugin.distribution import hand_on, is_worker
from lightning_conformance.plugin.keys import DATA, is_in_use
from lightning_conformance.plugin.known import settle_baseline
from lightning_conformance.plugin.outcomes import gather
from lightning_conformance.plugin.reports import write_reports
from lightning_conformance.plugin.state import state_of


def finish(session: pytest.Session) -> None:
    """Write what was asked for; the summary tells what was written."""
    config = session.config
    hand_on(config)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if is_worker(config) or terminal is None or config.option.collectonly:
        return
    reported = [r for reports in terminal.stats.values() for r in reports if isinstance(r, pytest.TestReport)]
    if not is_in_use(config) and not any(hasattr(report, DATA) for report in reported):
        return
    state = state_of(config)
    gather(state, reported)
    told, all_written = write_reports(config)
    state.written = [*settle_baseline(config), *told]
    if state.settings.freeze:
        from lightning_conformance.plugin.freezing import freeze

        state.written.extend(freeze(config))
    if not all_written and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
