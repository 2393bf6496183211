"""A classifier of feature vectors: the plainest module that does everything right."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(pl.LightningModule):
    """A multi-layer perceptron trained with cross entropy.

    A batch is ``(x, y)``: ``x`` float of shape ``(batch, features)``, ``y`` class indices, ``(batch,)``.
    """

    def __init__(self, features: int = 20, hidden: int = 64, classes: int = 3, lr: float = 1e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        # One value per epoch: the mean over the samples. The default in training_step is one value per step.
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self(x)
        accuracy = (logits.argmax(dim=1) == y).float().mean()
        # In validation_step the mean over the epoch is the default.
        self.log("val_loss", F.cross_entropy(logits, y))
        self.log("val_accuracy", accuracy, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
