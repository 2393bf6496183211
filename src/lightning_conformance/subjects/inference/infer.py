"""``infer_batch``: search, then verify on a fresh instance."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.deadline import deadline, patient_time
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import LightningPackage, import_late_parts, package_of
from lightning_conformance.subjects.batch_nodes import Node, TensorSpec, TupleSpec, children
from lightning_conformance.subjects.batch_spec import BatchSpec, describe
from lightning_conformance.subjects.inference.attempts import Attempts, Outcome
from lightning_conformance.subjects.inference.live import (
    LiveStep,
    inside_first_step,
    make_trainer,
    quiet_and_traceless,
    run_error,
)
from lightning_conformance.subjects.inference.outcome import Inference, ModuleOwnError, OutOfTime
from lightning_conformance.subjects.inference.polishing import polished
from lightning_conformance.subjects.inference.restoring import process_as_before
from lightning_conformance.subjects.inference.search import Report, Search, label
from lightning_conformance.subjects.inference.seeds import Examples, drafts_of, reconciled
from lightning_conformance.subjects.inference.spelling import describe_draft, spec_of_draft
from lightning_conformance.subjects.inference.steps import StepPlace
from lightning_conformance.subjects.tracebacks import user_frames

FIRST_SHARE = 0.6  # of the time, for the first batch size
BATCH_SIZES = (5, 8)  # a prime first; an even one where the module splits the batch
# Operations end a step at the budget's end; the alarm, for what has none, does not ring while that is cleaned up.
GRACE = 1.0


def infer_batch(
    build: Callable[[], Any],
    *,
    budget_attempts: int = 200,
    budget_seconds: float = 8.0,
    example: Node | None = None,
    seed: Node | None = None,
    step: str = "training_step",
    training: BatchSpec | None = None,
) -> Inference:
    """Search a batch with which a step of the module, usually ``training_step``, runs.

    Args:
        build: Makes a fresh instance of the module.
        budget_attempts: Training steps that may be tried.
        budget_seconds: Seconds that the search may take.
        example: Inputs that are known: a tensor, a tuple of them, or a dict (``example_input_array``).
        seed: What is known of the whole batch, with :class:`UnknownSpec` for what is not (an annotation). The search
            starts from it, and starts anew from nothing where that leads nowhere.
        step: ``training_step``, ``validation_step``, ``test_step`` or ``predict_step``.
        training: A batch of ``training_step``, for the other steps: it is tried first, whole and in its parts.

    Returns:
        A spec with which a real fit ran.

    Raises:
        SubjectError: No batch was found; says where it stopped, and what to type.
        ModuleOwnError: The module raises whatever it is given.
    """
    # That is no part of the search, and could take all of its time.
    import_late_parts()
    started = time.monotonic()
    run = _Run(build, budget_attempts, patient_time() + budget_seconds, Examples(example), seed, step, training)
    try:
        with quiet_and_traceless() as folder, deadline(budget_seconds + GRACE, OutOfTime, patient_time):
            verified = run.known(folder) or run.search(folder)
    except OutOfTime as late:
        verified = None
        run.late = _place(late)
    if verified is not None:
        return replace(verified, attempts=run.count, seconds=time.monotonic() - started)
    raise run.failure(time.monotonic() - started)


def _is_of_other_length(root: Node, seed: Node) -> bool:
    """Whether the code unpacked another number of parts than the annotation has."""
    return isinstance(root, TupleSpec) and isinstance(seed, TupleSpec) and len(root.items) != len(seed.items)


class _Run:
    """One call of ``infer_batch``."""

    def __init__(
        self,
        build: Callable[[], Any],
        budget: int,
        deadline: float,
        examples: Examples,
        seed: Node | None,
        step: str,
        training: BatchSpec | None,
    ) -> None:
        self.step, self.training = step, training
        self.build, self.budget, self.deadline, self.examples = build, budget, deadline, examples
        self.seed, self.start = seed, 0
        self.count = 0
        self.reports: list[Report] = []
        self.rejected: Exception | None = None
        self.late = ""
        self.only: Inference | None = None

    def known(self, folder: str) -> Inference | None:
        """What ``training_step`` takes, or a part of it, if this step runs with it."""
        for spec in parts_of(self.training) if self.training else []:
            sizes = (spec.default_size,) * 2
            self.count += 1
            if self._fit(spec, sizes, folder) is None:
                return Inference(spec, (), 0, 0.0)
        return None

    def search(self, folder: str) -> Inference | None:
        """Search from what is known, then from nothing; each start has an equal share of what is left."""
        budget, end = self.budget, self.deadline
        starts = len(drafts_of(self.seed, 0))
        for number in range(starts):
            self.start, shares = number, starts - number + 1
            self.budget = self.count + (budget - self.count) // shares
            now = patient_time()
            self.deadline = now + (end - now) / shares
            found = None
            with contextlib.suppress(ModuleOwnError):  # the annotation may be what is wrong
                found = self._search_sizes(folder)
            self.budget, self.deadline = budget, end
            if found is not None:
                return self._agreeing(found, folder)
        self.seed = None
        return self._search_sizes(folder)

    def _agreeing(self, found: Inference, folder: str) -> Inference:
        """With the dimensions and dtypes of the annotation, too, if the fit runs with them."""
        assert self.seed is not None
        if _is_of_other_length(found.spec.root, self.seed):
            return found
        root = reconciled(found.spec.root, self.seed)
        if root == found.spec.root:
            return replace(found, seeded=True)
        agreed = replace(found, spec=replace(found.spec, root=root), seeded=True)
        doubt = "the annotation of the batch says otherwise, and no step runs with what it says"
        return self.verify(agreed, folder) or replace(found, doubts=(*found.doubts, doubt), seeded=True)

    def _search_sizes(self, folder: str) -> Inference | None:
        """Search with one batch size after the other, on one instance each.

        What runs with no other size may fit by chance: a sequence as long as there were samples. The next one tells.
        """
        self.only = None
        for size in BATCH_SIZES:
            now = patient_time()
            until = self.deadline if size == BATCH_SIZES[-1] else now + FIRST_SHARE * (self.deadline - now)
            for batch_idx in (0, 1):
                try:
                    found = self._search(size, folder, until, batch_idx)
                except ModuleOwnError:
                    if self.only is None:
                        raise
                    return self.only
                verified = found and self.verify(found, folder)
                if verified is not None and not verified.is_by_chance:
                    return verified
                self.only = self.only or verified
                if found is None or verified is not None:
                    break  # a batch that only a later step refuses is sought in a later step
            if self.count >= self.budget or patient_time() > self.deadline:
                break
        return self.only

    @process_as_before()
    def _search(self, size: int, folder: str, until: float, batch_idx: int) -> Inference | None:
        module = self.build()
        package = _package(module)
        doubts: list[str] = []

        def body(live: LiveStep) -> None:
            live.rest = (batch_idx, *live.rest[1:]) if live.rest else ()
            attempts = Attempts(live, size, until)
            start = drafts_of(self.seed, size)[self.start] if self.seed else None
            search = Search(attempts, self.budget - self.count, self.examples, start)
            self.reports.append(search.report)
            try:
                search.go()
                if search.report.best is not None:
                    search.report.best = polished(attempts, search.report.best)
                    doubts.extend(insensitive(attempts, search.report.best))
            except OutOfTime:
                if patient_time() >= self.deadline:
                    raise
                # Only this batch size's share is used up.
            finally:
                self.count += attempts.count

        error = inside_first_step(module, package, folder, body, self._place())
        if error is not None:
            raise ModuleOwnError(error) from error
        report = self.reports[-1]
        if report.own is not None and report.own.error is not None:
            raise ModuleOwnError(report.own.error, spec_of_draft(report.own.draft, size)) from report.own.error
        if report.best is None:
            return None
        return Inference(spec_of_draft(report.best.draft, size), (*report.best.remarks, *doubts), 0, 0.0)

    def verify(self, found: Inference, folder: str) -> Inference | None:
        """A real fit of a fresh instance, new values each batch and a smaller last one; else one without that."""
        size = found.spec.default_size
        doubts = found.doubts
        if self._fit(found.spec, (size, size, size, size - 2), folder) is None:
            return found
        error = self._fit(found.spec, (size, size, size), folder)
        if error is not None and _is_in(self.step, error):
            self.rejected = error
            return None
        if error is not None:
            doubts = (*doubts, f"{self.step} runs, and the run fails after it: {_short(error)}")
        else:
            doubts = (*doubts, f"it runs with a batch size of {size} and not with {size - 2}")
        return replace(found, doubts=doubts, is_by_chance=error is None and _repeats_batch_size(found.spec))

    @process_as_before()
    def _fit(self, spec: BatchSpec, sizes: tuple[int, ...], folder: str) -> Exception | None:
        module = self.build()
        generator = torch.Generator().manual_seed(0)
        batches = [spec.generate(size, generator) for size in sizes]
        place = self._place()
        return run_error(make_trainer(_package(module), folder, **place.trainer_options), module, batches, place)

    def _place(self) -> StepPlace:
        training = (self.training.generate(generator=torch.Generator().manual_seed(1)),) if self.training else ()
        return StepPlace(self.step, training)

    def failure(self, seconds: float) -> SubjectError:
        """What was found so far, and what to type."""
        report = next((r for r in self.reports if r.furthest or r.best), None)
        outcome = (report.furthest or report.best) if report else None
        effort = f"{self.count} training steps tried in {seconds:.1f} s"
        if self.late:
            effort += f"; the time ran out at {self.late}"
        dead_end = next((r.dead_end for r in self.reports if r.dead_end), "")
        if dead_end:
            effort += f"; {dead_end}"
        if outcome is None:
            example = "--lightning-batch 'x: float[5,10], y: int[5]<2'"
            other = "or give a function that returns one: --lightning-batch path/to/file.py:function"
            return SubjectError("batch", f"no batch was found ({effort})", f"Describe the batch: {example}\n{other}")
        spec = describe_draft(outcome.draft)
        message = f"no batch was found with which {self.step} runs ({effort})\n  found so far: {spec}"
        error = self.rejected or outcome.error
        if error is not None:
            message += f"\n  it stopped at {_place(error)}: {type(error).__name__}: {_short(error)}"
        return SubjectError("batch", message, f"Complete the batch: --lightning-batch '{spec}'", error)


def _repeats_batch_size(spec: BatchSpec) -> bool:
    """Whether another dimension than the first is as large as the batch of the search was."""
    return any(size in ("B", spec.default_size) for tensor in spec.tensors for size in tensor.shape[1:])


def parts_of(spec: BatchSpec) -> list[BatchSpec]:
    """A batch, then the batches that it may be made of, then its first tensor: what other steps may take alone."""
    below = children(spec.root)
    parts = [node for node in below if children(node)]
    first = [node for node in below[:1] if isinstance(node, TensorSpec)]
    return [spec, *(replace(spec, root=replace(node, name=None)) for node in (*parts, *first))]


def insensitive(attempts: Attempts, best: Outcome) -> list[str]:
    """Leaves that are not used, or do not influence the loss."""
    doubts = []
    for path, node in best.draft.leaves():
        name, copies = node.name or label(path), best.draft.copies(path)
        if path != copies[0] or not name.strip("_"):
            continue  # what holds for one sample holds for all; `_` is not meant to be used
        if node.kind == "unknown" or path not in best.trace.used:
            doubts.append(f"`{name}` is not used")
        elif best.loss is not None and best.draft.kind != "tensor" and attempts.count < 400:
            outcome = attempts.run(best.draft, judged=False, redrawn=frozenset(copies))
            if outcome.ran and outcome.loss == best.loss:
                doubts.append(f"`{name}` does not influence the loss")
    return doubts


def _package(module: Any) -> LightningPackage:
    package = package_of(module)
    if package is None:
        raise SubjectError("batch", f"{describe(module)} is no LightningModule")
    return package


def _place(error: BaseException) -> str:
    """The innermost line that belongs to neither torch nor Lightning."""
    # A method that `dataclass` made is in no file; it may be the kit's.
    frames = [frame for frame in user_frames(error) if frame.filename != "<string>"]
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "an unknown place"


def _is_in(step: str, error: Exception) -> bool:
    return any(f.name == step for f in traceback.extract_tb(error.__traceback__) if "/strategies/" not in f.filename)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
