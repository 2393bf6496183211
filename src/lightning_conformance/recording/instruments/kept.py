"""Lists and dicts of a module that its steps add to: whether an epoch finds them empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from lightning_conformance.recording.events_logging import KeptSize
from lightning_conformance.recording.instruments.base import Instrument, Run

_STEPS = ("training_step", "validation_step")
_ENDS = ("on_train_epoch_end", "on_validation_epoch_end")


class KeptContainers(Instrument):
    """Watches the sizes of a module's plain containers."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._at = ("", -1, "")

    def watching(self) -> AbstractContextManager[Any]:
        """Listen to the steps and the ends of epochs."""
        return self._listening()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        self.run.tape.listeners.append(self._hook)
        try:
            yield
        finally:
            self.run.tape.listeners.remove(self._hook)

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        tape = self.run.tape
        edge: Literal["begin", "end"] = "begin" if name in _STEPS else "end"
        if not begins or name not in (*_STEPS, *_ENDS) or (edge == "begin" and tape.batch > 0):
            return
        at = (tape.stage, tape.epoch, edge)
        if at == self._at:
            return
        self._at = at
        for attribute, value in vars(self.run.module).items():
            if type(value) in (list, dict) and not attribute.startswith("_forward_") and attribute not in _TORCHS:
                tape.add(KeptSize(tape.now, attribute, edge, _size(value)))


_TORCHS = frozenset(
    {"_parameters", "_buffers", "_modules", "_metric_attributes", "_optimizers", "_hparams", "_hparams_initial"}
)


def _size(value: Any) -> int:
    """Things in a container; of a dict of lists, those in the lists."""
    if isinstance(value, dict) and any(type(item) is list for item in value.values()):
        return sum(len(item) for item in value.values() if type(item) is list)
    return len(value)
