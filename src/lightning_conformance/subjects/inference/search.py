"""The search: each attempt's outcome says how to change the draft; the most plausible draft goes first."""

from __future__ import annotations

import heapq
import itertools
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from lightning_conformance.deadline import patient_time
from lightning_conformance.lightning_api import is_lightning_file
from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.attempts import Attempts, Outcome
from lightning_conformance.subjects.inference.drafts import Draft, Path, grown_tuple
from lightning_conformance.subjects.inference.drawing import is_small
from lightning_conformance.subjects.inference.probes import Revealed
from lightning_conformance.subjects.inference.refused import drafts_in_range, supported_drafts, unknown_first
from lightning_conformance.subjects.inference.relations import is_lengths, related
from lightning_conformance.subjects.inference.seeds import Examples
from lightning_conformance.subjects.inference.solving import Solver
from lightning_conformance.subjects.inference.standing_in import current_spec, stand_in
from lightning_conformance.subjects.inference.structure import (
    completed_drafts,
    keyed_drafts,
    longer_drafts,
    recounted_drafts,
    revealed_drafts,
)
from lightning_conformance.subjects.inference.told import drafts_of_lengths, in_proportion
from lightning_conformance.subjects.inference.tracing import BatchPlaced, Mismatch, RankRevealed, Stop
from lightning_conformance.subjects.inference.words import is_picture

OWN_ERRORS = (NameError, ImportError, RecursionError)
OWN_UNLESS_OF_A_LEAF = (NotImplementedError, OSError, KeyError)
AUTOGRAD = re.compile(r"Inference tensors|leaf [Vv]ariable that requires grad|backward through the graph")
SAME_ERROR_LIMIT = 4
CONTAINER = re.compile(
    r"\bTensor\b|\btuple\b|\bdict\b|\blist\b|Probe|positional|required|multiple values|unexpected|unpack"
)
LIKELY_SIZES = (1, 2, 3, 4, 6, 8, 16, 32)
KEPT_BYTES = 2**23  # of a tape; what a larger one leads to is found at once, so that it can be let go
PATIENCE = 30  # attempts without one that gets further
ABOUT_VALUES = (ValueError, IndexError, KeyError, AssertionError)
ENOUGH_AFTER_SUCCESS = 12


@dataclass
class Report:
    """Where the search got to.

    Args:
        best: The best attempt that ran.
        furthest: The attempt that failed latest.
        own: The attempt that met the module's own error, where there is one.
        dead_end: A use of the batch that no spec can stand for.
    """

    best: Outcome | None = None
    furthest: Outcome | None = None
    own: Outcome | None = None
    dead_end: str = ""


