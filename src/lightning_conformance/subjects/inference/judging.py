"""Asks of every operation of an attempt whether its operands can be what they are."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import nn

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.expectations import (
    Context,
    Expectation,
    Found,
    exactly,
)
from lightning_conformance.subjects.inference.layers import expectations_of_module
from lightning_conformance.subjects.inference.operations import expectations_of
from lightning_conformance.subjects.inference.solving import Solver
from lightning_conformance.subjects.inference.tracing import Mismatch, Trace

RESHAPES = {torch.Tensor.view, torch.Tensor.reshape, torch.reshape}
Question = tuple[Any, ...]  # what is known of a leaf, the way from it to an operand, and what the operand should be


class Judge:
    """Asks of every operation whether its operands can be what they are.

    Args:
        trace: The running attempt.
        draft: What was fed.
        batch: The batch size.
        seen: Drafts tried before; a change that leads back to one of them is not asked for.
        fruitless: Questions that had no answer in this attempt or an earlier one; they are not asked again.
    """

    def __init__(self, trace: Trace, draft: Draft, batch: int, seen: set[Draft], fruitless: set[Question]) -> None:
        self.trace, self.draft, self.batch, self.seen, self.fruitless = trace, draft, batch, seen, fruitless
        self.context = Context(batch, self._is_unknown, self._has_leaf, lambda t: trace.classes.get(id(t)))

    def _is_unknown(self, tensor: torch.Tensor) -> bool:
        return bool(self.trace.leaves_of(tensor) & self.trace.stand_ins)

    def _has_leaf(self, tensor: torch.Tensor) -> bool:
        return bool(self.trace.leaves_of(tensor))

    def operation(self, func: Any, args: Any, kwargs: Any) -> None:
        """Before a torch operation."""
        if func in RESHAPES:
            self._check(self._swallowed(args))
        self._check(expectations_of(func, self.context, args, kwargs))

    def module(self, module: nn.Module, args: Any) -> None:
        """Before a module's forward."""
        with torch._C.DisableTorchFunction():
            self._check(expectations_of_module(module, self.context, args))

    def _swallowed(self, args: Any) -> Found:
        """``view(-1, K)`` of feature maps, where K does not divide: the batch dimension would be lost."""
        operand, sizes = args[0], args[1:]
        sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
        if len(sizes) != 2 or sizes[0] != -1 or not isinstance(sizes[1], int) or operand.dim() < 3:
            return []
        # What has the K columns already has them at each of its places.
        if operand.shape[-1] == sizes[1] or operand.numel() == self.batch * sizes[1]:
            return []
        rows, wanted = self.batch, sizes[1]
        expectation = exactly((rows, wanted), kind="any")
        object.__setattr__(expectation, "accepts", lambda s: bool(s) and torch.Size(s).numel() == rows * wanted)
        return [(operand, expectation)]

    def _check(self, found: Found) -> None:
        for operand, expectation in found:
            leaves = self.trace.leaves_of(operand)
            unknown = sorted(leaves & self.trace.stand_ins, key=str)[::-1]
            known = sorted(leaves - set(unknown), key=str)[::-1]
            if not leaves or (not unknown and (expectation.weak or expectation.is_met_by(operand))):
                continue
            for path in [*unknown, *([] if expectation.is_met_by(operand) else known)]:
                question = self._question(operand, path, expectation)
                if question in self.fruitless:
                    continue
                solver = Solver(self.trace, self.draft, self.batch, self.seen)
                alike = (self._with_spec(path, spec) for spec in solver.for_expectation(operand, path, expectation))
                drafts = (d for d in chain(alike, solver.shared(operand, path, expectation)) if d not in self.seen)
                first = next(drafts, None)
                if first is not None:
                    self.trace.throw(Mismatch(chain([first], drafts)))
                self.fruitless.add(question)

    def _question(self, operand: torch.Tensor, path: Path, expectation: Expectation) -> Question:
        way = tuple(str(operation.func) for operation in self.trace.chain(operand, path))
        return self.draft.at(path), path, way, tuple(operand.shape), expectation.shapes, expectation.kind

    def _with_spec(self, path: Path, spec: TensorSpec) -> Draft:
        draft = self.draft
        for twin in self.trace.twins(path):
            draft = draft.with_spec(twin, spec)
        return draft
