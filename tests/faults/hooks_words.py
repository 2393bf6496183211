"""Family 7: hooks named in other words than Lightning's."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class DecaysWhenTheEpochFinishes(pl.LightningModule):
    """Another framework's word: the temperature stays what it is."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Linear(6, 2) for _ in range(4))
        self.temperature = 2.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        weight = (self.router(x) / self.temperature).softmax(-1)
        out = sum(weight[:, i, None] * expert(x) for i, expert in enumerate(self.experts))
        loss = F.cross_entropy(out, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_finish(self):  # FAULT: DecaysWhenTheEpochFinishes
        self.temperature = max(0.5, self.temperature * 0.9)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class BeginsItsValidation(pl.LightningModule):
    """Two words at once that Lightning does not use."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        self.worst = 0.0

    def training_step(self, batch, batch_idx):
        loss = F.smooth_l1_loss(self.net(batch["x"]), batch["y"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_val_epoch_begin(self):  # FAULT: BeginsItsValidation
        self.worst = 0.0

    def validation_step(self, batch, batch_idx):
        error = (self.net(batch["x"]) - batch["y"]).abs()
        self.worst = max(self.worst, float(error.max()))
        self.log("val_loss", error.mean())

    def on_validation_epoch_end(self):
        self.log("val_worst", self.worst)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


EXPECTED = {
    "DecaysWhenTheEpochFinishes": {
        "fault": "hook-name-typo",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "x: float[6,6], y: int[6]<2",
        "words": ["on_train_epoch_finish", "on_train_epoch_end"],
    },
    "BeginsItsValidation": {
        "fault": "hook-name-typo",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "{x: float[6,5], y: float[6,1]}",
        "words": ["on_val_epoch_begin", "on_validation_epoch_start"],
    },
}
