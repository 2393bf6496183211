"""Right: modules that keep something from batch to batch, and let go of the rest."""

from collections import deque

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class DetachedGruState(pl.LightningModule):
    """A stateful GRU that cuts its state between batches."""

    def __init__(self, hidden: int = 8):
        super().__init__()
        self.rnn = nn.GRUCell(4, hidden)
        self.head = nn.Linear(hidden, 1)
        self.state = None

    def on_train_epoch_start(self):
        self.state = None

    def training_step(self, batch, batch_idx):
        reading, target = batch
        previous = None if self.state is None else self.state[: len(reading)]
        state = self.rnn(reading, previous)
        self.state = state.detach()
        loss = F.mse_loss(self.head(state), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SumsLossesUntilTheEpochEnds(pl.LightningModule):
    """One step an epoch, for the sum of the losses of its batches."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(7, 1)
        self.total = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.total = self.total + loss
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.total)
        optimizer.step()
        self.total = 0.0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class RecentFeatures(pl.LightningModule):
    """A bounded queue of detached features, compared with each new batch."""

    def __init__(self, length: int = 3):
        super().__init__()
        self.encoder = nn.Linear(8, 4)
        self.recent = deque(maxlen=length)

    def training_step(self, x, batch_idx):
        z = F.normalize(self.encoder(x), dim=-1)
        others = torch.cat([z, *self.recent])
        loss = torch.logsumexp(z @ others.T / 0.5, dim=-1).mean()
        self.recent.append(z.detach())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MemoryBankByHand(pl.LightningModule):
    """A list as a memory bank, cut to length where it is filled."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.bank = []

    def training_step(self, x, batch_idx):
        z = self.net(x)
        self.bank.append(z.mean(0).detach())
        if len(self.bank) > 50:
            self.bank.pop(0)
        loss = F.mse_loss(z, x) + 0.01 * (z.mean(0) - torch.stack(self.bank).mean(0)).pow(2).sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class OutputsOfTheEpoch(pl.LightningModule):
    """Keeps what the steps give, cut and cleared, as the documentation says."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.training_outputs, self.validation_outputs = [], []

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.net(x)
        loss = F.cross_entropy(scores, y)
        self.training_outputs.append({"scores": scores.detach(), "y": y})
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        scores = torch.cat([each["scores"] for each in self.training_outputs])
        self.log("spread", scores.std())
        self.training_outputs.clear()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.validation_outputs.append(self.net(x).argmax(-1) == y)

    def on_validation_epoch_end(self):
        self.log("val_accuracy", torch.cat(self.validation_outputs).float().mean())
        self.validation_outputs = []

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SkipsBatchesWithoutLabels(pl.LightningModule):
    """``None`` for a batch that has nothing to learn from, as Lightning documents it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        if (y > 0).sum() < 2:
            return None
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ReadsItsOwnLog(pl.LightningModule):
    """A key ``log`` in the returned dict, for a hook of its own."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss, "log": {"size": len(x)}}

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("size", float(outputs["log"]["size"]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class RetainsForTwoPasses(pl.LightningModule):
    """``retain_graph=True``, since a second pass uses the graph again."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.shared = nn.Linear(6, 6)
        self.one, self.two = nn.Linear(6, 1), nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y, kind = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        h = torch.tanh(self.shared(x))
        first, second = F.mse_loss(self.one(h), y), F.cross_entropy(self.two(h), kind)
        self.manual_backward(first, retain_graph=True)
        self.manual_backward(second)
        optimizer.step()
        self.log("train_loss", first + second, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


LEGITIMATE = {
    "DetachedGruState": {"batch": "reading: float[5,4], target: float[5,1]"},
    "SumsLossesUntilTheEpochEnds": {"batch": "x: float[5,7], y: float[5,1]"},
    "RecentFeatures": {"batch": "float[5,8]"},
    "MemoryBankByHand": {"batch": "float[5,6]"},
    "OutputsOfTheEpoch": {"batch": "x: float[5,8], y: int[5]<3"},
    "SkipsBatchesWithoutLabels": {"batch": "x: float[5,6], y: int[5]<3"},
    "ReadsItsOwnLog": {"batch": "x: float[5,5], y: float[5,1]", "since": (2, 0)},
    "RetainsForTwoPasses": {"batch": "x: float[5,6], y: float[5,1], kind: int[5]<2"},
}
