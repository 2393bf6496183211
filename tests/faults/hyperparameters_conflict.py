"""Family 6: module and data keep the same hyperparameter with different values."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Readings(pl.LightningDataModule):
    def __init__(self, batch_size: int = 8):
        super().__init__()
        self.save_hyperparameters()
        x = torch.randn(40, 4)
        self.data = TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=self.hparams.batch_size)


class KnowsAnotherBatchSize(pl.LightningModule):
    """Both save batch_size; a Trainer with a logger refuses."""

    def __init__(self, batch_size: int = 16):  # FAULT: KnowsAnotherBatchSize
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "KnowsAnotherBatchSize": {
        "fault": "hparams-conflict-datamodule",
        "check": "training_completes",
        "severity": "error",
        "batch": "tests/faults/hyperparameters_conflict.py:Readings",
        "words": ["batch_size", "hparams"],
    },
}
