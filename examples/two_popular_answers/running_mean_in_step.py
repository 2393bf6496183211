"""Claim: with `on_step=True, on_epoch=True`, `logged_metrics["train_loss"]` in the step is a running mean.

There is no such key: logging both ways splits the name into `train_loss_step`, the batch, and
`train_loss_epoch`, there from the second epoch on holding the mean of the epoch before. No running mean.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric


class Claimed(pl.LightningModule):
    """Reads a name that Lightning does not give to the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.mean_so_far = float("nan")

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.mean_so_far = float(self.trainer.logged_metrics["train_loss"])
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Right(Claimed):
    """Keeps the running mean itself, in a metric that starts anew with each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.running_mean = MeanMetric()

    def on_train_epoch_start(self) -> None:
        self.running_mean.reset()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.running_mean.update(loss.detach(), weight=len(x))
        self.mean_so_far = float(self.running_mean.compute())
        return loss
