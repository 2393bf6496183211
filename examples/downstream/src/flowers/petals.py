"""How long a petal is."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class PetalRegressor(pl.LightningModule):
    """A line through two measurements, float[B, 2]. It is old, and logs the last batch instead of the epoch."""

    def __init__(self, lr: float = 1e-2):
        super().__init__()
        self.save_hyperparameters()
        self.line = nn.Linear(2, 1)

    def forward(self, x):
        return self.line(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
