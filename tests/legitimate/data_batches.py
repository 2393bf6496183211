"""Right: modules that change copies, take any batch, or mean the whole batch when they say so."""

import lightning.pytorch as L
import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split


class ChangesACopy(L.LightningModule):
    """In place, on a clone."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(16, 16)

    def training_step(self, batch, batch_idx):
        clean = batch["signal"]
        noisy = clean.clone()
        noisy += 0.1 * torch.randn_like(noisy)
        noisy[:, ::4].zero_()
        loss = F.mse_loss(self.net(noisy), clean)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class IgnoresPaddingInPlace(L.LightningModule):
    """Sets the labels of padding to the ignored index: doing it again changes nothing."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.head = nn.Linear(8, 20)

    def training_step(self, batch, batch_idx):
        tokens, labels = batch
        labels[labels == 0] = -100
        loss = F.cross_entropy(self.head(self.embed(tokens)).transpose(1, 2), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class NormalisesOnTheDevice(L.LightningModule):
    """Normalisation after the transfer, as a new tensor; labels are popped from a dict that is the batch's own."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return {**batch, "image": (batch["image"] - 0.5) / 0.25}

    def training_step(self, batch, batch_idx):
        label = batch.pop("label")
        loss = F.cross_entropy(self.net(batch["image"]), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SqueezesTheLastDimension(L.LightningModule):
    """Names the dimension, and survives a batch of one; BatchNorm is in evaluation mode for one sample."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AdaptiveAvgPool1d(1))
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.net(x).squeeze(-1)).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.binary_cross_entropy_with_logits(self(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class RefusesASingleSample(L.LightningModule):
    """A contrastive loss that says that it needs negatives."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 4)

    def training_step(self, batch, batch_idx):
        one, two = (F.normalize(self.encoder(view), dim=-1) for view in batch)
        if len(one) < 2:
            raise ValueError("a contrastive loss needs two samples; use drop_last=True")
        loss = F.cross_entropy(one @ two.T / 0.2, torch.arange(len(one), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class VectorsWithBatchNorm(L.LightningModule):
    """BatchNorm on vectors: its samples are independent in evaluation mode only, and one alone is too few to train."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SimilaritiesInForward(L.LightningModule):
    """``forward`` gives the similarities of all pairs: it is about the batch."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(8, 4), nn.Linear(6, 4)

    def forward(self, image, text):
        return F.normalize(self.image(image), dim=-1) @ F.normalize(self.text(text), dim=-1).T / 0.1

    def training_step(self, batch, batch_idx):
        similarity = self(batch["image"], batch["text"])
        loss = F.cross_entropy(similarity, torch.arange(len(similarity), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class TimeFirstLstm(L.LightningModule):
    """Sequences with time first, as the layer wants them."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, series):
        hidden, _ = self.lstm(series.transpose(0, 1))
        return self.head(hidden[-1])

    def training_step(self, batch, batch_idx):
        series, label = batch
        loss = F.cross_entropy(self(series), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class MessagesAlongEdges(L.LightningModule):
    """Nodes of one graph: neighbours are meant to be seen."""

    def __init__(self):
        super().__init__()
        self.own, self.neighbour = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x, adjacency):
        return self.head(torch.relu(self.own(x) + adjacency @ self.neighbour(x)))

    def training_step(self, batch, batch_idx):
        x, adjacency, label = batch
        loss = F.cross_entropy(self(x, adjacency), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OwnDataForEveryStage(L.LightningModule):
    """Downloads in ``prepare_data``, which remembers nothing that ``setup`` does not make again."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def prepare_data(self):
        self.data = self._read()

    def setup(self, stage=None):
        self.data = self._read()
        self.train_part, self.test_part = random_split(self.data, [12, 4])

    def _read(self):
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(16, 6, generator=generator)
        return TensorDataset(x, (x.mean(1) > 0).long())

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", F.cross_entropy(self.net(x), y))

    def train_dataloader(self):
        return DataLoader(self.train_part, batch_size=4, drop_last=True)

    def test_dataloader(self):
        return DataLoader(self.test_part, batch_size=4)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class LoaderIsGivenToFit(L.LightningModule):
    """A hook without a loader: ``fit`` gets one."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def train_dataloader(self):
        """Given to ``Trainer.fit``."""

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class PrintsNowAndThen(L.LightningModule):
    """A line in the first batch of an epoch, and a copy of the weights when an epoch ends."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        if batch_idx == 0:
            print("first loss", loss.item())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


LEGITIMATE = {
    "ChangesACopy": {"batch": "{signal: float[5,16]}"},
    "IgnoresPaddingInPlace": {"batch": "tokens: int[5,7]<20, labels: int[5,7]<20"},
    "NormalisesOnTheDevice": {"batch": "{image: float[5,3,4,4], label: int[5]<2}"},
    "SqueezesTheLastDimension": {"batch": "x: float[5,2,9], y: float[5] in 0..1"},
    "RefusesASingleSample": {"batch": "one: float[5,8], two: float[5,8]"},
    "VectorsWithBatchNorm": {"batch": "x: float[5,9], y: int[5]<3"},
    "SimilaritiesInForward": {"batch": "{image: float[5,8], text: float[5,6]}"},
    "TimeFirstLstm": {"batch": "series: float[5,6,4], label: int[5]<2"},
    "MessagesAlongEdges": {"batch": "x: float[B,6], adjacency: float[B,B] in 0..1, label: int[B]<3"},
    "OwnDataForEveryStage": {"batch": None},
    "LoaderIsGivenToFit": {"batch": "x: float[5,6], y: float[5,1]"},
    "PrintsNowAndThen": {"batch": "x: float[5,6], y: float[5,1]"},
}
