"""The checks: pure functions from a Recording to a Verdict, one file a family."""

from __future__ import annotations

from lightning_conformance.checks import (
    closure,
    completion,
    device,
    logging,
    logging_mean,
    loss,
    parameters,
    reproducibility,
)
from lightning_conformance.checks.registry import CHECKS, FAMILIES, Check, all_checks, find_check, judge, verdict_of
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
    "FAMILIES",
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
    "device",
    "find_check",
    "judge",
    "logging",
    "logging_mean",
    "loss",
    "parameters",
    "reproducibility",
    "verdict_of",
]
