"""Finds leaves with which an operation would be content, by replaying the tape up to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

import torch

from lightning_conformance.deadline import patient_time
from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.drawing import drawn, is_small
from lightning_conformance.subjects.inference.expectations import TIME, Expectation, Shape
from lightning_conformance.subjects.inference.naming import prior_of
from lightning_conformance.subjects.inference.relations import is_lengths
from lightning_conformance.subjects.inference.shapes import preimages
from lightning_conformance.subjects.inference.standing_in import current_spec, is_sequence, stand_in
from lightning_conformance.subjects.inference.told import as_indexed, as_told, classes_in
from lightning_conformance.subjects.inference.tracing import Stop, Trace, name_of, substituted, tensors_in
from lightning_conformance.subjects.inference.unchecked import PACK, is_safe
from lightning_conformance.subjects.inference.words import meaning_of

PLAIN = frozenset(
    (
        "__add__",
        "__get__",
        "__mul__",
        "__radd__",
        "__rmul__",
        "__rsub__",
        "__sub__",
        "__truediv__",
        "add",
        "bool",
        "clamp",
        "clone",
        "contiguous",
        "cpu",
        "cuda",
        "detach",
        "div",
        "double",
        "dropout",
        "float",
        "half",
        "int",
        "long",
        "made_as",
        "mul",
        "relu",
        "requires_grad_",
        "round",
        "sigmoid",
        "size",
        "sub",
        "tanh",
        "to",
        "type",
        "type_as",
    )
)  # functions that leave the shape as it is
ALTERNATIVES = 4
REPLAYS = 300
SINGLE_NAMES = re.compile(r"user|item|idx|index|label|class|target|^cat(?!s)|category|genre|movie|step")
SEQUENCE_NAMES = re.compile(
    r"seq|hist|token|text|word|sentence|ids|session|src|tgt|context|items$|list|prompt|caption|query"
)
ABOUT_DTYPE = re.compile(
    r"dtype|type\b|not implemented for|\b(long|int|integer|integral|bool|float|floating|complex|double)\b",
    re.IGNORECASE,
)  # messages; where one is about sizes alone, other dtypes would not help
CHOOSING = {"flag", "mask", "padding mask"}  # what such a leaf says of each row, as an index
ADDING = {"__add__", "__iadd__", "__radd__", "add", "add_"}
SQUEEZES = {torch.squeeze, torch.Tensor.squeeze}


class Solver:
    """Replays one trace.

    Args:
        trace: The attempt, up to where it stopped.
        draft: What was fed.
        batch: The batch size.
        seen: Drafts tried before, which are not found again.
    """

    def __init__(self, trace: Trace, draft: Draft, batch: int, seen: set[Draft]) -> None:
        self.trace, self.draft, self.batch, self.seen = trace, draft, batch, seen

    def for_expectation(self, operand: torch.Tensor, path: Path, wanted: Expectation) -> Iterator[TensorSpec]:
        """Leaves at ``path`` that make ``operand`` meet an expectation, the most plausible first."""
        node = self.draft.at(path)
        if _named_bases(node, wanted):
            wanted = replace(wanted, kind="any")

        rows = self._rows(operand, path)

        def is_met(value: torch.Tensor, shape: Shape) -> bool:
            is_shaped = tuple(value.shape) == shape if wanted.weak else self._keeps_batch(value, shape, rows, node)
            return (is_shaped or (node.free and not wanted.weak)) and wanted.is_met_by(value)

        found: set[TensorSpec] = set()
        for goal in self._goals(wanted, node):
            specs = self._specs(path, operand, goal, wanted)
            check = lambda leaf, goal=goal: self._passes(operand, path, leaf, lambda v: is_met(v, goal))  # noqa: E731
            for spec in self._first(path, specs, check, 1 if node.spec else 2):
                if spec not in found:
                    yield spec
                    found.add(spec)
                if len(found) == ALTERNATIVES:
                    return
            if found and node.spec:
                return

    def shared(self, operand: torch.Tensor, path: Path, wanted: Expectation) -> Iterator[Draft]:
        """Drafts in which two leaves that are joined side by side have, together, as many columns as are expected."""
        pair = [twin for twin in self.trace.twins(path) if twin in self.trace.stand_ins]
        goal = min(wanted.shapes, key=len)
        if len(pair) != 2 or len(goal) != 2 or self.draft.has_samples:
            return
        known = [int(node.spec.shape[-1]) for _, node in self.draft.leaves() if node.spec and len(node.spec.shape) == 2]
        widths = [width for width in dict.fromkeys([*known, *range(1, goal[1])]) if width < goal[1]]
        for width in widths[: ALTERNATIVES * 2]:
            specs = [TensorSpec((self.batch, width)), TensorSpec((self.batch, goal[1] - width))]
            leaves = {twin: drawn(spec) for twin, spec in zip(pair, specs, strict=True)}
            value = self.trace.replayed(operand, pair[0], leaves)
            if value is not None and tuple(value.shape) == goal:
                yield self.draft.with_spec(pair[0], specs[0]).with_spec(pair[1], specs[1])

    def for_failure(self, stop: Stop, operand: torch.Tensor, path: Path) -> Iterator[TensorSpec]:
        """Leaves at ``path`` with which the operation that failed would run."""
        twins = [self.trace.leaves[twin] for twin in self.trace.twins(path)]

        def runs(value: torch.Tensor) -> bool:
            known = {id(operand): value}
            if operand is self.trace.leaves[path]:
                known.update((id(twin), value) for twin in twins)
            if not is_safe(stop.func, substituted(stop.args, known)):
                return False
            try:
                with torch.no_grad():
                    result = stop.func(*substituted(stop.args, known), **substituted(stop.kwargs, known))
            except Exception:
                return False
            rows = next(tensors_in(result), None)
            if stop.func is PACK:
                return True  # its result is all steps of all sequences
            return self.draft.at(path).free or rows is None or rows.dim() == 0 or self.batch in rows.shape[:2]

        others = [tuple(t.shape) for t, _ in stop.operands if t is not operand]
        is_of_dtype = bool(ABOUT_DTYPE.search(str(stop.error)))
        classes = TensorSpec((), "int", 0, classes_in(stop))
        specs = chain(
            as_told(self.draft, path, stop, self.batch),
            as_indexed(self.draft, path, stop, self.batch),
            self._failing(path, operand, others, is_of_dtype, classes),
        )
        return self._first(path, specs, lambda leaf: self._passes(operand, path, leaf, runs), 2)

    def _passes(
        self, operand: torch.Tensor, path: Path, leaf: torch.Tensor, check: Callable[[torch.Tensor], bool]
    ) -> bool:
        value = self.trace.replay(operand, path, leaf)
        return value is not None and check(value)

    def _first(
        self, path: Path, specs: Iterator[TensorSpec], check: Callable[[torch.Tensor], bool], count: int
    ) -> Iterator[TensorSpec]:
        trace, is_free = self.trace, self.draft.at(path).free
        for tried, spec in enumerate(specs):
            if tried > REPLAYS or trace.replaying > trace.allowance or patient_time() > trace.deadline:
                return
            if not is_small(spec):
                continue
            if not is_free and spec.shape and self.batch not in spec.shape[:2]:
                continue
            started = time.thread_time()  # of this thread alone, so that a busy machine finds no less
            passes = self.draft.with_spec(path, spec) not in self.seen and check(drawn(spec))
            trace.replaying += time.thread_time() - started
            if passes:
                yield spec
                count -= 1
            if not count:
                return

    def _keeps_batch(self, value: torch.Tensor, goal: Shape, rows: set[int], node: Draft) -> bool:
        if value.dim() == 0 or not goal:
            return True
        if is_sequence(node) and len(goal) > 1 and goal[1] == node.steps:
            # All steps of all sequences, or, where they are packed, those that there are.
            is_joined = value.dim() == len(goal) - 1 and value.shape[0] in rows | {goal[0] * goal[1]}
            return is_joined or (value.dim() == len(goal) and value.shape[0] == goal[0])
        return value.shape[0] == goal[0] or bool(rows & set(value.shape[:2]))

    def _rows(self, operand: torch.Tensor, path: Path) -> set[int]:
        """Sizes of the batch dimension that are in order: a split halves it, a concatenation doubles it."""
        names = {name_of(o) for o in self.trace.chain(operand, path)}
        rows = {self.batch}
        if names & {"chunk", "split", "tensor_split"}:
            rows.add(self.batch // 2)
        if names & {"cat", "concat", "repeat", "repeat_interleave"}:
            rows.add(self.batch * 2)
        if "_pack_padded_sequence" in names:
            rows.add(int(operand.shape[0]))
        return rows

    def _goals(self, wanted: Expectation, node: Draft) -> tuple[Shape, ...]:
        if is_sequence(node):
            timed = [s for s in wanted.shapes if len(s) > 1 and s[1] == TIME]
            goals = [(s[0], node.steps, *s[2:]) for s in timed]
            return (*goals, *(s for s in wanted.shapes if s not in timed))
        # Where the code asked for its dimensions, there are several.
        name = (node.name or "").lower()
        is_single = bool(SINGLE_NAMES.search(name)) or (not SEQUENCE_NAMES.search(name) and self._are_single())
        return (
            tuple(sorted(wanted.shapes, key=len))
            if wanted.sequence and is_single and not node.is_ranked
            else wanted.shapes
        )

    def _are_single(self) -> bool:
        """Whether the indices that are known are one a sample: a user's, so that the item's will be, too."""
        ranks = {len(leaf.spec.shape) for _, leaf in self.draft.leaves() if leaf.spec and leaf.spec.dtype == "int"}
        return ranks == {1}

    def is_reshaped(self, operand: torch.Tensor, path: Path) -> bool:
        """Whether something between the leaf and the operand may change the shape."""
        chain = self.trace.chain(operand, path)
        return any(name_of(o) not in PLAIN for o in chain)

    def _specs(self, path: Path, operand: torch.Tensor, goal: Shape, wanted: Expectation) -> Iterator[TensorSpec]:
        node = self.draft.at(path)
        current = current_spec(node, self.batch)
        shape = tuple(int(d) for d in current.shape) if node.spec else None
        reshaped = self.is_reshaped(operand, path)
        for base in [*_named_bases(node, wanted), *_bases(node.spec, wanted)]:
            if shape is not None and base is not node.spec:
                yield replace(base, shape=shape)
            if shape is None and reshaped:
                yield from (replace(base, shape=s) for s in self._by_the_way(path, operand, goal))
            for candidate in preimages(goal, self.batch, reshaped, shape if base is node.spec else None):
                if node.free and candidate and candidate[0] in (self.batch, 1):
                    yield replace(base, shape=candidate[1:])
                yield replace(base, shape=candidate)
        is_offset = any(name_of(operation) in ADDING for operation in self.trace.chain(operand, path))
        if wanted.kind == "int" and wanted.high is not None and is_offset:
            # A table of all columns' categories, one after the other.
            for part in (2, 4, 8, 16):
                yield TensorSpec(shape or goal, "int", 0, max(2, int(wanted.high) // part))

    def _by_the_way(self, path: Path, operand: torch.Tensor, goal: Shape) -> Iterator[Shape]:
        """What the way to the operand speaks for: a dimension of one where it squeezes; the shape of another leaf."""
        for operation in self.trace.chain(operand, path):
            dim = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("dim")
            if operation.func in SQUEEZES and isinstance(dim, int) and -len(goal) - 1 <= dim <= len(goal) and dim:
                at = dim % (len(goal) + 1)
                yield (*goal[:at], 1, *goal[at:])
        for _, other in self.draft.leaves():
            shape = tuple(int(d) for d in other.spec.shape) if other.spec is not None else ()
            if len(shape) > len(goal) and torch.Size(shape).numel() == torch.Size(goal).numel():
                yield shape

    def _failing(
        self, path: Path, operand: torch.Tensor, others: list[Shape], is_of_dtype: bool, classes: TensorSpec
    ) -> Iterator[TensorSpec]:
        node = self.draft.at(path)
        base = current_spec(node, self.batch)
        shape = tuple(int(d) for d in base.shape)
        dtypes = [base, *(s for s in (classes, TensorSpec(())) if s.dtype != base.dtype)]
        for _, other_leaf in self.draft.leaves():
            if other_leaf.spec is not None and other_leaf is not node:
                yield replace(base, shape=other_leaf.spec.shape)
        if base.low is not None and base.high is not None and base.high - base.low > 1:
            yield replace(base, low=base.high - 1)
        for candidate in dtypes[1:]:
            yield replace(candidate, shape=shape)
        if node.spec is None:
            yield from (stand_in(rank, self.batch, node) for rank in (2, 3, 4, 5))
        for spec in dtypes if is_of_dtype else dtypes[:1]:
            for other in others:
                for found in preimages(other, self.batch, self.is_reshaped(operand, path), shape):
                    yield replace(spec, shape=found)
            if not others:
                yield from (replace(spec, shape=s) for s in preimages(shape, self.batch, True, shape))
        ranks = (2, 3) if base.dtype == "int" else (2, 3, 4, 5)  # tokens of rank 4 would be a great many
        yield from (replace(base, shape=stand_in(rank, self.batch, node).shape) for rank in ranks)


def _bases(known: TensorSpec | None, wanted: Expectation) -> list[TensorSpec]:
    """The dtypes and ranges worth trying, as tensors without a shape."""
    if wanted.kind == "int":
        fresh = [TensorSpec((), "int", wanted.low or 0, wanted.high or 2), TensorSpec(())]
    elif wanted.low is not None and wanted.high is not None:
        binary = TensorSpec((), "float", 0, 2, whole=True)
        unit = TensorSpec((), "float", 0.0, 1.0)
        fresh = (
            [unit if known and wanted.kind == "float" else binary]
            if wanted.whole
            else [replace(unit, low=wanted.low, high=wanted.high)]
        )
    else:
        fresh = [TensorSpec(())]
    return ([known] if known else []) + fresh


def _named_bases(node: Draft, wanted: Expectation) -> list[TensorSpec]:
    """Where the consumer says little, the leaf's name may say more."""
    if node.spec is None and is_lengths(node) and wanted.low is None:
        steps = node.steps or TIME
        return [TensorSpec((), "int", steps, steps + 1)]
    if node.spec is None and wanted.index and meaning_of(node.name) in CHOOSING:
        return [TensorSpec((), "bool")]
    if node.spec is not None or not wanted.weak or wanted.kind == "int" or wanted.whole:
        return []
    prior = prior_of(node.name, rank=max(map(len, wanted.shapes), default=None))
    return [prior] if prior else []
