"""Family 7: the file cannot be imported any more."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.metrics import Accuracy  # FAULT: ImportsRemovedMetrics
from torch import nn


class ImportsRemovedMetrics(pl.LightningModule):
    """Metrics became a package of their own with 1.5."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 3)
        self.accuracy = Accuracy()

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_acc", self.accuracy(logits, y), on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


EXPECTED = {
    "ImportsRemovedMetrics": {
        "fault": "removed-import",
        "check": "training_completes",
        "severity": "error",
        "batch": "x: float[6,5], y: int[6]<3",
        "words": ["pytorch_lightning.metrics"],
    },
}
