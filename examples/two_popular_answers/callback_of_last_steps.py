"""Claim: a callback that reads `logged_metrics["train_loss"]` as each epoch ends collects the means.

It collects the loss of one batch per epoch. What `self.log` was not asked to average, nobody averages.
"""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LossHistory(pl.Callback):
    """Keeps what `train_loss` is at the end of each training epoch."""

    def __init__(self, metrics: str) -> None:
        self.metrics = metrics
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses.append(float(getattr(trainer, self.metrics)["train_loss"]))


class Claimed(pl.LightningModule):
    """Logs per step, and reads `logged_metrics`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.history = LossHistory("logged_metrics")

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_callbacks(self) -> list[pl.Callback]:
        return [self.history]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Right(Claimed):
    """Logs the mean of the epoch, and reads `callback_metrics`."""

    def __init__(self) -> None:
        super().__init__()
        self.history = LossHistory("callback_metrics")

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
