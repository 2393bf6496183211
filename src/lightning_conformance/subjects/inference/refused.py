"""Drafts with other values, where the code or a distribution looked at a leaf's values and refused them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.attempts import Outcome
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.standing_in import current_spec

# "Expected value argument (...) to be within the support (Interval(lower_bound=0.0, upper_bound=1.0)) of ..."
_SUPPORT = re.compile(r"to be within the support \((\w+)\((?:lower_bound=([-\d.]+))?(?:, upper_bound=([-\d.]+))?")


def supported_drafts(outcome: Outcome, error: Exception, batch: int) -> Iterator[Draft]:
    """The drafts whose values are in the support of the distribution that refused them."""
    support = _SUPPORT.search(str(error))
    if support is None:
        return
    for path in _looked_at(outcome) or unknown_first(outcome.draft, outcome.trace.used):
        known = current_spec(outcome.draft.at(path), batch)
        low, high = (float(bound) if bound else None for bound in (support[2], support[3]))
        yield outcome.draft.with_spec(path, _within(known, support[1], low, high))


def _within(known: TensorSpec, support: str, low: float | None, high: float | None) -> TensorSpec:
    if support == "Boolean":
        return replace(known, low=0, high=2, whole=known.dtype == "float")
    if support.startswith("Integer"):
        first = int(low or 0)
        return replace(known, dtype="int", low=first, high=first + 5 if high is None else int(high) + 1, whole=False)
    first_float = low or 0.0
    return replace(known, dtype="float", low=first_float, high=first_float + 1 if high is None else high, whole=False)


def drafts_in_range(outcome: Outcome, batch: int) -> Iterator[Draft]:
    """Where the user's code refuses a leaf's values, just after it compared them: fractions, and zeros and ones."""
    for path in _looked_at(outcome):
        known = current_spec(outcome.draft.at(path), batch)
        if known.dtype == "float":
            yield outcome.draft.with_spec(path, replace(known, low=0.0, high=1.0, whole=False))
            yield outcome.draft.with_spec(path, replace(known, low=0, high=2, whole=True))


def _looked_at(outcome: Outcome) -> list[Path]:
    """The leaves that the last operation asked a yes or no about."""
    trace = outcome.trace
    last = trace.tape[-1].outputs[0] if trace.tape else None
    if last is None or last.dtype != torch.bool or last.dim():
        return []
    return unknown_first(outcome.draft, trace.leaves_of(last))


def unknown_first(draft: Draft, leaves: Iterable[Path]) -> list[Path]:
    """Leaves in the order in which they are worth changing: those that nothing is known of come first."""
    return sorted(leaves, key=lambda path: (draft.at(path).spec is not None, [-ord(c) for c in str(path)]))
