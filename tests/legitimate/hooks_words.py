"""Names like hooks that something calls, or that do nothing."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class CallsByName(pl.LightningModule):
    """The names of its helpers are put together."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.seen = {"train": 0, "val": 0}

    def on_train_step_end(self, size):
        self.seen["train"] += size

    def on_val_step_end(self, size):
        self.seen["val"] += size

    def shared(self, batch, stage):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        getattr(self, f"on_{stage}_step_end")(len(x))
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self.shared(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.shared(batch, "val")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class KeepsAnEmptyOldHook(pl.LightningModule):
    """A removed hook with nothing in it: nothing is lost."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_epoch_end(self):
        """For subclasses of old."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class HangsItsStateOnTheTrainer(pl.LightningModule):
    """What is read from the Trainer was put there by the module."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def on_fit_start(self):
        self.trainer.seen_samples = 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.trainer.seen_samples += len(x)
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_end(self):
        self.print("samples", self.trainer.seen_samples)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


LEGITIMATE = {
    "CallsByName": {"batch": "x: float[6,6], y: int[6]<3"},
    "KeepsAnEmptyOldHook": {"batch": "x: float[6,4], y: float[6,1]", "since": (2, 0)},
    "HangsItsStateOnTheTrainer": {"batch": "x: float[6,4], y: float[6,1]"},
}
