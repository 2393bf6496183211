"""Learning-rate schedulers: which were made, with what numbers, who knows them, how often they were stepped."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from numbers import Real
from typing import Any

import torch

from lightning_conformance.recording.events_schedulers import SchedulerSeen, TrainerAsked
from lightning_conformance.recording.instruments.base import Instrument
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import Place

_ASKED = ("max_steps", "max_epochs", "num_training_batches")
# What a scheduler keeps of its own state, which tells nothing of the length that it was made for.
_STATE = (
    "last_epoch",
    "T_cur",
    "T_i",
    "best",
    "num_bad_epochs",
    "cooldown_counter",
    "verbose",
    "step_count",
    "optimizer",
)
_GRID = (*range(20), *(int(20 * 1.15**k) for k in range(80)))
_DEPTH = 3


class Schedulers(Instrument):
    """Notes each scheduler when it is made, and looks at them again when the run is over."""

    def __init__(self, run: Any) -> None:
        super().__init__(run)
        self._made: list[tuple[Any, Place | None]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to constructors, and to what the user's code asks the Trainer for."""
        schedulers = torch.optim.lr_scheduler
        base = getattr(schedulers, "LRScheduler", None) or schedulers._LRScheduler
        with ExitStack() as stack:
            for cls in {base, schedulers.ReduceLROnPlateau, schedulers.ChainedScheduler, schedulers.SequentialLR}:
                if "__init__" in vars(cls):
                    stack.enter_context(wrapped(cls, "__init__", self._init))
            for name in _ASKED:
                stack.enter_context(self._asked(name))
            yield

    def end(self, trainer: Any) -> None:
        """Write the schedulers down."""
        if trainer is None:
            return
        configs = list(getattr(trainer, "lr_scheduler_configs", ()))
        met = [scheduler for scheduler, _ in self._made]
        everything = [*self._made, *((c.scheduler, None) for c in configs if not _is_in(c.scheduler, met))]
        parts = [part for scheduler, _ in everything for part in _parts(scheduler)]
        for scheduler, place in everything:
            index = next((i for i, c in enumerate(configs) if c.scheduler is scheduler), None)
            config = configs[index] if index is not None else None
            self.run.tape.add(
                SchedulerSeen(
                    self.run.tape.now,
                    type(scheduler).__name__,
                    index,
                    _is_in(scheduler, parts),
                    _is_in(vars(scheduler).get("optimizer"), trainer.optimizers),
                    str(getattr(config, "interval", "")),
                    str(getattr(config, "monitor", None) or "") if getattr(config, "reduce_on_plateau", False) else "",
                    horizon_of(scheduler),
                    _warmup(scheduler),
                    _steps(scheduler),
                    tuple(float(rate) for rate in vars(scheduler).get("base_lrs", ()) if isinstance(rate, Real)),
                    place,
                )
            )
        self._made.clear()

    def _init(self, original: Any, scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(scheduler is known for known, _ in self._made):
            self._made.append((scheduler, self.run.places.here(within=self.run.module)))
        return original(scheduler, *args, **kwargs)

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Note where the user's own line reads a property of the Trainer that has no proper value yet."""
        cls = self.run.package.Trainer
        original = inspect.getattr_static(cls, name, None)
        if not isinstance(original, property) or name not in vars(cls):
            yield
            return
        read = original.fget

        def getter(trainer: Any) -> Any:
            value = read(trainer) if read else None
            if isinstance(value, Real) and not 0 <= float(value) < float("inf"):
                self._note(name, float(value), sys._getframe(1))
            return value

        setattr(cls, name, property(getter, original.fset, original.fdel, original.__doc__))
        try:
            yield
        finally:
            setattr(cls, name, original)

    def _note(self, name: str, value: float, frame: Any) -> None:
        if self.run.places.is_own(frame.f_code.co_filename):
            self.run.tape.add(TrainerAsked(self.run.tape.now, name, value, self.run.places.here()))


def horizon_of(scheduler: Any) -> dict[str, float]:
    """The numbers that a scheduler, its parts and its functions hold, by name."""
    found: dict[str, float] = {}
    for name, value in _members(scheduler):
        _numbers(found, name, value, 0)
    return found


def _members(owner: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(owner).items():
        plain = name.lstrip("_")
        if plain not in _STATE and not plain.endswith(("lr", "lrs")):
            yield name, value


def _numbers(found: dict[str, float], name: str, value: Any, depth: int) -> None:
    if isinstance(value, bool) or depth > _DEPTH:
        return
    if isinstance(value, Real):
        found[name] = float(value)
    elif isinstance(value, dict) and len(value) < 50 and all(isinstance(key, int) for key in value):
        _numbers(found, name, list(value), depth + 1)
    elif isinstance(value, (list, tuple)) and len(value) < 50:
        for index, item in enumerate(value):
            _numbers(found, f"{name}[{index}]", item, depth + 1)
    elif _is_scheduler(value):
        for inner, item in _members(value):
            _numbers(found, f"{name}.{inner}", item, depth + 1)
    elif isinstance(value, functools.partial):
        for inner, item in value.keywords.items():
            _numbers(found, f"{name}.{inner}", item, depth + 1)
    elif inspect.isfunction(value):
        for inner, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
            content = _content(cell)
            if isinstance(content, Real) or inspect.isfunction(content):
                _numbers(found, f"{name}.{inner}", content, depth + 1)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _parts(scheduler: Any) -> Iterator[Any]:
    for value in vars(scheduler).values():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if _is_scheduler(item):
                yield item


def _is_scheduler(value: Any) -> bool:
    schedulers = torch.optim.lr_scheduler
    base = getattr(schedulers, "LRScheduler", None) or schedulers._LRScheduler
    return isinstance(value, (base, schedulers.ReduceLROnPlateau))


def _is_in(value: Any, values: Any) -> bool:
    return any(value is each for each in values)


def _steps(scheduler: Any) -> int | None:
    """Calls of ``step`` after the one that the constructor makes."""
    if not _is_scheduler(scheduler):
        return None
    held = vars(scheduler)
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        return int(held.get("last_epoch", 0))
    counts = [held[name] - first for name, first in (("_step_count", 1), ("last_epoch", 0)) if name in held]
    return max((int(count) for count in counts), default=None)


def _warmup(scheduler: Any) -> int:
    """How many calls the functions of a scheduler take to their highest value; 0 where they do not rise to one."""
    longest = 0
    for function in vars(scheduler).get("lr_lambdas", ()):
        if not inspect.isfunction(function) and not isinstance(function, functools.partial):
            continue
        try:
            values = [float(function(at)) for at in _GRID]
        except Exception:
            continue
        top = max(values)
        if (values[-1] == top and values[-1] > 2 * values[-2]) or not values[0] < 0.5 * top < float("inf"):
            continue
        # Where it swings, the first peak counts.
        turn = next((i for i, (one, other) in enumerate(pairwise(values)) if other < one), None)
        high = top if turn is None or values[turn] < 0.5 * top else values[turn]
        longest = max(longest, next(at for at, value in zip(_GRID, values, strict=True) if value >= 0.99 * high))
    return longest
