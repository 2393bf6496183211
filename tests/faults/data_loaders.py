"""Family 9: a module's own data, missing where another entry point or process looks for them."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split


def walk(n=14):
    """Pairs of points and labels."""
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(n, 6, generator=generator)
    return TensorDataset(points, (points.sum(1) > 0).long())


class Classifier(pl.LightningModule):
    """What the modules of this file have in common."""

    def __init__(self, lr: float = 1e-2):
        super().__init__()
        self.lr = lr
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class SplitsInPrepareData(Classifier):
    """Splits where it should only download."""

    def prepare_data(self):
        self.train_part, self.rest = random_split(walk(), [10, 4])  # FAULT: SplitsInPrepareData

    def train_dataloader(self):
        return DataLoader(self.train_part, batch_size=4)


class TestsWhatFitSetUp(Classifier):
    """The test set is made when training is set up."""

    def setup(self, stage=None):
        if stage == "fit":
            self.train_set, self.test_set = random_split(walk(), [10, 4])  # FAULT: TestsWhatFitSetUp

    def train_dataloader(self):
        return DataLoader(self.train_set, batch_size=5)

    def test_dataloader(self):
        return DataLoader(self.test_set, batch_size=4)


class LoaderWithoutReturn(Classifier):
    """Makes the loader and keeps it to itself."""

    def train_dataloader(self):  # FAULT: LoaderWithoutReturn
        loader = DataLoader(walk(), batch_size=4, shuffle=True)


class LoaderTakesStage(Classifier):
    """A signature that Lightning does not know."""

    def train_dataloader(self, stage):  # FAULT: LoaderTakesStage
        return DataLoader(walk(), batch_size=4)


class DropsTheOnlyBatch(Classifier):
    """A batch larger than the data set, and the last one is dropped."""

    def train_dataloader(self):
        return DataLoader(walk(), batch_size=32, drop_last=True)  # FAULT: DropsTheOnlyBatch


EXPECTED = {
    "SplitsInPrepareData": {
        "fault": "prepare_data-assigns",
        "batch": None,
        "check": "prepare_data_assigns_nothing",
        "severity": "warning",
        "words": ["train_part", "setup"],
        "since": None,
        "until": None,
    },
    "TestsWhatFitSetUp": {
        "fault": "setup-stage-missing",
        "batch": None,
        "check": "datasets_are_ready",
        "severity": "error",
        "words": ["test_set", "setup", "'test'"],
        "since": None,
        "until": None,
    },
    "LoaderWithoutReturn": {
        "fault": "dataloader-missing-or-wrong",
        "batch": None,
        "check": "datasets_are_ready",
        "severity": "error",
        "words": ["return DataLoader"],
        "since": (2, 0),
        "until": None,
    },
    "LoaderTakesStage": {
        "fault": "dataloader-missing-or-wrong",
        "batch": None,
        "check": "datasets_are_ready",
        "severity": "error",
        "words": ["argument"],
        "since": None,
        "until": None,
    },
    "DropsTheOnlyBatch": {
        "fault": "no-batches",
        "batch": None,
        "check": "datasets_are_ready",
        "severity": "error",
        "words": ["drop_last"],
        "since": None,
        "until": None,
    },
}
