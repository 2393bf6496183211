"""Values for replays, which are many and small: most of their time would go into drawing."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.batch_values import draw_tensor

MANY = 997  # values; a larger tensor repeats them, as drawing all of them would take longer than the replay

LARGEST = 2**24  # values of a leaf: no batch is sought that would fill the memory


def is_small(spec: TensorSpec) -> bool:
    """Whether a leaf is of a size that a batch may have."""
    return torch.Size(map(int, spec.shape)).numel() <= LARGEST


def drawn(spec: TensorSpec) -> torch.Tensor:
    """Values of a spec, for a replay."""
    shape = tuple(int(dim) for dim in spec.shape)
    count = torch.Size(shape).numel()
    if spec.form or count <= MANY:
        return draw_tensor(spec, torch.Generator().manual_seed(0))
    return _pool(replace(spec, shape=(MANY,))).first(count).view(shape)


class _Pool:
    """The same values again and again, in memory that all replays share as long as none writes there."""

    def __init__(self, spec: TensorSpec) -> None:
        self.values = draw_tensor(spec, torch.Generator().manual_seed(0))
        self.memory, self.version = self.values, self.values._version

    def first(self, count: int) -> torch.Tensor:
        if self.memory.numel() < count or self.memory._version != self.version:
            self.memory = self.values.repeat(2 * count // MANY + 1)
            self.version = self.memory._version
        return self.memory[:count]


_pool = lru_cache(maxsize=8)(_Pool)
