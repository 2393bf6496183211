"""State, hyperparameters and setup, handled with care: checkpoints hold what they must."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class ArgumentsAreSaved(pl.LightningModule):
    lightning_conformance = {"init": {"hidden": 7, "activation": "tanh"}}

    def __init__(self, hidden: int, activation: str = "relu"):
        super().__init__()
        self.save_hyperparameters()
        self.first, self.last = nn.Linear(4, hidden), nn.Linear(hidden, 2)

    def training_step(self, batch, batch_idx):
        hidden = getattr(torch, self.hparams.activation)(self.first(batch[0]))
        loss = F.cross_entropy(self.last(hidden), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SetupMakesTheHeadOnce(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.head = nn.Linear(8, 2)
        self.classes = None

    def setup(self, stage=None):
        if self.classes is None:
            self.classes = 2
            self.head = nn.Linear(8, self.classes)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.head(torch.relu(self.body(batch[0]))), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class QueueIsSavedByHooks(pl.LightningModule):
    """A plain attribute that the checkpoint holds all the same."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 4)
        self.negatives = torch.zeros(3, 4)

    def training_step(self, batch, batch_idx):
        code = F.normalize(self.net(batch), dim=-1)
        loss = (code @ self.negatives.to(code).T).exp().mean() + (code - 1).square().mean()
        self.negatives = code.detach()[:3].cpu()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def on_save_checkpoint(self, checkpoint):
        checkpoint["negatives"] = self.negatives

    def on_load_checkpoint(self, checkpoint):
        self.negatives = checkpoint["negatives"]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TemperatureByEpoch(pl.LightningModule):
    """The schedule is a function of the epoch: a resumed run knows it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.Linear(8, 3))
        self.temperature = 1.0

    def on_train_epoch_start(self):
        self.temperature = max(1.0, 4.0 * 0.5**self.current_epoch)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]) / self.temperature, batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


class RemembersForItsOwn(pl.LightningModule):
    """Counters and histories that no computation uses."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)
        self.batches, self.best, self.curve = 0, float("inf"), []
        self.last_prediction = torch.zeros(1)

    def training_step(self, batch, batch_idx):
        prediction = self.net(batch[0])
        loss = F.mse_loss(prediction, batch[1])
        self.batches += 1
        self.last_prediction = prediction.detach()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.best = min(self.best, float(self.trainer.callback_metrics.get("train_loss", self.best)))
        self.curve.append(self.best)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class NetworkIsGivenAndNotSaved(pl.LightningModule):
    """The network is handed over, and handed over again when a checkpoint is loaded."""

    lightning_conformance = {"init": lambda: {"net": nn.Linear(4, 3)}}

    def __init__(self, net: nn.Module, lr: float = 1e-3):
        super().__init__()
        self.net, self.lr = net, lr

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


LEGITIMATE = {
    "ArgumentsAreSaved": {"batch": "x: float[8,4], y: int[8]<2"},
    "SetupMakesTheHeadOnce": {"batch": "x: float[8,6], y: int[8]<2"},
    "QueueIsSavedByHooks": {"batch": "float[8,5]"},
    "TemperatureByEpoch": {"batch": "x: float[8,8], y: int[8]<3"},
    "RemembersForItsOwn": {"batch": "x: float[8,6], y: float[8,1]"},
    "NetworkIsGivenAndNotSaved": {"batch": "x: float[8,4], y: int[8]<3"},
}
