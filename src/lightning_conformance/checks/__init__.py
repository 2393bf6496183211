"""The checks: pure functions from a Recording to a Verdict, one file a family."""

from __future__ import annotations

from lightning_conformance.checks import closure, completion, logging, logging_mean, loss, parameters
from lightning_conformance.checks.registry import CHECKS, Check, all_checks, find_check, judge
from lightning_conformance.checks.verdict import (
    Finding,
    Inconclusive,
    NotApplicable,
    Outcome,
    Severity,
    Verdict,
)

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Inconclusive",
    "NotApplicable",
    "Outcome",
    "Severity",
    "Verdict",
    "all_checks",
    "closure",
    "completion",
    "find_check",
    "judge",
    "logging",
    "logging_mean",
    "loss",
    "parameters",
]
