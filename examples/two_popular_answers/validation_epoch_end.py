"""Claim: a `validation_step` that returns a dict, with `validation_epoch_end`, is correct.

It was, up to Lightning 1.9. Lightning 2.0 removed `validation_epoch_end`, and a module that has it is
refused. Neither version uses what validation returns for the optimization.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Trained(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Claimed(_Trained):
    """Gathers the outputs of validation in the hook that 2.0 removed."""

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        x, y = batch
        return {"val_loss": F.cross_entropy(self(x), y)}

    def validation_epoch_end(self, outputs: list[dict[str, Tensor]]) -> None:
        mean = torch.stack([output["val_loss"] for output in outputs]).mean()
        self.log("val_loss", mean)


class Right(_Trained):
    """Logs in `validation_step`, where the mean over the samples of the epoch is the default."""

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
