"""Family 1: a loss that is returned and cannot be trained on."""

import lightning.pytorch as L
import torch
import torch.nn as nn
from torch.nn import functional as F


class PerPixelLoss(L.LightningModule):
    """Segmentation with an unreduced criterion."""

    def __init__(self, channels: int = 4, num_classes: int = 3):
        super().__init__()
        self.down = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(channels, num_classes, 2, stride=2)
        self.criterion = nn.CrossEntropyLoss(reduction="none")

    def training_step(self, batch, batch_idx):
        image, mask = batch
        loss = self.criterion(self.up(torch.relu(self.down(image))), mask)  # FAULT: PerPixelLoss
        self.log("train_loss", loss.mean(), on_step=False, on_epoch=True)
        return loss  # FAULT: PerPixelLoss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class StacksTaskLosses(L.LightningModule):
    """Two tasks, and nobody adds their losses up."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(12, 8)
        self.age = nn.Linear(8, 1)
        self.kind = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        features = F.elu(self.trunk(batch["x"]))
        losses = torch.stack(  # FAULT: StacksTaskLosses
            [
                F.mse_loss(self.age(features), batch["age"]),
                F.cross_entropy(self.kind(features), batch["kind"]),
            ]
        )
        self.log("train_loss", losses.sum(), on_step=False, on_epoch=True)
        return {"loss": losses}  # FAULT: StacksTaskLosses

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SumsOverFeaturesOnly(L.LightningModule):
    """An autoencoder's error, summed over features and never over the batch."""

    def __init__(self):
        super().__init__()
        self.ae = nn.Sequential(nn.Linear(14, 4), nn.Tanh(), nn.Linear(4, 14))

    def training_step(self, x, batch_idx):
        error = (self.ae(x) - x).abs().sum(dim=-1)  # FAULT: SumsOverFeaturesOnly
        self.log("train_loss", error.mean(), on_step=False, on_epoch=True)
        return error  # FAULT: SumsOverFeaturesOnly

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class LogOfRawOutput(L.LightningModule):
    """The logarithm of a linear layer's output, half of which is negative."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 8))

    def training_step(self, batch, batch_idx):
        x, counts = batch
        rate = self.net(x)
        loss = (rate - counts * torch.log(rate)).mean()  # FAULT: LogOfRawOutput
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: LogOfRawOutput

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class EmptyMask(L.LightningModule):
    """A masked language model whose collator never masks: the mean is over nothing."""

    MASK_TOKEN = 30

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(31, 8)
        self.encoder = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
        self.lm_head = nn.Linear(8, 31)

    def training_step(self, batch, batch_idx):
        tokens, original = batch
        logits = self.lm_head(self.encoder(self.embed(tokens)))
        masked = tokens == self.MASK_TOKEN
        loss = F.cross_entropy(logits[masked], original[masked])  # FAULT: EmptyMask
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: EmptyMask

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class DistanceToItself(L.LightningModule):
    """The square root of a zero distance: a finite loss at first, a NaN gradient, NaN weights after."""

    def __init__(self):
        super().__init__()
        self.embedder = nn.Linear(10, 4)

    def training_step(self, batch, batch_idx):
        x, label = batch
        z = self.embedder(x)
        distance = ((z[:, None] - z[None]) ** 2).sum(-1).sqrt()  # FAULT: DistanceToItself
        same = (label[:, None] == label[None]).float()
        loss = (same * distance + (1 - same) * F.relu(1.0 - distance)).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: DistanceToItself

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class ExplodingLearningRate(L.LightningModule):
    """A learning rate whose exponent lost its minus sign."""

    def __init__(self, lr: float = 3e4):
        super().__init__()
        self.save_hyperparameters()
        self.regressor = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.regressor(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: ExplodingLearningRate

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)  # FAULT: ExplodingLearningRate


class ReturnsDetachedLoss(L.LightningModule):
    """Detached to save memory, before Lightning could use it."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.tagger = nn.Linear(7, 4)

    def training_step(self, batch, batch_idx):
        words, tags = batch
        states, _ = self.lstm(words)
        loss = F.cross_entropy(self.tagger(states).transpose(1, 2), tags)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss.detach(), "states": states.detach()}  # FAULT: ReturnsDetachedLoss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class RewrapsItem(L.LightningModule):
    """A fresh leaf that requires a gradient silences the error and trains nothing."""

    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 2))

    def training_step(self, batch, batch_idx):
        x, y = batch
        value = F.cross_entropy(self.model(x), y).item()
        loss = torch.tensor(value, requires_grad=True)  # FAULT: RewrapsItem
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: RewrapsItem

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class RoundTripThroughNumpy(L.LightningModule):
    """The loss is computed by NumPy, which records no graph."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        prediction = self.net(x).detach().numpy()  # FAULT: RoundTripThroughNumpy
        rmse = ((prediction - y.numpy()) ** 2).mean() ** 0.5
        loss = torch.tensor(float(rmse))  # FAULT: RoundTripThroughNumpy
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: RoundTripThroughNumpy

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AccuracyAsLoss(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))

    def training_step(self, batch, batch_idx):
        image, label = batch
        correct = self.net(image).argmax(dim=-1) == label  # FAULT: AccuracyAsLoss
        error_rate = 1 - correct.float().mean()  # FAULT: AccuracyAsLoss
        self.log("train_loss", error_rate, on_step=False, on_epoch=True)
        return error_rate  # FAULT: AccuracyAsLoss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class NoGradOnForward(L.LightningModule):
    """A decorator for inference that stayed on ``forward``."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Conv1d(4, 2, 3))

    @torch.no_grad()  # FAULT: NoGradOnForward
    def forward(self, x):
        return self.blocks(x).mean(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: NoGradOnForward

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class FreezesItself(L.LightningModule):
    """``self.freeze()`` was meant for a backbone and froze the whole module."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(9, 6)
        self.head = nn.Linear(6, 3)
        self.freeze()  # FAULT: FreezesItself

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(F.relu(self.backbone(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: FreezesItself

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class FreezesInValidation(L.LightningModule):
    """Frozen for validation, and never thawed for the next epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 6), nn.Dropout(0.1), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self.net(x)[:, 0], y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: FreezesInValidation

    def on_validation_epoch_start(self):
        self.freeze()  # FAULT: FreezesInValidation

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.binary_cross_entropy_with_logits(self.net(x)[:, 0], y.float()))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


