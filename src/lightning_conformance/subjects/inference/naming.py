"""What values a leaf has, told by its name: before anything is known of it, and after the search found it.

A name is a hint and no proof. What a refined batch breaks shows when it is run; then the unrefined one holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import Dim, Form, TensorSpec
from lightning_conformance.subjects.inference.expectations import TIME, Kind
from lightning_conformance.subjects.inference.words import Meaning, meaning_of, words_of

TIMESTEPS = 10
COUNTS = 5
LOW, UNIT = 0.1, 1.0  # fractions keep away from zero: they are divided by, and logarithms are taken of them
LARGE = 3.0
NEED_POSITIVE = frozenset(("log", "log2", "log10", "log_", "sqrt", "rsqrt", "reciprocal"))
NEED_COUNTS = frozenset(("poisson_nll_loss", "log1p"))
COMPLEMENTS = frozenset(("rsub", "__rsub__"))  # 1 - y, beside y: zeros and ones
LOSSES = frozenset(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"))
NEED_PROBABILITIES = frozenset(("kl_div",))

_INDEX = TensorSpec((), "int", 0, 2)
_BINARY = TensorSpec((), "float", 0, 2, whole=True)
_FRACTION = TensorSpec((), "float", LOW, UNIT)
_UNIT = TensorSpec((), "float", 0.0, UNIT)

_PRIORS: dict[Meaning, tuple[TensorSpec, ...]] = {
    "mask": (_INDEX, _BINARY),
    "attention mask": (_INDEX, _BINARY),
    "padding mask": (TensorSpec((), "bool"), _BINARY),
    "lengths": (TensorSpec((), "int", 1, TIME + 1), _FRACTION),
    "edges": (_INDEX,),
    "samples of rows": (_INDEX,),
    "boxes": (TensorSpec((), "float", 0.0, UNIT),),
    "flag": (_BINARY, _INDEX),
    "log probability": (TensorSpec((), "float", -LARGE, -LOW),),
    "probability": (_FRACTION,),
    "fraction": (_FRACTION,),
    "image": (_UNIT,),
    "audio": (TensorSpec((), "float", -UNIT, UNIT),),
    "timestep": (TensorSpec((), "int", 0, TIMESTEPS), _UNIT),
    "count": (TensorSpec((), "float", 0, COUNTS, whole=True), TensorSpec((), "int", 0, COUNTS)),
    "positive": (TensorSpec((), "float", LOW, LARGE),),
    "action": (_INDEX, TensorSpec(())),
    "reward": (TensorSpec(()),),
    "index": (_INDEX,),
}  # the most plausible first


def prior_of(name: str | None, kind: Kind = "any", rank: int | None = None) -> TensorSpec | None:
    """Dtype and range of a leaf that nothing but its name is known of, as a tensor without a shape.

    Args:
        name: What the module's code calls it.
        kind: What the consumer demands; ``any`` where it would take floats and whole numbers alike.
        rank: How many dimensions it has, the batch dimension included; None where that is not known.

    Returns:
        None where the name says nothing, or speaks against the consumer or the rank.
    """
    meaning = meaning_of(name)
    if meaning is None or (rank is not None and rank < _least_rank(meaning)):
        return None
    priors = _PRIORS[meaning]
    if meaning == "action" and rank is not None and rank > 1:
        priors = priors[::-1]  # one number a sample chooses an action, several are an action
    return next((spec for spec in priors if _is_of_kind(spec, kind)), None)


def _least_rank(meaning: Meaning) -> int:
    return {"image": 3, "audio": 2, "boxes": 2, "edges": 2}.get(meaning, 0)


def _is_of_kind(spec: TensorSpec, kind: Kind) -> bool:
    return kind == "any" or spec.torch_dtype.is_floating_point == (kind == "float")


def refined(
    spec: TensorSpec,
    name: str | None,
    others: Mapping[str, TensorSpec] | None = None,
    consumers: Collection[str] = (),
) -> TensorSpec:
    """A tensor that the search found, with the values that its name speaks of.

    Shape and dtype stay. A range that some consumer demanded stays, too, or becomes narrower; only the
    range that stands for "whole numbers of some kind" (0 and 1) gives way to a larger one.

    Args:
        spec: What was found.
        name: What the module's code calls it.
        others: The other leaves by name: lengths and indices refer to them.
        consumers: Names of the functions that the leaf goes into as it is.
    """
    meaning = meaning_of(name)
    refine = _REFINERS.get(meaning) if meaning is not None else None
    found = refine(spec, name or "", others or {}) if refine is not None else spec
    return _as_consumed(spec, found, frozenset(consumers))


def _as_consumed(spec: TensorSpec, found: TensorSpec, consumers: frozenset[str]) -> TensorSpec:
    """The values with which the leaf's consumers give finite numbers."""
    if not _is_free(spec):
        return found
    is_positive = found.form == "simplex" or (found.low is not None and found.low > 0)
    if consumers & COMPLEMENTS and "mul" in consumers | {c.strip("_") for c in consumers} and not consumers & LOSSES:
        return replace(found, low=0, high=2, whole=True, form=None) if _is_free(found) else found
    if consumers & NEED_PROBABILITIES and _is_wide(spec):
        return replace(spec, form="simplex")
    if consumers & NEED_POSITIVE and not is_positive:
        form = found.form if found.form == "boxes" else None
        return replace(spec, low=LOW, high=LARGE, form=form)
    if consumers & NEED_COUNTS and _is_free(found):
        return replace(spec, low=0, high=COUNTS, whole=True)
    return found


