"""The checks: pure functions from a Recording to a Verdict, one file a family."""

from __future__ import annotations

from lightning_conformance.checks import (
    batches,
    closure,
    completion,
    datasets,
    device,
    learning,
    logging,
    logging_mean,
    loss,
    memory,
    operands,
    parameters,
    reproducibility,
    state,
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
    "batches",
    "closure",
    "completion",
    "datasets",
    "device",
    "find_check",
    "judge",
    "learning",
    "logging",
    "logging_mean",
    "loss",
    "memory",
    "operands",
    "parameters",
    "reproducibility",
    "state",
    "verdict_of",
]
