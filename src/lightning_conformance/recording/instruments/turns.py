"""Manual optimization with several optimizers: the gradients that one's turn leaves to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from lightning_conformance.lightning_api import raw_optimizer
from lightning_conformance.recording.events_gradients import GradientsLeft
from lightning_conformance.recording.instruments.base import Instrument
from lightning_conformance.recording.instruments.optimizers import optimizer_parameters
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import Place


@dataclass(frozen=True)
class _Left:
    stepped: int
    parameters: set[int]
    behind: bool
    place: Place | None


class Turns(Instrument):
    """Follows, by owner, which parameters were given gradients since they were last cleared or applied."""

    def __init__(self, run: Any) -> None:
        super().__init__(run)
        self._optimizers: list[Any] = []
        self._handles: list[Any] = []
        # By optimizer: the parameters that have got gradients since the last step of any.
        self._fresh: list[dict[int, int]] = []
        # By optimizer: where its newest gradients came from.
        self._places: dict[int, Place | None] = {}
        # By optimizer: gradients that it had when another one stepped.
        self._left: dict[int, _Left] = {}
        self._order = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen from the moment when training starts."""
        self.run.tape.listeners.append(self._hook)
        post = register_optimizer_step_post_hook(self._stepped)
        try:
            with wrapped(torch.optim.Optimizer, "zero_grad", self._zero_grad):
                yield
        finally:
            self.run.tape.listeners.remove(self._hook)
            post.remove()
            for handle in self._handles:
                handle.remove()
            self._handles.clear()
            self._optimizers.clear()

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        if begins and name == "on_train_start" and not self._handles and not self.run.module.automatic_optimization:
            self._begin([raw_optimizer(o) for o in self.run.module.trainer.optimizers])

    def _begin(self, optimizers: list[Any]) -> None:
        owners: dict[int, list[int]] = {}
        held = {id(p): p for optimizer in optimizers for p in optimizer_parameters(optimizer)}
        for index, optimizer in enumerate(optimizers):
            for parameter in optimizer_parameters(optimizer):
                owners.setdefault(id(parameter), []).append(index)
        # A parameter of several optimizers belongs to nobody's turn.
        alone = {key: found[0] for key, found in owners.items() if len(found) == 1}
        if len(optimizers) < 2 or len(alone) < len(owners):
            return
        self._optimizers, self._fresh = optimizers, [{} for _ in optimizers]
        for key, index in alone.items():
            if held[key].requires_grad:
                self._handles.append(held[key].register_hook(partial(self._given, index, key)))  # type: ignore[no-untyped-call]

    def _given(self, owner: int, parameter: int, gradient: Any) -> None:
        self._order += 1
        self._fresh[owner][parameter] = self._order
        self._places[owner] = self.run.places.here()

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        index = self._index(optimizer)
        if index is None:
            return
        mine = self._fresh[index]
        left = self._left.pop(index, None)
        if left is not None and set(mine) & left.parameters:
            self._tell(left, index, True)
        for other, fresh in enumerate(self._fresh):
            if other == index or not fresh or not mine:
                continue
            # What lies behind this optimizer's own parameters gets its gradients after them.
            behind = min(fresh.values()) > max(mine.values())
            self._left.setdefault(other, _Left(index, set(fresh), behind, self._places.get(other)))
            fresh.clear()
        mine.clear()

    def _zero_grad(self, original: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        index = self._index(raw_optimizer(optimizer))
        if index is not None:
            left = self._left.pop(index, None)
            if left is not None and left.behind:
                self._tell(left, index, False)
            self._fresh[index].clear()
        return original(optimizer, *args, **kwargs)

    def _tell(self, left: _Left, other: int, added: bool) -> None:
        self.run.tape.add(
            GradientsLeft(self.run.tape.now, left.stepped, other, len(left.parameters), added, left.place)
        )

    def _index(self, optimizer: Any) -> int | None:
        return next((i for i, each in enumerate(self._optimizers) if each is optimizer), None)
