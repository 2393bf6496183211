"""Claim: after `self.log("train_loss", loss)`, `trainer.logged_metrics` holds the mean of the last epoch.

It holds the loss of the last batch: in `training_step`, `self.log` defaults to `on_step=True,
on_epoch=False`, and no mean is computed at all.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Claimed(pl.LightningModule):
    """Takes the last logged step for the mean of the last epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.final_epoch_loss = float("nan")

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def on_train_end(self) -> None:
        self.final_epoch_loss = float(self.trainer.logged_metrics["train_loss"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Right(Claimed):
    """Asks for the mean, and reads it where Lightning keeps metrics for callbacks, logger or not."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_end(self) -> None:
        self.final_epoch_loss = float(self.trainer.callback_metrics["train_loss"])
