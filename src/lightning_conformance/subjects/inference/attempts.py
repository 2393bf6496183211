"""One attempt: a drafted batch goes through one training step, and what happens is an outcome."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from lightning_conformance.subjects.batch_nodes import LiteralSpec
from lightning_conformance.subjects.batch_values import draw_tensor
from lightning_conformance.subjects.inference.containers import ProbedDict, ProbedObject
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.judging import Judge, Question
from lightning_conformance.subjects.inference.live import PASSED_ON, LiveStep, as_error
from lightning_conformance.subjects.inference.outcome import LeaveFit, OutOfTime, Private
from lightning_conformance.subjects.inference.probes import Probe
from lightning_conformance.subjects.inference.restoring import Snapshot
from lightning_conformance.subjects.inference.standing_in import current_spec
from lightning_conformance.subjects.inference.tracing import Trace, TracingMode

REPLAYING, REPLAYING_AT_ONCE = 3.0, 0.5  # seconds
BROADCAST = "Using a target size"


@dataclass
class Outcome:
    """What one attempt came to.

    Args:
        draft: What was fed.
        trace: The operations seen.
        reason: Why the attempt was left by the search itself.
        error: What the module raised.
        result: What ``training_step`` returned.
        loss: The loss's value, None where there is no scalar loss.
        has_gradient: Whether some parameter got a gradient that is not all zero; None where unknown.
        remarks: What is wrong although it ran.
    """

    draft: Draft
    trace: Trace
    reason: Private | None = None
    error: Exception | None = None
    result: Any = None
    loss: float | None = None
    has_gradient: bool | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Whether ``training_step`` came to its end."""
        return self.reason is None and self.error is None


class Attempts:
    """Runs attempts inside one live step, each from the same state.

    Args:
        live: The live step.
        batch: The batch size of the search.
        deadline: On the clock of :func:`~lightning_conformance.deadline.patient_time`.
    """

    def __init__(self, live: LiveStep, batch: int, deadline: float) -> None:
        self.live, self.batch, self.deadline = live, batch, deadline
        trainer = live.trainer
        schedulers = [c.scheduler for c in getattr(trainer, "lr_scheduler_configs", [])]
        self.snapshot = Snapshot(live.module, list(trainer.optimizers), schedulers)
        self.count = 0
        self.seen: set[Draft] = set()
        self._fruitless: set[Question] = set()
        self._replayed = 0.0

    def run(self, draft: Draft, judged: bool = True, redrawn: frozenset[Path] = frozenset()) -> Outcome:
        """One attempt; state is restored before it.

        Args:
            draft: What to feed.
            judged: Whether the operands are judged, so that the attempt may be left early.
            redrawn: Leaves that get other values than usual.
        """
        self.snapshot.restore()
        self.live.trainer.should_stop = False
        self.count += 1
        self.seen.add(draft)
        trace, batch = self._feed(draft, redrawn)
        trace.allowance = min(REPLAYING_AT_ONCE, max(0.1, REPLAYING - self._replayed))
        judge = Judge(trace, draft, self.batch, self.seen, self._fruitless)
        outcome = Outcome(draft, trace)
        hook = register_module_forward_pre_hook(lambda m, args: judge.module(m, args))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with TracingMode(trace, judge.operation if judged else lambda *_: None):
                    outcome.result = self.live.run(batch)
            except (OutOfTime, LeaveFit):
                raise
            except Private as reason:
                outcome.reason = reason
            except PASSED_ON:
                raise
            except BaseException as error:
                outcome.error = as_error(error)
            finally:
                hook.remove()
        # The first use is the one that counts; what the user's code does once it was swallowed may not be.
        outcome.reason = trace.pending or outcome.reason
        self._replayed += trace.replaying
        if outcome.ran:
            self._weigh(outcome, [str(w.message) for w in caught])
        return outcome

    def _feed(self, draft: Draft, redrawn: frozenset[Path]) -> tuple[Trace, Any]:
        leaves: dict[Path, torch.Tensor] = {}
        for number, (path, node) in enumerate(draft.leaves()):
            if node.kind == "tensor":
                generator = torch.Generator().manual_seed(number + 1000 * (path in redrawn))
                leaves[path] = draw_tensor(current_spec(node, self.batch), generator)
        unknown = frozenset(p for p, n in draft.leaves() if n.kind == "tensor" and n.spec is None)
        ranked = frozenset(p for p, n in draft.leaves() if n.is_ranked)
        trace = Trace(leaves, unknown, self.deadline, draft.copies, ranked, self.batch)
        return trace, _fed(draft, (), leaves, trace, self.batch)

    def _weigh(self, outcome: Outcome, warned: list[str]) -> None:
        """Judge what a finished attempt came to."""
        if any(BROADCAST in text for text in warned):
            outcome.remarks.append("the prediction and the target differ in shape and are broadcast")
        loss = outcome.result.get("loss") if isinstance(outcome.result, dict) else outcome.result
        if isinstance(loss, torch.Tensor) and loss.numel() == 1:
            outcome.loss = float(loss.detach())
            if not torch.isfinite(loss.detach()).all():
                outcome.remarks.append("the loss is not finite")
        if self.live.module.automatic_optimization and isinstance(loss, torch.Tensor) and loss.requires_grad:
            self._backward(outcome, loss)

    def _backward(self, outcome: Outcome, loss: torch.Tensor) -> None:
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            outcome.remarks.append(f"the backward pass raises {type(error).__name__}: {error}")
            return
        gradients = [p.grad for p in self.live.module.parameters() if p.grad is not None]
        gradients = [g.coalesce().values() if g.is_sparse else g for g in gradients]
        outcome.has_gradient = any(bool(g.ne(0).any()) for g in gradients)
        if not outcome.has_gradient:
            outcome.remarks.append("no parameter gets a gradient")


def _fed(draft: Draft, path: Path, leaves: dict[Path, torch.Tensor], trace: Trace, batch: int) -> Any:
    if draft.kind == "tensor":
        return leaves[path]
    if draft.kind == "unknown":

        def notify(revealed: Private) -> None:
            trace.pending = trace.pending or revealed

        return Probe(path, notify, draft.claims, draft.denied)
    if draft.literal is not None:
        return draft.literal.value if isinstance(draft.literal, LiteralSpec) else batch
    items = {key: _fed(child, (*path, key), leaves, trace, batch) for key, child in draft.children}
    if draft.kind in ("tuple", "list", "samples"):
        return (tuple if draft.kind == "tuple" else list)(items.values())
    if draft.cls is not None:
        with contextlib.suppress(Exception):
            return draft.cls(**{str(key): item for key, item in items.items()})
    if draft.kind == "object":
        return ProbedObject(path, items, trace, draft.optional)
    # A class of its own for each dict, as transfers rebuild a mapping from its class and items alone.
    known = {"_path": path, "_trace": trace, "_optional": draft.optional}
    return type("dict", (ProbedDict,), known)(items)
