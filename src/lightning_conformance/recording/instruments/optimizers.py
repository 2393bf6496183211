"""Optimizers: their steps, and the calls of ``zero_grad``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lightning_conformance.lightning_api import is_mock_optimizer, raw_optimizer
from lightning_conformance.recording.facts import fingerprint, gradient_norm
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import GradientsCleared, OptimizerFacts, OptimizerStepped, Place
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.tape import Tape


def optimizer_parameters(optimizer: Any) -> list[torch.Tensor]:
    """The parameters of all groups of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class OptimizerWatch:
    """Writes optimizer steps and cleared gradients on the tape, and keeps a list of the optimizers seen."""

    def __init__(self, tape: Tape, places: Places) -> None:
        self._tape, self._places = tape, places
        self._configured = 0
        self._seen: list[Any] = []
        self._left: dict[int, list[bytes | None]] = {}
        self._stale: set[int] = set()
        self._entered: list[tuple[Any, Place | None, list[bytes | None] | None, tuple[int, int]]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends."""
        pre = register_optimizer_step_pre_hook(self._before)
        post = register_optimizer_step_post_hook(self._after)
        try:
            with wrapped(torch.optim.Optimizer, "zero_grad", self._zero_grad):
                yield
        finally:
            pre.remove()
            post.remove()

    def configured(self, optimizers: list[Any]) -> None:
        """Tell which optimizers the Trainer has, in its order."""
        self._seen = [*optimizers, *(o for o in self._seen if not any(o is c for c in optimizers))]
        self._configured = len(optimizers)

    def facts(self, names: dict[int, str]) -> tuple[OptimizerFacts, ...]:
        """The optimizers seen; ``names`` maps ``id(parameter)`` to its registered name."""
        found = []
        for index, optimizer in enumerate(self._seen):
            held = optimizer_parameters(optimizer)
            known = tuple(names[id(p)] for p in held if id(p) in names)
            facts = OptimizerFacts(type(optimizer).__name__, index < self._configured, known, len(held) - len(known))
            found.append(facts)
        return tuple(found)

    def holders(self) -> dict[int, tuple[int, ...]]:
        """The indexes of the optimizers that hold each parameter, by ``id(parameter)``."""
        found: dict[int, tuple[int, ...]] = {}
        for index, optimizer in enumerate(self._seen):
            for parameter in optimizer_parameters(optimizer):
                found[id(parameter)] = (*found.get(id(parameter), ()), index)
        return found

    def before_backward(self) -> None:
        """A backward pass starts: note whose gradients are still those that its last step applied."""
        for index, left in self._left.items():
            if any(left) and left == _gradient_values(self._seen[index]):
                self._stale.add(index)

    def _index(self, optimizer: Any) -> int:
        for index, known in enumerate(self._seen):
            if known is optimizer:
                return index
        self._seen.append(optimizer)
        return len(self._seen) - 1

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if is_mock_optimizer(optimizer):
            return
        tape = self._tape
        by_hand = tape.in_training_step or not tape.lightning_step
        values = [fingerprint(p) for p in optimizer_parameters(optimizer)] if tape.in_training_step else None
        self._entered.append((optimizer, self._places.here() if by_hand else None, values, _gradients(optimizer)))

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        while self._entered:
            entered, place, before, gradients = self._entered.pop()
            if entered is optimizer:
                break
        else:
            return
        tape = self._tape
        index = self._index(optimizer)
        now = _gradients(optimizer)
        self._left[index] = _gradient_values(optimizer)
        moved = None
        if before is not None:
            moved = before != [fingerprint(p) for p in optimizer_parameters(optimizer)]
        tape.add(
            OptimizerStepped(
                tape.now,
                index,
                tape.lightning_step > 0,
                tape.in_training_step,
                _has_closure(args, kwargs),
                max(gradients[0], now[0]),
                max(gradients[1], now[1]),
                tuple(float(group.get("lr", float("nan"))) for group in optimizer.param_groups),
                moved,
                index in self._stale and now[0] > 0,
                place,
            )
        )
        self._stale.discard(index)

    def _zero_grad(self, original: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        raw = raw_optimizer(optimizer)
        if is_mock_optimizer(raw):
            return original(optimizer, *args, **kwargs)
        tape = self._tape
        through_hook = not tape.in_training_step
        place = None if through_hook else self._places.here()
        self._stale.discard(self._index(raw))
        had_gradient = any(p.grad is not None for p in optimizer_parameters(optimizer))
        tape.add(GradientsCleared(tape.now, through_hook, tape.in_training_step, had_gradient, place))
        return original(optimizer, *args, **kwargs)


def _gradients(optimizer: Any) -> tuple[int, int]:
    norms = [gradient_norm(p) for p in optimizer_parameters(optimizer)]
    return sum(n is not None for n in norms), sum(n not in (None, 0.0) for n in norms)


def _gradient_values(optimizer: Any) -> list[bytes | None]:
    """Digests of the gradients that are not zero."""
    return [
        fingerprint(p.grad) if p.grad is not None and gradient_norm(p) else None
        for p in optimizer_parameters(optimizer)
    ]


def _has_closure(args: Any, kwargs: Any) -> bool:
    given = args[1:] if args and isinstance(args[0], torch.optim.Optimizer) else args
    return kwargs.get("closure") is not None or any(callable(a) for a in given)
