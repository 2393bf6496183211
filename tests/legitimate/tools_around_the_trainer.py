"""Modules that copies, serving, exports, a command line and a tuner can work with, though they do not look like it."""

import functools

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.cli import LightningCLI
from torch import nn


class KeepsDetachedOutputs(pl.LightningModule):
    """The last loss and features, without their graph; a schedule by a named function."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 14), nn.ReLU())
        self.head = nn.Linear(14, 1)
        self.last = {}
        self.scale = functools.partial(torch.mul, other=0.5)

    def training_step(self, batch, batch_idx):
        x, y = batch
        features = self.net(x)
        loss = F.mse_loss(self.scale(self.head(features)), y)
        self.last = {"loss": loss.detach(), "features": features.detach()}
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AsksTheTrainerIfThereIsOne(pl.LightningModule):
    """``forward`` looks for a Trainer, and does without."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(9, 12), nn.Tanh())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        h = self.backbone(x)
        trainer = getattr(self, "_trainer", None)
        if trainer is not None and trainer.training:
            h = h + 0.1 * torch.randn_like(h)
        self.log("activity", h.abs().mean(), on_step=False, on_epoch=True)
        return self.head(h)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class ExampleOfSeveralArguments(pl.LightningModule):
    """A tuple, for a ``forward`` that takes two; and a plain decision that can be traced."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 8), nn.Linear(3, 8)
        self.out = nn.Linear(8, 2)
        self.example_input_array = (torch.rand(2, 5), torch.rand(2, 3))

    def forward(self, left, right=None):
        hidden = self.left(left)
        if right is not None:
            hidden = hidden + self.right(right)
        return self.out(torch.where(hidden > 0, hidden, 0.1 * hidden))

    def training_step(self, batch, batch_idx):
        left, right, y = batch
        loss = F.cross_entropy(self(left, right), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class BuildsLayersInSetup(pl.LightningModule):
    """Without ``setup`` there is nothing to run; the trained module runs alone."""

    def __init__(self, width: int = 8, lr: float = 0.02):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage):
        if hasattr(self, "net"):
            return
        self.net = nn.Sequential(nn.Linear(6, self.hparams.width), nn.ReLU(), nn.Linear(self.hparams.width, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.0)
        rate = self.hparams.lr
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class WarmsUpByHand(pl.LightningModule):
    """The learning rate is set in each step; the optimizer's own is nobody's."""

    def __init__(self, learning_rate: float = 0.05):
        super().__init__()
        self.learning_rate = learning_rate
        self.net = nn.Linear(6, 2)

    def on_train_batch_start(self, batch, batch_idx):
        for group in self.optimizers().param_groups:
            group["lr"] = self.learning_rate * min(1.0, (self.global_step + 1) / 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


class OptimizerFromOutside(pl.LightningModule):
    """The rate is part of what is handed over, typed for a parser."""

    def __init__(self, classes: int = 3, decay: float = 0.9, names: list[str] | None = None):
        super().__init__()
        self.optimizer = functools.partial(torch.optim.RMSprop, lr=0.003, alpha=decay)
        self.names = names or [f"class {i}" for i in range(classes)]
        self.net = nn.Linear(5, len(self.names))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


class HandsKeywordsOn(OptimizerFromOutside):
    """What it is given beside its own argument is its base class's, as a parser sees, too."""

    lightning_conformance = {"init": {"classes": 3}}

    def __init__(self, smoothing: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.smoothing = smoothing


if __name__ == "__main__":
    LightningCLI(HandsKeywordsOn)


LEGITIMATE = {
    "KeepsDetachedOutputs": {"batch": "x: float[5,7], y: float[5,1]"},
    "AsksTheTrainerIfThereIsOne": {"batch": "x: float[5,9], y: int[5]<4"},
    "ExampleOfSeveralArguments": {"batch": "left: float[5,5], right: float[5,3], y: int[5]<2"},
    "BuildsLayersInSetup": {"batch": "x: float[5,6], y: int[5]<2"},
    "WarmsUpByHand": {"batch": "x: float[5,6], y: int[5]<2"},
    "OptimizerFromOutside": {"batch": "x: float[5,5], y: int[5]<3"},
    "HandsKeywordsOn": {"batch": "x: float[5,5], y: int[5]<3"},
}