EXPECTED = {
    "PerPixelLoss": {
        "fault": "loss-non-scalar",
        "batch": "image: float[5,1,8,8], mask: int[5,8,8]<3",
        "check": "loss_is_scalar",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "StacksTaskLosses": {
        "fault": "loss-non-scalar",
        "batch": "{x: float[5,12], age: float[5,1], kind: int[5]<3}",
        "check": "loss_is_scalar",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "SumsOverFeaturesOnly": {
        "fault": "loss-non-scalar",
        "batch": "float[5,14]",
        "check": "loss_is_scalar",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "LogOfRawOutput": {
        "fault": "loss-nan",
        "batch": "x: float[5,6], counts: float[5,8]",
        "check": "loss_is_finite",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "EmptyMask": {
        "fault": "loss-nan",
        "batch": "tokens: int[5,7]<30, original: int[5,7]<30",
        "check": "loss_is_finite",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "DistanceToItself": {
        "fault": "loss-nan",
        "batch": "x: float[5,10], label: int[5]<2",
        "check": "loss_is_finite",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "ExplodingLearningRate": {
        "fault": "loss-nan",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "loss_is_finite",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "ReturnsDetachedLoss": {
        "fault": "loss-without-graph",
        "batch": "words: float[5,9,6], tags: int[5,9]<4",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
    "RewrapsItem": {
        "fault": "loss-rewrapped",
        "batch": "x: float[5,8], y: int[5]<2",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["requires_grad"],
        "since": None,
        "until": None,
    },
    "RoundTripThroughNumpy": {
        "fault": "loss-without-graph",
        "batch": "x: float[5,4], y: float[5,2]",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
    "AccuracyAsLoss": {
        "fault": "loss-without-graph",
        "batch": "image: float[5,1,6,6], label: int[5]<4",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["grad"],
        "since": None,
        "until": None,
    },
    "NoGradOnForward": {
        "fault": "forward-under-no_grad",
        "batch": "x: float[5,3,12], y: int[5]<2",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["no_grad"],
        "since": None,
        "until": None,
    },
    "FreezesItself": {
        "fault": "all-frozen",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["frozen"],
        "since": None,
        "until": None,
    },
    "FreezesInValidation": {
        "fault": "all-frozen",
        "batch": "x: float[5,9], y: int[5]<2",
        "check": "loss_requires_grad",
        "severity": "error",
        "words": ["frozen"],
        "since": None,
        "until": None,
    },
}
