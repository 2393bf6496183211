"""Conformance tests for PyTorch Lightning modules.

The names below are loaded when they are first used: importing the package imports neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lightning_conformance.api import check_module
    from lightning_conformance.checks.verdict import Finding, Verdict
    from lightning_conformance.declaring import conformance
    from lightning_conformance.errors import SubjectError, UsageError
    from lightning_conformance.plugin.suite import LightningConformance, parametrize_with_checks
    from lightning_conformance.recording.model import Recording
    from lightning_conformance.reporting.report import ConformanceError, Report

_HOMES = {
    "ConformanceError": "reporting.report",
    "Finding": "checks.verdict",
    "LightningConformance": "plugin.suite",
    "Recording": "recording.model",
    "Report": "reporting.report",
    "SubjectError": "errors",
    "UsageError": "errors",
    "Verdict": "checks.verdict",
    "check_module": "api",
    "conformance": "declaring",
    "parametrize_with_checks": "plugin.suite",
}

__all__ = [
    "ConformanceError",
    "Finding",
    "LightningConformance",
    "Recording",
    "Report",
    "SubjectError",
    "UsageError",
    "Verdict",
    "__version__",
    "check_module",
    "conformance",
    "parametrize_with_checks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
