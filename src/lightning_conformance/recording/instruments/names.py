"""Attributes that stand in the place of something that LightningModule has under that name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from lightning_conformance.recording.events_logging import NameShadowed
from lightning_conformance.recording.instruments.base import Instrument
from lightning_conformance.recording.places import assignments, user_classes

# Handing over a loader in place of a method is a custom that works.
_REPLACEABLE = "_dataloader"


class Names(Instrument):
    """Looks at the names of a module's attributes before it is trained."""

    def begin(self, trainer: Any) -> None:
        """Compare the attributes with what LightningModule has."""
        places, base = assignments(self.run.module), self.run.package.LightningModule
        for name, value in self._assigned():
            if not name.startswith("_") and not name.endswith(_REPLACEABLE) and _is_taken(base, name):
                layer = not isinstance(vars(self.run.module).get(name, _ABSENT), type(value))
                if layer or not callable(value):
                    self.run.tape.add(
                        NameShadowed(self.run.tape.now, name, type(value).__name__, layer, places.get(name))
                    )

    def _assigned(self) -> Iterator[tuple[str, Any]]:
        module = self.run.module
        yield from vars(module).items()
        for registered in ("_modules", "_parameters", "_buffers"):
            yield from vars(module).get(registered, {}).items()
        for cls in user_classes(module):
            for name, member in vars(cls).items():
                if not callable(member) and not hasattr(type(member), "__get__"):
                    yield name, member


class _Absent:
    """Stands for an attribute that is not there."""


_ABSENT = _Absent()


def _is_taken(base: Any, name: str) -> bool:
    """Whether LightningModule has a method, or a property that cannot be assigned, of that name."""
    own = inspect.getattr_static(base, name, None)
    if isinstance(own, property):
        return own.fset is None
    return inspect.isfunction(own) and own is not torch.nn.Module.forward
