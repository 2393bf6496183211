"""Family 6: state that no checkpoint keeps, layers that are made anew."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class CenterIsNoBuffer(pl.LightningModule):
    """The running centre of the targets, as self-distillation has it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)
        self.center = torch.zeros(4)  # FAULT: CenterIsNoBuffer

    def training_step(self, batch, batch_idx):
        one, other = batch
        target = (self.net(other).detach() - self.center.to(one.device)).softmax(-1)
        loss = -(target * self.net(one).log_softmax(-1)).sum(-1).mean()
        self.center = 0.9 * self.center + 0.1 * self.net(other).detach().mean(0).cpu()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


class BufferThatIsNotSaved(pl.LightningModule):
    """Not persistent, as if it could be computed again."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 1)
        self.register_buffer("scale", torch.ones(()), persistent=False)  # FAULT: BufferThatIsNotSaved

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.scale.mul_(0.9).add_(0.1 * y.abs().mean())
        loss = F.mse_loss(self.net(x), y / self.scale)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class TemperatureStartsAnew(pl.LightningModule):
    """A schedule by hand: a resumed run begins it again."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.temperature = 5.0  # FAULT: TemperatureStartsAnew

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x) / self.temperature, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_start(self):
        if self.current_epoch > 0:
            self.temperature = max(1.0, self.temperature * 0.5)  # FAULT: TemperatureStartsAnew

    def on_train_epoch_end(self):
        self.temperature = self.temperature * 0.8

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SetupMakesTheHead(pl.LightningModule):
    """setup knows the number of classes; it runs for every entry point."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.head = None

    def setup(self, stage):  # FAULT: SetupMakesTheHead
        self.head = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.head(torch.relu(self.body(batch[0]))), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LayersBeforeTheConstructor(pl.LightningModule):
    def __init__(self):
        self.net = nn.Linear(4, 1)  # FAULT: LayersBeforeTheConstructor
        super().__init__()

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "CenterIsNoBuffer": {
        "fault": "state-outside-state_dict",
        "check": "loaded_module_is_the_same",
        "severity": "error",
        "batch": "one: float[6,6], other: float[6,6]",
        "words": ["center", "register_buffer"],
    },
    "BufferThatIsNotSaved": {
        "fault": "state-outside-state_dict",
        "check": "loaded_module_is_the_same",
        "severity": "error",
        "batch": "x: float[6,5], y: float[6,1]",
        "words": ["scale", "checkpoint"],
    },
    "TemperatureStartsAnew": {
        "fault": "state-outside-state_dict",
        "check": "resumed_training_goes_on",
        "severity": "warning",
        "batch": "x: float[6,8], y: int[6]<3",
        "words": ["temperature", "resuming", "current_epoch"],
    },
    "SetupMakesTheHead": {
        "fault": "setup-rebuilds-layers",
        "check": "setup_keeps_trained_layers",
        "severity": "error",
        "batch": "x: float[6,6], y: int[6]<3",
        "words": ["head.weight", "anew"],
    },
    "LayersBeforeTheConstructor": {
        "fault": "init-order",
        "check": "training_completes",
        "severity": "error",
        "batch": "x: float[6,4], y: float[6,1]",
        "words": ["__init__"],
    },
}
