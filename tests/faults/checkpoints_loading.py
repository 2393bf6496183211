"""Family 6: checkpoints that cannot be written, loaded, or read without a pickle."""

import enum
import pathlib

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class NeedsItsArguments(pl.LightningModule):
    """save_hyperparameters is called, and leaves out what it must not."""

    lightning_conformance = {"init": {"hidden": 6}}

    def __init__(self, hidden: int, lr: float = 0.01):
        super().__init__()
        self.save_hyperparameters("lr")  # FAULT: NeedsItsArguments
        self.net = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class SavesNoArguments(pl.LightningModule):
    """The most frequent of all: nothing is saved."""

    lightning_conformance = {"init": {"width": 5}}

    def __init__(self, width: int):  # FAULT: SavesNoArguments
        super().__init__()
        self.net = nn.Linear(width, 1)
        self.width = width

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch["x"]), batch["y"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class FallsBackToDefaults(pl.LightningModule):
    """Trained with another activation than it is loaded with."""

    lightning_conformance = {"init": {"activation": "tanh"}}

    def __init__(self, activation: str = "relu"):  # FAULT: FallsBackToDefaults
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 1)
        self.activation = getattr(torch, activation)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.last(self.activation(self.first(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class KeepsAModuleAmongHyperparameters(pl.LightningModule):
    lightning_conformance = {"init": lambda: {"encoder": nn.Linear(8, 4)}}

    def __init__(self, encoder: nn.Module, classes: int = 3):
        super().__init__()
        self.save_hyperparameters()  # FAULT: KeepsAModuleAmongHyperparameters
        self.encoder = encoder
        self.head = nn.Linear(4, classes)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.head(torch.relu(self.encoder(batch[0]))), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Pooling(enum.Enum):
    MEAN = "mean"
    MAX = "max"


class KeepsPathAndEnum(pl.LightningModule):
    def __init__(self, pooling: Pooling = Pooling.MEAN, cache: pathlib.Path = pathlib.Path("cache")):
        super().__init__()
        self.save_hyperparameters()  # FAULT: KeepsPathAndEnum
        self.embed = nn.Embedding(25, 6)
        self.out = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        hidden = self.embed(batch["tokens"])
        pooled = hidden.mean(1) if self.hparams.pooling is Pooling.MEAN else hidden.amax(1)
        loss = F.cross_entropy(self.out(pooled), batch["label"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class KeepsALambda(pl.LightningModule):
    """It cannot be pickled: Lightning leaves it out of the checkpoint."""

    lightning_conformance = {"init": lambda: {"transform": lambda x: x / 2}}

    def __init__(self, transform):
        super().__init__()
        self.save_hyperparameters()  # FAULT: KeepsALambda
        self.transform = transform
        self.net = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(self.transform(batch[0])), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ExpectsAKeyThatNobodySaves(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 4)
        self.queue = []

    def training_step(self, batch, batch_idx):
        code = self.net(batch)
        self.queue = [code.detach().mean(0)]
        loss = code.square().mean() + (code.mean(0) - self.queue[0]).abs().sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def on_load_checkpoint(self, checkpoint):
        self.queue = checkpoint["queue"]  # FAULT: ExpectsAKeyThatNobodySaves

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LeavesKeysOut(pl.LightningModule):
    """The state without the head, which was replaced in another project."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.head = nn.Linear(8, 2)

    def state_dict(self, *args, **kwargs):  # FAULT: LeavesKeysOut
        state = super().state_dict(*args, **kwargs)
        return {key: value for key, value in state.items() if "head" not in key}

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.head(torch.relu(self.body(batch[0]))), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SavesAFunction(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        loss = F.l1_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_save_checkpoint(self, checkpoint):  # FAULT: SavesAFunction
        checkpoint["rescale"] = lambda x: x * 100

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class CarriesItsTeacher(pl.LightningModule):
    """The teacher is ten times the student, and is saved each time."""

    def __init__(self):
        super().__init__()
        self.teacher = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))  # FAULT: CarriesItsTeacher
        self.teacher.requires_grad_(False)
        self.student = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, _ = batch
        target = self.teacher(x).softmax(-1)
        loss = F.kl_div(self.student(x).log_softmax(-1), target, reduction="batchmean")
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.student.parameters(), lr=1e-3)


EXPECTED = {
    "NeedsItsArguments": {
        "fault": "hparams-not-saved",
        "check": "checkpoint_loads",
        "severity": "warning",
        "batch": "x: float[6,4], y: int[6]<2",
        "words": ["load_from_checkpoint", "hidden"],
    },
    "SavesNoArguments": {
        "fault": "hparams-not-saved",
        "check": "checkpoint_loads",
        "severity": "advice",
        "batch": "{x: float[6,5], y: float[6,1]}",
        "words": ["load_from_checkpoint", "width", "save_hyperparameters"],
    },
    "FallsBackToDefaults": {
        "fault": "hparams-defaults-used",
        "check": "loaded_module_is_the_same",
        "severity": "error",
        "batch": "x: float[6,6], y: float[6,1]",
        "words": ["load_from_checkpoint", "defaults", "save_hyperparameters"],
    },
    "KeepsAModuleAmongHyperparameters": {
        "fault": "hparams-hold-module",
        "check": "hyperparameters_are_plain",
        "severity": "warning",
        "batch": "x: float[6,8], y: int[6]<3",
        "words": ["encoder", "Linear", "pickle"],
    },
    "KeepsPathAndEnum": {
        "fault": "hparams-not-primitive",
        "check": "hyperparameters_are_plain",
        "severity": "warning",
        "batch": "{tokens: int[6,5]<25, label: int[6]<2}",
        "words": ["pooling", "Path", "pickle"],
    },
    "KeepsALambda": {
        "fault": "hparams-unpicklable",
        "check": "checkpoint_loads",
        "severity": "warning",
        "batch": "x: float[6,3], y: float[6,1]",
        "words": ["load_from_checkpoint", "transform", "leaves out"],
    },
    "ExpectsAKeyThatNobodySaves": {
        "fault": "checkpoint-hook-breaks-load",
        "check": "checkpoint_loads",
        "severity": "error",
        "batch": "float[6,5]",
        "words": ["KeyError", "queue", "on_load_checkpoint"],
    },
    "LeavesKeysOut": {
        "fault": "checkpoint-hook-breaks-load",
        "check": "checkpoint_loads",
        "severity": "error",
        "batch": "x: float[6,6], y: int[6]<2",
        "words": ["cannot be loaded", "state_dict"],
    },
    "SavesAFunction": {
        "fault": "checkpoint-hook-breaks-load",
        "check": "checkpoint_is_written",
        "severity": "error",
        "batch": "x: float[6,6], y: float[6,1]",
        "words": ["no checkpoint can be written", "pickle"],
    },
    "CarriesItsTeacher": {
        "fault": "frozen-teacher-in-checkpoint",
        "check": "checkpoint_is_no_larger_than_needed",
        "severity": "advice",
        "batch": "x: float[6,8], y: int[6]<3",
        "words": ["teacher", "frozen"],
    },
}
