"""What a leaf is fed as, while little is known of it."""

from __future__ import annotations

from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.drafts import Draft
from lightning_conformance.subjects.inference.expectations import SIDE, TIME
from lightning_conformance.subjects.inference.naming import prior_of
from lightning_conformance.subjects.inference.relations import is_lengths
from lightning_conformance.subjects.inference.words import meaning_of

STAND_INS = {0: (), 1: (TIME + 4,), 2: (TIME + 4, 8), 3: (3, SIDE, SIDE), 4: (3, 8, SIDE, SIDE)}
TOLD_BY_NAME = {"mask", "attention mask", "padding mask", "flag", "timestep"}  # whatever consumes them


def stand_in(rank: int, batch: int, node: Draft) -> TensorSpec:
    """What an unknown leaf is fed as, were it of that rank; without a batch dimension where it is free of one."""
    rest = STAND_INS[min(max(rank - 1, 0), 4)]
    if node.steps and len(rest) in (1, 2):
        rest = (node.steps, *rest[1:])
    return TensorSpec(rest if node.free else (batch, *rest))


def current_spec(node: Draft, batch: int) -> TensorSpec:
    """What a leaf is fed as: what is known of it, else what its name says, else a stand-in."""
    if node.spec is not None:
        return node.spec.with_batch_size(batch)
    unknown = stand_in(node.rank, batch, node)
    if node.rank == 1 and is_lengths(node):
        steps = node.steps or TIME
        return replace(unknown, dtype="int", low=steps, high=steps + 1)
    prior = prior_of(node.name, rank=node.rank) if meaning_of(node.name) in TOLD_BY_NAME else None
    return replace(prior, shape=unknown.shape) if prior else unknown


def is_sequence(node: Draft) -> bool:
    """Whether a leaf belongs to lengths."""
    return bool(node.steps) and not is_lengths(node)
