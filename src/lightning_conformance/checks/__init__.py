"""The checks: pure functions from a Recording to a Verdict, one file a family or topic. A new file needs no list."""

from __future__ import annotations

import importlib
import pkgutil

from lightning_conformance.checks.registry import CHECKS, FAMILIES, Check, all_checks, find_check, judge, verdict_of
from lightning_conformance.checks.verdict import (
    Finding,
    Inconclusive,
    NotApplicable,
    Outcome,
    Severity,
    Verdict,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "CHECKS",
    "FAMILIES",
    "Check",
    "Finding",
    "Inconclusive",
    "NotApplicable",
    "Outcome",
    "Severity",
    "Verdict",
    "all_checks",
    "find_check",
    "judge",
    "verdict_of",
]
