"""Precision: which dtypes meet in the steps, and what does not fit into them, where they are not float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lightning_conformance.environments import Precision
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.devices import tensors_of_batch
from lightning_conformance.recording.instruments.dtype_ranges import RangeWatch
from lightning_conformance.recording.instruments.dtype_trail import DtypeTrail
from lightning_conformance.subjects.batch_spec import tensors_of

_STEPS = ("training_step", "validation_step")


class PrecisionWatch(Instrument):
    """Sees what the steps compute with, in an environment of another precision."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        environment = run.setup.environment
        self._mode = _Mode(run, environment) if isinstance(environment, Precision) else None

    def watching(self) -> AbstractContextManager[Any]:
        """The steps are watched as long as the run."""
        return self._mode or nullcontext()

    def begin(self, trainer: Any) -> None:
        """Know the batch's tensors again."""
        if self._mode is None:
            return
        trail, transfer = self._mode.trail, trainer.strategy.batch_to_device

        def batch_to_device(*args: Any, **kwargs: Any) -> Any:
            moved = transfer(*args, **kwargs)
            with torch._C.DisableTorchFunction():
                trail.meet_batch(tensors_of_batch(moved))
            return moved

        trainer.strategy.batch_to_device = batch_to_device

    def end(self, trainer: Any) -> None:
        """What the optimizers compute with."""
        if self._mode is not None and self._mode.ranges and trainer is not None:
            self._mode.ranges.optimizers(self.run.package.optimizers_of(trainer))


class _Mode(TorchFunctionMode):
    """Sees each torch function that Python calls in a step."""

    def __init__(self, run: Run, environment: Precision) -> None:
        super().__init__()
        self._tape = run.tape
        self.trail = DtypeTrail(run, environment)
        self.ranges = RangeWatch(run) if environment.low else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function; look at what it returned, or at what it was given where it refused that."""
        kwargs = kwargs or {}
        if self._tape.hook not in _STEPS:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        given = [tensor for tensor in tensors_of((*args, *kwargs.values())) if tensor.is_floating_point()]
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            with suppress(Exception), torch._C.DisableTorchFunction():
                self.trail.refused(name, given, str(error))
            raise
        with suppress(Exception), torch._C.DisableTorchFunction():
            returned = [tensor for tensor in tensors_of(result) if tensor.is_floating_point()]
            self.trail.returned(name, given, returned)
            if self.ranges:
                self.ranges.returned(name, func, args, kwargs, given, returned)
        return result
