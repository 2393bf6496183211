"""Families 1 and 10: what is kept from batch to batch, and what a step returns for some batches only."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class GruCarriesItsGraph(pl.LightningModule):
    """A stateful GRU for a stream of readings."""

    def __init__(self, hidden: int = 8):
        super().__init__()
        self.rnn = nn.GRUCell(4, hidden)
        self.head = nn.Linear(hidden, 1)
        self.state = None

    def training_step(self, batch, batch_idx):
        reading, target = batch
        previous = None if self.state is None else self.state[: len(reading)]
        self.state = self.rnn(reading, previous)  # FAULT: GruCarriesItsGraph
        loss = F.mse_loss(self.head(self.state), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MemoryOfFeatures(pl.LightningModule):
    """Smooths features over batches with a running mean, through which gradients flow back."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 6)
        self.decoder = nn.Linear(6, 10)
        self.register_buffer("average", torch.zeros(6))

    def training_step(self, x, batch_idx):
        z = self.encoder(x)
        self.average = 0.9 * self.average + 0.1 * z.mean(0)  # FAULT: MemoryOfFeatures
        loss = F.l1_loss(self.decoder(z - self.average), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class ForgetsABranch(pl.LightningModule):
    """Returns the loss in one branch of a warm-up only."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        if batch_idx % 2 == 0:
            return loss  # FAULT: ForgetsABranch

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsByReturning(pl.LightningModule):
    """Metrics in the returned dict, as before Lightning 1.0."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))

    def training_step(self, batch, batch_idx):
        image, label = batch["image"], batch["label"]
        scores = self.net(image)
        loss = F.cross_entropy(scores, label)
        accuracy = (scores.argmax(1) == label).float().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss, "log": {"accuracy": accuracy}, "progress_bar": {}}  # FAULT: LogsByReturning

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepsAttentionMaps(pl.LightningModule):
    """Attention maps for a picture at the end, kept with everything that made them."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.maps = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(-1)
        self.maps.append(weights)  # FAULT: KeepsAttentionMaps
        loss = F.cross_entropy(self.head((weights @ x).mean(1)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class RunningReconstruction(pl.LightningModule):
    """A running sum of a side output, never used in the loss and never cut."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 4), nn.GELU(), nn.Linear(4, 12))
        self.drift = torch.zeros(())

    def training_step(self, x, batch_idx):
        output = self.net(x)
        self.drift = self.drift + (output.exp().mean() - 1)  # FAULT: RunningReconstruction
        loss = F.mse_loss(output, x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AppendsLossTensors(pl.LightningModule):
    """A history of losses for a plot, with the graph of each."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 1)
        self.history = {"train": []}

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.huber_loss(self.net(x), y)
        self.history["train"].append(loss)  # FAULT: AppendsLossTensors
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class EmptiesTheCache(pl.LightningModule):
    """Frees memory by hand in each step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        torch.cuda.empty_cache()  # FAULT: EmptiesTheCache
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class TinyLearningRate(pl.LightningModule):
    """An exponent too many."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: TinyLearningRate
        return torch.optim.SGD(self.parameters(), lr=1e-6)


EXPECTED = {
    "GruCarriesItsGraph": {
        "fault": "hidden-not-detached",
        "batch": "reading: float[5,4], target: float[5,1]",
        "check": "loss_is_of_this_batch",
        "severity": "error",
        "words": ["self.state", "detach"],
        "since": None,
        "until": None,
    },
    "MemoryOfFeatures": {
        "fault": "loss-accumulates-on-self",
        "batch": "float[5,10]",
        "check": "loss_is_of_this_batch",
        "severity": "error",
        "words": ["self.average", "detach"],
        "since": None,
        "until": None,
    },
    "ForgetsABranch": {
        "fault": "loss-none-on-some-batches",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "loss_is_returned_for_every_batch",
        "severity": "advice",
        "words": ["4 of 8"],
        "since": None,
        "until": None,
    },
    "LogsByReturning": {
        "fault": "legacy-result-dict",
        "batch": "{image: float[5,1,6,6], label: int[5]<2}",
        "check": "returned_dict_is_read",
        "severity": "warning",
        "words": ["accuracy", "self.log"],
        "since": None,
        "until": None,
    },
    "KeepsAttentionMaps": {
        "fault": "graph-retained",
        "batch": "x: float[5,3,4], y: int[5]<2",
        "check": "containers_do_not_grow",
        "severity": "error",
        "words": ["self.maps", "detach"],
        "since": None,
        "until": None,
    },
    "RunningReconstruction": {
        "fault": "graph-retained",
        "batch": "float[5,12]",
        "check": "graph_is_released",
        "severity": "error",
        "words": ["self.drift", "detach"],
        "since": None,
        "until": None,
    },
    "AppendsLossTensors": {
        "fault": "loss-list-with-graph",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "containers_do_not_grow",
        "severity": "warning",
        "words": ["self.history", "graph"],
        "since": None,
        "until": None,
    },
    "EmptiesTheCache": {
        "fault": "expensive-call-per-step",
        "batch": "x: float[5,8], y: int[5]<4",
        "check": "step_is_cheap",
        "severity": "advice",
        "words": ["empty_cache"],
        "since": None,
        "until": None,
    },
    "TinyLearningRate": {
        "fault": "lr-zero",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "loss_decreases_on_one_batch",
        "severity": "advice",
        "words": ["learning rate"],
        "since": None,
        "until": None,
    },
}
