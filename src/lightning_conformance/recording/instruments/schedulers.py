"""Learning rate schedulers: who made them, how long they are to last, and whether they are stepped."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.optim import lr_scheduler

from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import Place

_BASES = tuple(
    dict.fromkeys(
        getattr(lr_scheduler, name)
        for name in ("LRScheduler", "_LRScheduler", "ReduceLROnPlateau")
        if "__init__" in vars(getattr(lr_scheduler, name, object))
    )
)
_LENGTHS = ("T_max", "total_steps", "total_iters", "step_size", "milestones", "T_0", "_milestones")


@dataclass
class _Made:
    scheduler: Any
    place: Place | None
    counted: int = 0


class SchedulerWatch(Instrument):
    """Keeps every scheduler that is made, and says of it in the end what became of it."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._made: list[_Made] = []
        self._configs: list[Any] = []
        self._planned = (0, -1)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note each scheduler that is constructed, until the context ends."""
        first, *rest = _BASES
        with wrapped(first, "__init__", self._around):
            if not rest:
                yield
                return
            with wrapped(rest[-1], "__init__", self._around):
                yield

    def _around(self, original: Any, scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(known.scheduler is scheduler for known in self._made):
            self._made.append(_Made(scheduler, self.run.places.here()))
        return original(scheduler, *args, **kwargs)

    def callback(self) -> Any:
        """A Callback that notes what the Trainer took, once optimizers are configured."""
        watch = self

        class Schedulers(self.run.package.Callback):  # type: ignore[misc, name-defined]
            def on_train_start(self, trainer: Any, module: Any) -> None:
                watch.starts(trainer)

        return Schedulers()

    def starts(self, trainer: Any) -> None:
        """Training starts: steps are counted from here."""
        self._configs = list(trainer.lr_scheduler_configs)
        steps = int(trainer.estimated_stepping_batches) if self.run.module.automatic_optimization else -1
        self._planned = (int(trainer.max_epochs or -1), steps)
        for each in self._made:
            each.counted = _counted(each.scheduler)

    def end(self, trainer: Any) -> None:
        """Write down each scheduler."""
        parts = {id(part) for each in self._made for part in _parts(each.scheduler)}
        for each in self._made:
            if id(each.scheduler) not in parts:
                self.run.tape.add(self._seen(each))
        self._made.clear()
        self._configs.clear()

    def _seen(self, made: _Made) -> SchedulerSeen:
        config = next((c for c in self._configs if c.scheduler is made.scheduler), None)
        return SchedulerSeen(
            self.run.tape.now,
            type(made.scheduler).__name__,
            config is not None,
            config.interval if config else "",
            int(config.frequency) if config else 1,
            _counted(made.scheduler) - made.counted,
            tuple(_horizons(made.scheduler)),
            *self._planned,
            made.place,
        )


def _counted(scheduler: Any) -> int:
    return int(vars(scheduler).get("last_epoch") or 0)


def _parts(scheduler: Any) -> Iterator[Any]:
    """The schedulers that another one holds, and steps itself."""
    for value in vars(scheduler).values():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not scheduler and isinstance(item, _BASES):
                yield item


def _horizons(scheduler: Any) -> Iterator[tuple[str, float]]:
    """The numbers that say how long a scheduler lasts, those of its parts and functions too."""
    held = vars(scheduler)
    for name in _LENGTHS:
        value = held.get(name)
        last = max(value, default=None) if isinstance(value, (list, tuple, dict)) else value
        if isinstance(last, (int, float)) and not isinstance(last, bool):
            yield name.lstrip("_"), float(last)
    for function in held.get("lr_lambdas") or ():
        yield from _numbers_of(function)
    for part in _parts(scheduler):
        yield from _horizons(part)


def _numbers_of(function: Any) -> Iterator[tuple[str, float]]:
    """The numbers that a schedule's function holds: arguments bound beforehand, and variables around it."""
    found: dict[str, Any] = {}
    if isinstance(function, functools.partial):
        found.update(function.keywords)
        function = function.func
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    for name, value in found.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)
