"""Family 12: copies, serving, exports, a command line and a tuner that the module does not bear. Family 9: examples."""

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LightningCLI
from torch import nn


class KeepsTheLastLoss(pl.LightningModule):
    """Detached for the log, not for the attribute."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 14), nn.ReLU(), nn.Linear(14, 1))
        self.last_loss = None

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.last_loss = F.mse_loss(self.net(x), y)  # FAULT: KeepsTheLastLoss
        self.log("train_loss", self.last_loss, on_step=False, on_epoch=True)
        return self.last_loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class KeepsFeaturesInDict(pl.LightningModule):
    """Features kept for a figure, with their graph."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, 3)
        self.cache = {}  # FAULT: KeepsFeaturesInDict

    def training_step(self, batch, batch_idx):
        image, digit = batch["image"], batch["digit"]
        features = self.encoder(image).relu().mean((2, 3))
        self.cache["features"] = features
        loss = F.cross_entropy(self.fc(features), digit)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class HoldsAGenerator(pl.LightningModule):
    """A Python generator as an endless schedule."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        self.weights = (0.9**n for n in range(10**9))  # FAULT: HoldsAGenerator

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y) * next(self.weights)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class HoldsALambda(pl.LightningModule):
    """Copies well, and cannot be handed to another process."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)
        self.transform = lambda y: (y - y.mean()) / 2  # FAULT: HoldsALambda

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), self.transform(y))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AsksTheTrainerInForward(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(9, 12), nn.Tanh())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        h = self.backbone(x)
        if self.trainer.training:  # FAULT: AsksTheTrainerInForward
            h = h + 0.1 * torch.randn_like(h)
        return self.head(h)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class ExampleOfAnotherWidth(pl.LightningModule):
    def __init__(self, in_features: int = 8):
        super().__init__()
        self.example_input_array = torch.zeros(2, 5)  # FAULT: ExampleOfAnotherWidth
        self.net = nn.Linear(in_features, 3)

    def forward(self, x):
        return self.net(x)  # FAULT: ExampleOfAnotherWidth

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ExampleIsABatch(pl.LightningModule):
    """A whole batch, labels and all, where ``forward`` takes the images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)
        self.example_input_array = (torch.rand(2, 3, 8, 8), torch.zeros(2))  # FAULT: ExampleIsABatch

    def forward(self, image):
        return self.fc(self.conv(image).amax((2, 3)))

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class BranchesOnValues(pl.LightningModule):
    """Cannot be traced: Python decides by what a tensor holds."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(6, 2), nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
        self.example_input_array = torch.randn(4, 6)

    def forward(self, x):
        if x.abs().mean().item() > 0.1:  # FAULT: BranchesOnValues
            return self.large(x) + 0.5 * self.small(x)
        return self.small(x) + 0.1 * self.large(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TakesHparams(pl.LightningModule):
    """The way of the 0.x versions, under LightningCLI."""

    def __init__(self, hparams):  # FAULT: TakesHparams
        super().__init__()
        self.rate = hparams.lr
        self.net = nn.Linear(6, hparams.num_classes)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.rate)


class ReadsKeywords(pl.LightningModule):
    """A parser cannot see what the keywords must be."""

    def __init__(self, width: int = 8, **kwargs):  # FAULT: ReadsKeywords
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))
        self.smoothing = kwargs["smoothing"]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y, label_smoothing=self.smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class RateIsHardCoded(pl.LightningModule):
    """Takes a learning rate, saves it, and trains with another."""

    def __init__(self, learning_rate: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: RateIsHardCoded
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class SavedRateIsIgnored(pl.LightningModule):
    def __init__(self, lr: float = 3e-4, classes: int = 3):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(5, classes)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: SavedRateIsIgnored
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


if __name__ == "__main__":
    LightningCLI(TakesHparams)


EXPECTED = {
    "KeepsTheLastLoss": {
        "fault": "deepcopy-fails",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "module_can_be_copied",
        "severity": "warning",
        "words": ["self.last_loss", "detach()"],
    },
    "KeepsFeaturesInDict": {
        "fault": "deepcopy-fails",
        "batch": "{image: float[5,1,6,6], digit: int[5]<3}",
        "check": "module_can_be_copied",
        "severity": "warning",
        "words": ["self.cache", "detach()"],
    },
    "HoldsAGenerator": {
        "fault": "deepcopy-fails",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "module_can_be_copied",
        "severity": "warning",
        "words": ["self.weights", "generator"],
    },
    "HoldsALambda": {
        "fault": ["deepcopy-fails", "ddp-spawn-pickling"],
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "module_can_be_copied",
        "severity": "advice",
        "words": ["self.transform", "pickle"],
    },
    "AsksTheTrainerInForward": {
        "fault": "forward-not-standalone",
        "batch": "x: float[5,9], y: int[5]<4",
        "check": "forward_works_alone",
        "severity": "warning",
        "words": ["self.trainer", "self.training"],
    },
    "ExampleOfAnotherWidth": {
        "fault": "example_input_array-wrong",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "example_input_array_fits",
        "severity": "error",
        "words": ["example_input_array", "shapes"],
    },
    "ExampleIsABatch": {
        "fault": "example_input_array-wrong",
        "batch": "image: float[5,3,8,8], label: int[5]<2",
        "check": "example_input_array_fits",
        "severity": "error",
        "words": ["example_input_array", "positional"],
    },
    "BranchesOnValues": {
        "fault": "forward-not-standalone",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "example_input_array_fits",
        "severity": "advice",
        "words": ["export"],
    },
    "TakesHparams": {
        "fault": "cli-not-instantiable",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "cli_can_build_it",
        "severity": "warning",
        "words": ["hparams", "annotation"],
    },
    "ReadsKeywords": {
        "fault": "cli-not-instantiable",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "cli_can_build_it",
        "severity": "warning",
        "words": ["smoothing"],
    },
    "RateIsHardCoded": {
        "fault": "tuner-lr",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "learning_rate_is_used",
        "severity": "warning",
        "words": ["learning_rate", "0.001"],
    },
    "SavedRateIsIgnored": {
        "fault": "tuner-lr",
        "batch": "x: float[5,5], y: int[5]<3",
        "check": "learning_rate_is_used",
        "severity": "warning",
        "words": ["lr", "0.1"],
    },
}
