"""Frozen and switched to evaluation mode on purpose."""

import copy

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class AdaptsStatistics(pl.LightningModule):
    """AdaBN: weights stay, the running statistics are set anew for the new domain."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(6, 3)

    def on_fit_start(self):
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.reset_running_stats()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.backbone(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.head.parameters(), lr=0.1)


class MomentumEncoderWithBatchNorm(pl.LightningModule):
    """The slow encoder is frozen, moves by averaging, and keeps statistics of its own."""

    def __init__(self):
        super().__init__()
        self.online = nn.Sequential(nn.Linear(10, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4))
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    def training_step(self, batch, batch_idx):
        one, two = batch
        with torch.no_grad():
            wanted = self.target(two)
        loss = 2 - 2 * F.cosine_similarity(self.online(one), wanted).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, *args):
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.online.parameters()):
                slow.lerp_(fast, 0.05)

    def configure_optimizers(self):
        return torch.optim.SGD(self.online.parameters(), lr=0.1)


class KeepsNormLayersInEvaluation(pl.LightningModule):
    """Fine-tunes everything with the old statistics: the BatchNorm layers alone are switched."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def on_train_epoch_start(self):
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.head(self.backbone(image).mean((2, 3))), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PseudoLabelsInEvaluation(pl.LightningModule):
    """Labels by itself in evaluation mode, then trains in training mode."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.4), nn.Linear(8, 3))

    def training_step(self, x, batch_idx):
        self.net.eval()
        labels = self.net(x).argmax(-1)
        self.net.train()
        loss = F.cross_entropy(self.net(x), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class FrozenTeacherInEvaluation(pl.LightningModule):
    """A teacher with dropout stays in evaluation mode; nothing of it learns."""

    def __init__(self):
        super().__init__()
        self.teacher = nn.Sequential(nn.Linear(9, 12), nn.BatchNorm1d(12), nn.Dropout(0.2), nn.Linear(12, 3))
        self.teacher.requires_grad_(False).eval()
        self.student = nn.Linear(9, 3)

    def on_train_epoch_start(self):
        self.teacher.eval()

    def training_step(self, x, batch_idx):
        target = self.teacher(x).softmax(-1)
        loss = F.cross_entropy(self.student(x), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.student.parameters(), lr=1e-2)


class TrainableBackboneWithoutDropout(pl.LightningModule):
    """Chooses the modes itself, by overriding ``train``."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(6, 2))

    def train(self, mode: bool = True):
        super().train(mode)
        self.backbone.eval()
        return self

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.backbone(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class FreezesInTheSecondEpoch(pl.LightningModule):
    """Freezing by the default of ``zero_grad`` leaves no gradient behind."""

    def __init__(self):
        super().__init__()
        self.stem, self.net = nn.Linear(9, 9), nn.Linear(9, 3)

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.stem.requires_grad_(False)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(torch.relu(self.stem(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2, weight_decay=0.1)


class ParameterMadeOnDevice(pl.LightningModule):
    """Converted first, then made a parameter."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)
        self.temperature = nn.Parameter(torch.ones(1).to(torch.float32))
        self.register_buffer("shift", nn.Parameter(torch.zeros(4)).data.to(torch.float32))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy((self.net(x) - self.shift) / self.temperature, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


LEGITIMATE = {
    "AdaptsStatistics": {"batch": "x: float[6,8], y: int[6]<3"},
    "MomentumEncoderWithBatchNorm": {"batch": "one: float[6,10], two: float[6,10]"},
    "KeepsNormLayersInEvaluation": {"batch": "image: float[6,1,8,8], label: int[6]<2"},
    "PseudoLabelsInEvaluation": {"batch": "float[6,8]"},
    "FrozenTeacherInEvaluation": {"batch": "float[6,9]"},
    "TrainableBackboneWithoutDropout": {"batch": "x: float[5,6], y: int[5]<2"},
    "FreezesInTheSecondEpoch": {"batch": "x: float[5,9], y: int[5]<3"},
    "ParameterMadeOnDevice": {"batch": "x: float[5,6], y: int[5]<4"},
}
