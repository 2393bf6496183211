"""Why a trainable parameter does not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from lightning_conformance.recording.model import OptimizerStepped, ParameterFacts, Recording


def _rates(recording: Recording, parameter: ParameterFacts) -> list[float]:
    """The learning rates of the steps of its optimizers; groups cannot be told apart, so all of them."""
    return [
        rate
        for step in recording.all(OptimizerStepped)
        if step.optimizer in parameter.optimizers
        for rate in step.learning_rates
    ]


def _had_gradient(recording: Recording, parameter: ParameterFacts) -> bool:
    steps = [s for s in recording.all(OptimizerStepped) if s.optimizer in parameter.optimizers]
    return any(s.nonzero for s in steps)


def classify(recording: Recording, parameter: ParameterFacts) -> str:
    """Why a trainable parameter does not change, in a word or two."""
    if parameter.switched_off:
        return "switched off"
    if parameter.gradient == "nonzero":
        if not parameter.optimizers:
            return "late" if parameter.late else "no optimizer"
        rates = _rates(recording, parameter)
        if not rates:
            return "not stepped"
        if not _had_gradient(recording, parameter):
            return "cleared"
        return "rate zero" if 0.0 in rates else "too small"
    if parameter.gradient == "zero":
        return "zero gradient"
    if parameter.in_graph:
        return "no optimizer" if not parameter.optimizers else "not differentiated"
    return "cut off" if parameter.ran else "unused"


def by_cause(recording: Recording, parameters: Iterable[ParameterFacts]) -> Iterator[tuple[str, list[ParameterFacts]]]:
    """The parameters, gathered by why they do not change."""
    keyed = sorted(((classify(recording, p), p) for p in parameters), key=lambda pair: pair[0])
    for cause, pairs in groupby(keyed, key=lambda pair: pair[0]):
        yield cause, [p for _, p in pairs]


def alive(recording: Recording, parameter: ParameterFacts) -> bool:
    """Whether another parameter of the same layer learns: then the loss just does not depend on this one.

    A bias before BatchNorm, or one that cancels in a difference, has no gradient but rounding errors.
    """
    layer = parameter.name.rpartition(".")[0]
    return any(
        p.changed and p.gradient == "nonzero" and p.name.rpartition(".")[0] == layer for p in recording.parameters
    )
