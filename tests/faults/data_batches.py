"""Family 9: batches that are changed, or that must have one size, or whose samples leak into each other."""

import lightning.pytorch as L
import torch
import torch.nn as nn
from torch.nn import functional as F


class NormalisesInPlace(L.LightningModule):
    """Standardises its input in place."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))

    def training_step(self, batch, batch_idx):
        image, label = batch
        image.sub_(0.5).div_(0.25)  # FAULT: NormalisesInPlace
        loss = F.cross_entropy(self.net(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AddsNoiseInPlace(L.LightningModule):
    """A denoiser that adds the noise to the clean signal itself."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(16, 16)

    def forward(self, noisy):
        return self.net(noisy)

    def training_step(self, batch, batch_idx):
        clean = batch["signal"]
        target = clean.clone()
        clean += 0.1 * torch.randn_like(clean)  # FAULT: AddsNoiseInPlace
        loss = F.mse_loss(self(clean), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class HiddenOfFixedSize(L.LightningModule):
    """The first hidden state has the batch size of the configuration."""

    def __init__(self, batch_size: int = 5, hidden: int = 6):
        super().__init__()
        self.save_hyperparameters()
        self.rnn = nn.GRU(3, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        start = torch.zeros(1, self.hparams.batch_size, self.hparams.hidden, device=self.device)
        output, _ = self.rnn(x, start)  # FAULT: HiddenOfFixedSize
        loss = F.cross_entropy(self.head(output[:, -1]), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class PairsWithThree(L.LightningModule):
    """Looks at the third sample of every batch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        z = self.net(x)
        anchor = z[2]  # FAULT: PairsWithThree
        loss = F.cross_entropy(z, y) + 0.1 * (z - anchor).pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class SqueezesEverything(L.LightningModule):
    """``squeeze()`` takes the batch dimension along when there is one sample."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.net(x).squeeze()  # FAULT: SqueezesEverything

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        image, label = batch
        self.log("val_loss", F.cross_entropy(self(image), label))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class BatchNormOnVectors(L.LightningModule):
    """BatchNorm of one value per channel and sample, with every batch that comes."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)  # FAULT: BatchNormOnVectors
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AttendsOverTheBatch(L.LightningModule):
    """Attention weights that add up to one over the samples."""

    def __init__(self):
        super().__init__()
        self.score = nn.Linear(8, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        gate = torch.softmax(self.score(x), dim=0)  # FAULT: AttendsOverTheBatch
        return self.head(x * gate)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SequenceFirstByDefault(L.LightningModule):
    """An LSTM that takes the batch for time."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 6)
        self.lstm = nn.LSTM(6, 8)  # FAULT: SequenceFirstByDefault
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        hidden, _ = self.lstm(self.embed(tokens))
        return self.head(hidden[:, -1])

    def training_step(self, batch, batch_idx):
        tokens, label = batch
        loss = F.cross_entropy(self(tokens), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


EXPECTED = {
    "NormalisesInPlace": {
        "fault": "batch-mutated-in-place",
        "batch": "image: float[5,3,8,8], label: int[5]<2",
        "check": "batch_is_left_as_it_was",
        "severity": "warning",
        "words": ["in place", "batch[0]"],
        "since": None,
        "until": None,
    },
    "AddsNoiseInPlace": {
        "fault": "batch-mutated-in-place",
        "batch": "{signal: float[5,16]}",
        "check": "batch_is_left_as_it_was",
        "severity": "warning",
        "words": ["in place", "signal"],
        "since": None,
        "until": None,
    },
    "HiddenOfFixedSize": {
        "fault": "hard-coded-batch-size",
        "batch": "x: float[5,7,3], y: int[5]<2",
        "check": "last_smaller_batch_works",
        "severity": "warning",
        "words": ["batch size"],
        "since": None,
        "until": None,
    },
    "PairsWithThree": {
        "fault": "hard-coded-batch-size",
        "batch": "x: float[5,6], y: int[5]<4",
        "check": "any_batch_size_works",
        "severity": "warning",
        "words": ["2 samples"],
        "since": None,
        "until": None,
    },
    "SqueezesEverything": {
        "fault": "squeeze-drops-batch",
        "batch": "image: float[5,1,6,6], label: int[5]<5",
        "check": "batch_of_one_works",
        "severity": "warning",
        "words": ["squeeze", "one sample"],
        "since": None,
        "until": None,
    },
    "BatchNormOnVectors": {
        "fault": "bn-last-batch-of-one",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "batch_of_one_works",
        "severity": "advice",
        "words": ["BatchNorm", "drop_last"],
        "since": None,
        "until": None,
    },
    "AttendsOverTheBatch": {
        "fault": "cross-sample-leak",
        "batch": "x: float[5,8], y: float[5,1]",
        "check": "samples_are_independent",
        "severity": "warning",
        "words": ["softmax", "dimension 0"],
        "since": None,
        "until": None,
    },
    "SequenceFirstByDefault": {
        "fault": "cross-sample-leak",
        "batch": "tokens: int[5,6]<30, label: int[5]<3",
        "check": "samples_are_independent",
        "severity": "warning",
        "words": ["batch_first=True"],
        "since": None,
        "until": None,
    },
}
