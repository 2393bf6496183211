"""A module that brings its own data: two spirals to be told apart."""

from __future__ import annotations

import math

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def two_spirals(points: int, seed: int) -> TensorDataset:
    """Noisy points of two interleaved spirals: ``x`` of shape ``(points, 2)``, ``y`` 0.0 or 1.0."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(points) % 2
    angle = 3 * math.pi * torch.rand(points, generator=generator).sqrt()
    turned = angle + math.pi * y
    x = torch.stack([angle * turned.cos(), angle * turned.sin()], dim=1) / 10
    return TensorDataset(x + 0.02 * torch.randn(points, 2, generator=generator), y.float())


class Spirals(pl.LightningModule):
    """A binary classifier of points in the plane, trained on spirals that it generates itself."""

    def __init__(self, points: int = 150, batch_size: int = 32, hidden: int = 32, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(2, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        logits = self(x)
        self.log("val_loss", F.binary_cross_entropy_with_logits(logits, y))
        self.log("val_accuracy", ((logits > 0) == (y > 0)).float().mean())

    def train_dataloader(self) -> DataLoader:
        # 150 points in batches of 32: the last batch has 22.
        data = two_spirals(self.hparams.points, seed=0)
        return DataLoader(data, batch_size=self.hparams.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(two_spirals(self.hparams.points // 3, seed=1), batch_size=self.hparams.batch_size)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
