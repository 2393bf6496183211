"""Functions that behave differently in training and evaluation, called as in training by the user's own code."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lightning_conformance.recording.model import Place
from lightning_conformance.recording.places import Places

# Position of the argument that says whether to behave as in training, and what it is where it is left out.
_FLAGS = {
    "dropout": (2, True),
    "dropout1d": (2, True),
    "dropout2d": (2, True),
    "dropout3d": (2, True),
    "alpha_dropout": (2, False),
    "feature_alpha_dropout": (2, False),
    "batch_norm": (5, False),
}
_LAYERS = tuple(os.path.join("nn", "modules", name) for name in ("dropout.py", "batchnorm.py"))


class FunctionalWatch(TorchFunctionMode):
    """Enter it around an evaluation step.

    Args:
        places: Tells the user's line.
    """

    def __init__(self, places: Places) -> None:
        super().__init__()
        self._places = places
        self.seen: dict[str, Place | None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the call, and make it."""
        kwargs = kwargs or {}
        flag = _FLAGS.get(getattr(func, "__name__", ""))
        if flag is not None and getattr(func, "__module__", "") == "torch.nn.functional":
            self._look(func.__name__, flag, args, kwargs)
        return func(*args, **kwargs)

    def _look(self, name: str, flag: tuple[int, bool], args: Any, kwargs: Any) -> None:
        position, default = flag
        training = kwargs.get("training", args[position] if len(args) > position else default)
        rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5) if "dropout" in name else 1.0
        if bool(training) and rate and not torch.is_grad_enabled() and not _in_layer():
            self.seen.setdefault(name, self._places.here())


def _in_layer() -> bool:
    """Whether torch's own layer makes the call: its mode says what it does."""
    frame = sys._getframe(3)
    for _ in range(6):
        if frame is None:
            return False
        if frame.f_code.co_filename.endswith(_LAYERS):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
