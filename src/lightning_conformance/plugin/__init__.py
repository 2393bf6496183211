"""The pytest plugin; the only code of the kit that imports pytest.

Loading it imports neither torch nor Lightning: a pytest run that does not use the kit pays nothing.
"""

from __future__ import annotations

from lightning_conformance.plugin.collection import (
    pytest_collection,
    pytest_generate_tests,
    pytest_make_collect_report,
)
from lightning_conformance.plugin.distribution import (
    pytest_configure_node,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
)
from lightning_conformance.plugin.finishing import pytest_sessionfinish
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
from lightning_conformance.plugin.header import pytest_report_header
from lightning_conformance.plugin.options import pytest_addoption, pytest_cmdline_main, pytest_configure
from lightning_conformance.plugin.outcomes import pytest_runtest_logreport, pytest_runtest_makereport
from lightning_conformance.plugin.terminal import pytest_terminal_summary

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
