"""Validation inside ``fit``: what it changes, and in which mode layers run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from lightning_conformance.recording.digests import STATISTICS, Digests
from lightning_conformance.recording.events_evaluation import FunctionalInTraining, ValidationWatched
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.functional import FunctionalWatch
from lightning_conformance.recording.instruments.modes import has_modes
from lightning_conformance.recording.model import Moment

_STAGES = ("sanity", "validate")


class ValidationWatch(Instrument):
    """Compares the module before and after each validation."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._before: Digests | None = None
        self._after: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._at: Moment | None = None
        self._names: dict[int, str] = {}
        self._layers: dict[str, str] = {}
        self._root_training = False
        self._steps = self._returned = 0
        self._functional = FunctionalWatch(run.places)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends."""
        self.run.tape.listeners.append(self._hook)
        handle = register_module_forward_pre_hook(self._note_forward)
        try:
            yield
        finally:
            handle.remove()
            self.run.tape.listeners.remove(self._hook)

    def callback(self) -> Any:
        """A callback that runs before the module's own ``on_validation_start``."""
        watch = self

        class BeforeValidation(self.run.package.Callback):  # type: ignore[misc, name-defined]
            def on_validation_start(self, trainer: Any, module: Any) -> None:
                watch._start()

        return BeforeValidation()

    def begin(self, trainer: Any) -> None:
        """See what each validation step returns; the strategy lives as long as its Trainer."""
        step = trainer.strategy.validation_step

        def validation_step(*args: Any, **kwargs: Any) -> Any:
            with self._functional:
                returned = step(*args, **kwargs)
            self._root_training |= self.run.module.training
            self._steps += 1
            self._returned += returned is not None
            return returned

        trainer.strategy.validation_step = validation_step

    def _start(self) -> None:
        self._settle()
        self._at = self.run.tape.now
        self._before, self._after = Digests(self.run.module), None
        self._names = {id(m): name for name, m in self.run.module.named_modules()}
        self._layers, self._root_training, self._steps, self._returned = {}, False, 0, 0

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        if owner != "LightningModule" or self._before is None:
            return
        if name == "on_validation_end" and not begins:
            self._after = Digests(self.run.module).changed_since(self._before)
        elif name in ("on_train_batch_start", "on_train_end", "on_fit_end") and begins and self._after is not None:
            self._settle()

    def _settle(self) -> None:
        """The validation is over, and what it swapped in is swapped out again."""
        if self._before is None or self._after is None or self._at is None:
            return
        later = Digests(self.run.module).changed_since(self._before) if any(self._after) else ((), ())
        parameters, buffers = (
            tuple(name for name in names if name in still) for names, still in zip(self._after, later, strict=True)
        )
        statistics = tuple(name for name in buffers if name.rpartition(".")[2] in STATISTICS)
        tape, layers = self.run.tape, dict(self._layers)
        steps = (self._root_training, self._steps, self._returned)
        tape.add(ValidationWatched(self._at, parameters, buffers, statistics, layers, *steps))
        for function, place in self._functional.seen.items():
            tape.add(FunctionalInTraining(self._at, function, place))
        self._functional.seen.clear()
        self._before = self._after = None

    def _note_forward(self, submodule: nn.Module, args: Any) -> None:
        if self._before is None or self._after is not None or self.run.tape.stage not in _STAGES:
            return
        name = self._names.get(id(submodule))
        if name is not None and submodule.training and has_modes(submodule):
            self._layers[name] = type(submodule).__name__

    def end(self, trainer: Any) -> None:
        """Write down the last validation."""
        self._settle()