def _is_free(spec: TensorSpec) -> bool:
    """Floats that nobody demanded anything of."""
    is_float = spec.torch_dtype.is_floating_point and not spec.whole
    return is_float and spec.low is None and spec.high is None and spec.form is None


def _is_any_whole(spec: TensorSpec) -> bool:
    """Whole numbers that nobody demanded anything of, or just two of them."""
    is_whole = spec.dtype != "bool" and spec.is_whole and not spec.whole and not spec.below_batch
    return is_whole and spec.low in (None, 0) and spec.high in (None, 2) and spec.form is None


def _is_wide(spec: TensorSpec) -> bool:
    return len(spec.shape) > 1 and isinstance(spec.shape[-1], int) and spec.shape[-1] > 1


def _within(low: float, high: float, whole: bool = False, rank: int = 0) -> Callable[..., TensorSpec]:
    """Gives free floats a range, from so many dimensions on."""

    def refine(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
        is_meant = _is_free(spec) and len(spec.shape) >= rank
        return replace(spec, low=low, high=high, whole=whole) if is_meant else spec

    return refine


_binary, _fraction = _within(0, 2, whole=True), _within(LOW, UNIT)


def _masked(form: Form) -> Callable[..., TensorSpec]:
    """Gives a mask over the steps of sequences its form."""

    def refine(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
        mask = _binary(spec, name, others)
        is_binary = mask.dtype == "bool" or mask.whole or _is_any_whole(mask)
        is_binary = is_binary and mask.low in (None, 0) and mask.high in (None, 2) and not mask.below_batch
        # A square one is rather a mask of steps against steps.
        is_over_steps = len(mask.shape) == 2 and mask.shape[0] != mask.shape[1] and mask.shape[1] != 1
        return replace(mask, form=form) if is_binary and is_over_steps and mask.form is None else mask

    return refine


def _lengths(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    if not spec.is_whole or spec.dtype == "bool" or spec.whole or len(spec.shape) != 1 or spec.form is not None:
        return _fraction(spec, name, others)
    if not _is_any_whole(spec):
        is_from_zero = spec.low in (None, 0) and spec.high is not None
        return replace(spec, low=1 if is_from_zero else spec.low, form="falling")
    longest = _longest(name, others)
    return spec if longest is None else replace(spec, low=1, high=longest + 1, form="falling")


def _longest(name: str, others: Mapping[str, TensorSpec]) -> int | None:
    """The time dimension of the leaf that lengths belong to: the one of the same stem, or the first there is."""
    stem = set(words_of(name)[:-1])
    padded = [(set(words_of(other)), spec) for other, spec in others.items() if len(spec.shape) > 1]
    of_stem = [spec for words, spec in padded if stem & words]
    for spec in [*of_stem, *(spec for _, spec in padded)]:
        time = spec.shape[1] if len(spec.shape) < 4 else spec.shape[-1]
        if isinstance(time, int) and time > 1:
            return time
    return None


def _edges(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    nodes = _nodes(others)
    if nodes is None or not spec.is_whole or spec.dtype == "bool" or spec.shape[:1] != (2,) or spec.below_batch:
        return spec
    if nodes == "B":
        return replace(spec, low=None, high=None, below_batch=True) if _is_any_whole(spec) else spec
    is_beyond = spec.high is not None and spec.high > nodes
    return replace(spec, low=0, high=nodes) if is_beyond or _is_any_whole(spec) else spec


def _nodes(others: Mapping[str, TensorSpec]) -> Dim | None:
    return next((others[name].shape[0] for name in ("x", "pos", "z") if name in others and others[name].shape), None)


def _samples_of_rows(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    is_of_graph = any(meaning_of(other) == "edges" for other in others)
    if not is_of_graph or len(spec.shape) != 1 or not _is_any_whole(spec):
        return spec
    return replace(spec, low=None, high=None, below_batch=True, form="rising")


def _boxes(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    is_corners = len(spec.shape) > 1 and spec.shape[-1] == 4 and spec.form is None and not spec.below_batch
    if not is_corners or spec.whole or spec.torch_dtype.is_complex:
        return spec
    if spec.is_whole:
        return replace(spec, low=None, high=None, form="boxes") if _is_any_whole(spec) else spec
    return replace(spec, form="boxes") if spec.low != spec.high or spec.low is None else spec


def _probability(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    is_distribution = _is_free(spec) and _is_wide(spec)
    return replace(spec, form="simplex") if is_distribution else _fraction(spec, name, others)


def _timestep(spec: TensorSpec, name: str, others: Mapping[str, TensorSpec]) -> TensorSpec:
    return replace(spec, low=0, high=TIMESTEPS) if _is_any_whole(spec) else _within(0.0, UNIT)(spec, name, others)


_REFINERS: dict[Meaning, Callable[[TensorSpec, str, Mapping[str, TensorSpec]], TensorSpec]] = {
    "mask": _binary,
    "attention mask": _masked("prefix"),
    "padding mask": _masked("suffix"),
    "lengths": _lengths,
    "edges": _edges,
    "samples of rows": _samples_of_rows,
    "boxes": _boxes,
    "flag": _binary,
    "log probability": _within(-LARGE, -LOW),
    "probability": _probability,
    "fraction": _fraction,
    "image": _within(0.0, UNIT, rank=3),
    "audio": _within(-UNIT, UNIT, rank=2),
    "timestep": _timestep,
    "count": _within(0, COUNTS, whole=True),
    "positive": _within(LOW, LARGE),
}
