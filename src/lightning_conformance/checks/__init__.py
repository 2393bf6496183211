"""The checks: pure functions from a Recording to a Verdict, one file a family."""

from __future__ import annotations

from lightning_conformance.checks import (
    closure,
    completion,
    kept,
    logging,
    logging_calls,
    logging_keys,
    logging_mean,
    logging_weights,
    loss,
    metric_objects,
    monitors,
    names,
    parameters,
    reproducibility,
    seeding,
    tools,
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
    "find_check",
    "judge",
    "kept",
    "logging",
    "logging_calls",
    "logging_keys",
    "logging_mean",
    "logging_weights",
    "loss",
    "metric_objects",
    "monitors",
    "names",
    "parameters",
    "reproducibility",
    "seeding",
    "tools",
    "verdict_of",
]