class Search:
    """Best-first over drafts.

    Args:
        attempts: Runs them.
        budget: How many attempts there may be.
        examples: Tensors of the batch that are known.
        start: The draft to start from.
    """

    def __init__(self, attempts: Attempts, budget: int, examples: Examples, start: Draft | None = None) -> None:
        self.attempts, self.budget, self.examples = attempts, budget, examples
        self.batch = attempts.batch
        self.report = Report()
        self._order = itertools.count()
        self._queue: list[tuple[float, int, int, Iterator[Draft]]] = []
        self._furthest, self._idle = (0, 0), 0
        self._errors: dict[str, set[Draft]] = {}
        self._suspect: Outcome | None = None
        self._push(iter([start or Draft()]), 0, 0)

    def _push(self, drafts: Iterator[Draft], penalty: float, progress: int) -> None:
        """Queue alternatives, each worth less than the one before; they are found one by one, as it is their turn."""
        heapq.heappush(self._queue, (penalty, -progress, next(self._order), drafts))

    def _popped(self) -> Draft | None:
        """The most plausible draft; None where it was tried before, is far too large, or there is none."""
        penalty, progress, _, drafts = heapq.heappop(self._queue)
        draft = next(drafts, None)
        if draft is None:
            return None
        self._push(drafts, penalty + 1, -progress)
        draft = related(self._seeded(draft))
        is_fit = all(node.spec is None or is_small(node.spec) for _, node in draft.leaves())
        return draft if is_fit and draft not in self.attempts.seen else None

    def _seeded(self, draft: Draft) -> Draft:
        """A draft whose tensors are the known ones, as long as nothing spoke against them."""
        return self.examples.fitted(
            draft, self.batch, lambda node: node.kind == "tensor" and node.spec is None and node.rank == 1
        )

    def go(self) -> Report:
        """Search until a batch is spotless, the queue or the budget empty, or the module at fault."""
        since = 0
        while self._queue and self.attempts.count < self.budget and patient_time() < self.attempts.deadline:
            penalty = self._queue[0][0]
            draft = self._popped()
            if draft is None:
                continue
            outcome = self.attempts.run(draft)
            if outcome.ran:
                self._keep(outcome)
                if not outcome.remarks:
                    break
            since += self.report.best is not None
            if since > ENOUGH_AFTER_SUCCESS:
                break
            if self._is_stuck(outcome):
                break
            if outcome.error is not None and self._is_own(outcome, outcome.error) and self.report.best is None:
                if not outcome.draft.has_choices:
                    self.report.own = outcome
                    break
                self._suspect = outcome  # unless another choice leads further
            children = self._children(outcome)
            is_small = outcome.trace.size <= KEPT_BYTES
            self._push(children if is_small else iter(list(children)), penalty, outcome.trace.operations)
        if self.report.best is None and (self._is_always_the_same() or self._suspect is self.report.furthest):
            self.report.own = self.report.own or self.report.furthest
        return self.report

    def _is_stuck(self, outcome: Outcome) -> bool:
        """Whether many attempts have brought nothing new: a known structure, or an operation more."""
        progress = (sum(1 for _ in outcome.draft.leaves()), outcome.trace.operations)
        if progress > self._furthest:
            self._furthest, self._idle = progress, 0
        self._idle += 1
        return self._idle > PATIENCE

    def _is_always_the_same(self) -> bool:
        """Whether all attempts met one error, and no leaf had a part in it."""
        if len(self._errors) != 1 or self._queue:
            return False
        drafts = next(iter(self._errors.values()))
        furthest = self.report.furthest
        if furthest is None or CONTAINER.search(str(furthest.error)):
            return False
        if not furthest.trace.used:
            return True
        return len(drafts) >= SAME_ERROR_LIMIT - 1 and not isinstance(furthest.error, ABOUT_VALUES)

    def _keep(self, outcome: Outcome) -> None:
        outcome.remarks += dimension_remarks(outcome.draft, self.batch)
        best = self.report.best
        if best is None or len(outcome.remarks) < len(best.remarks):
            self.report.best = outcome

    def _is_own(self, outcome: Outcome, error: Exception) -> bool:
        """Whether no batch leaf has a part in the error, or it stays the same whatever is proposed."""
        furthest = self.report.furthest
        if furthest is None or outcome.trace.operations >= furthest.trace.operations:
            self.report.furthest = outcome
        if isinstance(error, OWN_ERRORS) or type(error).__name__ == "MisconfigurationException":
            return True
        if isinstance(error, AttributeError) and not _speaks_of_batch(error):
            return True
        if AUTOGRAD.search(str(error)) or _is_lightnings(error):
            return True
        stop = outcome.trace.stop
        is_of_leaf = stop is not None and stop.error is error and any(leaves for _, leaves in stop.operands)
        if isinstance(error, KeyError) and any(True for _ in keyed_drafts(outcome.draft, error)):
            return False
        if isinstance(error, OWN_UNLESS_OF_A_LEAF) and not is_of_leaf and not outcome.trace.read:
            return True
        if is_of_leaf:
            self._errors.setdefault("a leaf has a part in it", set()).add(outcome.draft)
            self._errors.setdefault(_signature(error), set())
            return False
        same = self._errors.setdefault(_signature(error), set())
        same.add(outcome.draft)
        if not outcome.trace.used and not outcome.trace.last_shape and outcome.draft.kind != "unknown":
            # A container was asked for what another kind of batch has.
            return not isinstance(error, (TypeError, AttributeError, *ABOUT_VALUES))
        if stop is not None and stop.error is error:
            return len(same) >= SAME_ERROR_LIMIT
        is_about_batch = isinstance(error, ABOUT_VALUES) or bool(CONTAINER.search(str(error)))
        return len(same) >= SAME_ERROR_LIMIT and not is_about_batch

    def _children(self, outcome: Outcome) -> Iterator[Draft]:
        reason, draft = outcome.reason, outcome.draft
        if isinstance(reason, Revealed):
            if reason.how == "call":
                self.report.dead_end = f"`{label(reason.path)}` has a method that is called: it is an object of its own"
            yield from revealed_drafts(draft, reason, self.attempts.live.module, self.batch)
        elif isinstance(reason, Mismatch):
            yield from reason.drafts
        elif isinstance(reason, RankRevealed):
            node = replace(draft.at(reason.path), is_ranked=True)
            yield from (draft.put(reason.path, replace(node, rank=node.rank + change)) for change in reason.change)
        elif isinstance(reason, BatchPlaced):
            yield self._placed(draft, reason)
        elif outcome.error is not None:
            yield from self._after_error(outcome, outcome.error)

    def _placed(self, draft: Draft, reason: BatchPlaced) -> Draft:
        """The leaf with its batch dimension where the code expects it."""
        spec = current_spec(draft.at(reason.path), self.batch)
        shape = list(spec.shape)
        shape[0], shape[reason.index] = shape[reason.index], shape[0]
        return draft.with_spec(reason.path, replace(spec, shape=tuple(shape)))

    def _after_error(self, outcome: Outcome, error: Exception) -> Iterator[Draft]:
        draft, stop = outcome.draft, outcome.trace.stop
        yield from supported_drafts(outcome, error, self.batch)
        if "NoneType" in str(error):
            yield from completed_drafts(draft)
        leaves = frozenset[Path]().union(*(leaves for _, leaves in stop.operands)) if stop is not None else frozenset()
        yield from drafts_of_lengths(draft, error, self.batch, leaves)
        if isinstance(error, KeyError):
            yield from keyed_drafts(draft, error)
        if isinstance(error, IndexError) and outcome.trace.last_shape is None:
            yield from longer_drafts(draft, error)
        # But for its transfer nothing was done with the batch: its type was asked for.
        is_untouched = all(operation.func is torch.Tensor.to for operation in outcome.trace.tape)
        is_refused = is_untouched and isinstance(error, AssertionError | TypeError | ValueError)
        if is_refused or (isinstance(error, TypeError | ValueError) and CONTAINER.search(str(error))):
            for path, node in draft.leaves():
                if path and node.kind == "unknown":
                    yield draft.put(path, replace(node, kind="tensor"))
        if is_refused and draft.kind == "unknown":
            yield from (Draft("dict"), grown_tuple((None, None)), Draft("tensor"))
        if stop is not None and stop.error is error:
            solver = Solver(outcome.trace, draft, self.batch, self.attempts.seen)
            for operand, path in self._nearest_first(outcome, stop):
                for spec in solver.for_failure(stop, operand, path):
                    yield _fed_with(draft, path, outcome.trace.twins(path), spec, self.batch)
            for path in unknown_first(draft, leaves):
                for spec in in_proportion(draft, path, stop, self.batch):
                    yield _fed_with(draft, path, outcome.trace.twins(path), spec, self.batch)
        else:
            yield from self._after_python_error(outcome, error)
        yield from drafts_of_lengths(draft, error, self.batch)
        for path in unknown_first(draft, outcome.trace.used):
            node = draft.at(path)
            if node.spec is None and node.rank < 5 and not is_lengths(node):
                if node.rank == 2 and is_picture(node.name):
                    yield outranked(draft, outcome.trace.twins(path), 4)
                yield outranked(draft, outcome.trace.twins(path), node.rank + 1)
            elif node.spec is not None:
                for rank in (2, 3, 4, 1):
                    yield draft.with_spec(path, replace(node.spec, shape=stand_in(rank, self.batch, node).shape))

    def _nearest_first(self, outcome: Outcome, stop: Stop) -> list[tuple[Any, Path]]:
        """Operands and their leaves: those not known yet, then those that the fewest operations lie between."""
        draft, trace = outcome.draft, outcome.trace
        pairs = [(operand, path) for operand, leaves in stop.operands for path in unknown_first(draft, leaves)]

        def distance(pair: tuple[Any, Path]) -> tuple[bool, int]:
            return draft.at(pair[1]).spec is not None, len(trace.chain(*pair))

        return sorted(pairs, key=distance)

    def _after_python_error(self, outcome: Outcome, error: Exception) -> Iterator[Draft]:
        """Errors that no torch operation raised: an unpacked shape, a missing argument."""
        draft, shape = outcome.draft, outcome.trace.last_shape
        if outcome.trace.last_rank is not None and isinstance(error, AssertionError | ValueError):
            yield from _of_other_ranks(draft, outcome.trace.last_rank, self.batch)
        if isinstance(error, AssertionError | ValueError):
            yield from drafts_in_range(outcome, self.batch)
        if isinstance(error, ValueError):
            yield from recounted_drafts(draft, error)
        expected = re.search(r"expected (\d+)", str(error))
        if shape is not None and isinstance(error, ValueError | IndexError | AssertionError):
            path, rank = shape
            node = draft.at(path)
            now = len(current_spec(node, self.batch).shape)
            want = now + (int(expected[1]) - rank if expected else 1)
            if isinstance(error, AssertionError):
                for size in LIKELY_SIZES:
                    yield draft.with_spec(path, TensorSpec((self.batch, *[7] * (now - 2), size)))
            elif 0 < want <= 5:
                want = max(want, 4) if want == 3 and is_picture(node.name) else want
                yield draft.put(path, replace(node, kind="tensor", spec=None, rank=want))
                yield draft.with_spec(path, stand_in(want, self.batch, node))
        missing = re.search(r"missing \d+ required .*arguments?: (.+)", str(error))
        if missing is not None and draft.kind == "dict":
            names = [n for n in re.findall(r"'(\w+)'", missing[1]) if n not in dict(draft.children)]
            yield replace(draft, children=(*draft.children, *((n, Draft(name=n)) for n in names)))
        elif isinstance(error, TypeError) and draft.kind == "tuple" and "argument" in str(error):
            for count in (1, 2, 3, 4):
                yield grown_tuple((None,) * count)


