"""Lists, dicts and numbers of a module that its steps add to: whether an epoch finds them empty."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

import torch

from lightning_conformance.recording.events_logging import Edge, KeptAmount, KeptSize
from lightning_conformance.recording.instruments.base import EpochEdges


class KeptContainers(EpochEdges):
    """Watches the sizes of a module's plain containers, and its numbers."""

    def edge(self, which: Edge) -> None:
        """Write the sizes down."""
        tape = self.run.tape
        for attribute, value in vars(self.run.module).items():
            if attribute in _TORCHS or attribute.endswith("_hooks"):
                continue
            if isinstance(value, (list, dict)) or (isinstance(value, deque) and value.maxlen is None):
                tape.add(KeptSize(tape.now, attribute, which, _size(value)))
            elif (amount := _amount(value)) is not None:
                tape.add(KeptAmount(tape.now, attribute, which, amount))


_TORCHS = frozenset(
    {"_parameters", "_buffers", "_modules", "_metric_attributes", "_optimizers", "_hparams", "_hparams_initial"}
)
_LONG = 1000


def _size(value: Any) -> int:
    """Things in a container; of lists in a list or dict, the things in those."""
    inner = list(islice(value.values() if isinstance(value, dict) else value, _LONG))
    if inner and all(isinstance(item, list) for item in inner):
        return sum(len(item) for item in inner)
    return len(value)


def _amount(value: Any) -> float | None:
    """The value of a number, or of a tensor that is one."""
    if isinstance(value, torch.Tensor):
        is_one = value.dim() == 0 and not value.is_complex() and value.device.type != "meta"
        return float(value.detach()) if is_one else None
    return float(value) if type(value) in (int, float) else None
