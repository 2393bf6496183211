"""Methods with names like hooks, signatures of one's own, and hooks that do little: all of them right."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class HelpersNamedLikeHooks(pl.LightningModule):
    """The module calls them itself."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.history = []

    def train_step(self, x, y):
        return F.cross_entropy(self.net(x), y)

    def on_training_epoch_end(self):
        self.history.append(float(self.trainer.current_epoch))

    def training_step(self, batch, batch_idx):
        loss = self.train_step(*batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.on_training_epoch_end()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ForOldAndNewLightning(pl.LightningModule):
    """Defines what 1.x calls and what 2.x calls."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.epochs = 0

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_epoch_end(self):
        self.epochs += 1

    def on_train_epoch_end(self):
        self.epochs += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SignaturesOfItsOwn(pl.LightningModule):
    """Fewer names, other names, stars, defaults: each can be called as Lightning calls it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)
        self.stage = None

    def setup(self, stage=None):
        self.stage = stage

    def teardown(self, **kwargs):
        self.stage = None

    def on_train_batch_start(self, *args):
        pass

    def on_train_batch_end(self, out, data, number):
        pass

    def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
        pass

    def on_save_checkpoint(self, state, **more):
        state["stage"] = str(self.stage)

    def transfer_batch_to_device(self, batch, device, index=0, extra=None):
        return super().transfer_batch_to_device(batch, device, index)

    def lr_scheduler_step(self, scheduler, *args):
        scheduler.step()

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 30)]


class AsksBeforeItReads(pl.LightningModule):
    """Knows that a Trainer may lack what another release had."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def devices(self):
        if hasattr(self.trainer, "gpus"):
            return self.trainer.gpus
        return self.trainer.num_devices

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_end(self):
        self.devices()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PreparesInBatchStart(pl.LightningModule):
    """The hook is overridden, and ends no epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.temperature = 1.0

    def on_train_batch_start(self, batch, batch_idx):
        self.temperature = 1.0 / (1 + self.trainer.global_step)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]) / self.temperature, batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


LEGITIMATE = {
    "HelpersNamedLikeHooks": {"batch": "x: float[8,6], y: int[8]<3"},
    "ForOldAndNewLightning": {"batch": "x: float[8,4], y: float[8,1]", "since": (2, 0)},
    "SignaturesOfItsOwn": {"batch": "x: float[8,4], y: int[8]<2", "since": (2, 0)},
    "AsksBeforeItReads": {"batch": "x: float[8,4], y: float[8,1]"},
    "PreparesInBatchStart": {"batch": "x: float[8,4], y: float[8,1]"},
}