def _of_other_ranks(draft: Draft, path: Path, batch: int) -> Iterator[Draft]:
    """Where the code asks for a leaf's rank and refuses it: those of the other leaves, then all."""
    node = draft.at(path)
    now = len(current_spec(node, batch).shape)
    others = [len(current_spec(leaf, batch).shape) for other, leaf in draft.leaves() if other != path]
    for rank in dict.fromkeys([*sorted(others, reverse=True), 2, 3, 4, 5]):
        if rank != now and rank > 1:
            yield draft.put(path, replace(node, kind="tensor", spec=None, rank=rank, is_ranked=True))


def dimension_remarks(draft: Draft, batch: int) -> list[str]:
    """Leaves without the batch dimension where a batch needs it."""
    remarks = []
    for path, node in draft.leaves():
        if not node.free and node.spec is not None and (not node.spec.shape or batch not in node.spec.shape[:2]):
            remarks.append(f"`{node.name or label(path)}` has no batch dimension")
    return remarks


def label(path: Path) -> str:
    """A leaf's place in the batch, in the user's words."""
    return "batch" + "".join(f"[{key!r}]" for key in path)


def _fed_with(draft: Draft, path: Path, twins: list[Path], spec: TensorSpec, batch: int) -> Draft:
    """A stand-in of another rank stays a stand-in; anything else is a tensor that is known."""
    node = draft.at(path)
    if node.spec is None:
        for rank in (2, 3, 4, 5):
            if spec == stand_in(rank, batch, node):
                return outranked(draft, twins, rank)
    for twin in twins:
        draft = draft.with_spec(twin, spec)
    return draft


def outranked(draft: Draft, paths: list[Path], rank: int) -> Draft:
    """A copy whose stand-ins at these places have that rank."""
    for path in paths:
        draft = draft.put(path, replace(draft.at(path), rank=rank))
    return draft


def _speaks_of_batch(error: AttributeError) -> bool:
    return bool(re.search(r"'(Tensor|tuple|dict|list|ProbedObject)' object", str(error)))


def _is_lightnings(error: Exception) -> bool:
    """Whether Lightning refuses what the user's ``training_step`` asks of it, ``self.log`` of a vector say."""
    frames = traceback.extract_tb(error.__traceback__)
    at = [i for i, f in enumerate(frames) if f.name == "training_step"]
    inside = bool(at) and at[-1] < len(frames) - 1 and is_lightning_file(frames[-1].filename)
    return inside and "Probe" not in str(error)


def _signature(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__} {place} {error}"
