"""What the hostile modules share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

try:
    from lightning.pytorch import LightningModule
except ImportError:
    from pytorch_lightning import LightningModule

PAIR = "x: float[B,3], y: int[B]<2"
FOUND: dict[type, Any] = {}


def found(notation: Any = PAIR):
    """The batch of a class, or several that are right."""

    def note(cls: type) -> type:
        FOUND[cls] = (notation,) if isinstance(notation, str) else notation
        return cls

    return note


class Small(LightningModule):
    """A layer from three features to two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def loss(self, x, y):
        return F.cross_entropy(self.layer(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
