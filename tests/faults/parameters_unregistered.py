"""Family 3: weights that the optimizer never sees."""

import copy
from dataclasses import dataclass

import lightning.pytorch as L
import torch
import torch.nn as nn
import torch.nn.functional as F


class LayersInList(L.LightningModule):
    def __init__(self, width: int = 8, depth: int = 2):
        super().__init__()
        self.stem = nn.Linear(12, width)
        self.blocks = [nn.Linear(width, width) for _ in range(depth)]  # FAULT: LayersInList
        self.head = nn.Linear(width, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = self.stem(x)
        for block in self.blocks:
            x = x + torch.relu(block(x))
        loss = F.cross_entropy(self.head(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class HeadsInDict(L.LightningModule):
    """One head a task, in a plain dict."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv1d(1, 4, 3)
        self.heads = {"sleep": nn.Linear(4, 2), "stress": nn.Linear(4, 2)}  # FAULT: HeadsInDict

    def training_step(self, batch, batch_idx):
        features = self.backbone(batch["ecg"]).mean(dim=-1)
        loss = sum(F.cross_entropy(head(features), batch[task]) for task, head in self.heads.items())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class LayerInLambda(L.LightningModule):
    """The projection lives in a closure, out of ``parameters()``'s sight."""

    def __init__(self):
        super().__init__()
        projection = nn.Linear(10, 6)
        self.project = lambda x: F.normalize(projection(x), dim=-1)  # FAULT: LayerInLambda
        self.classifier = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.classifier(self.project(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ScalesInList(L.LightningModule):
    """nn.Parameters, in a plain list."""

    def __init__(self, levels: int = 3):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.gains = [nn.Parameter(torch.ones(6)) for _ in range(levels)]  # FAULT: ScalesInList

    def training_step(self, x, batch_idx):
        out = x
        for gain in self.gains:
            out = torch.tanh(self.net(out)) * gain
        loss = F.mse_loss(out, x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class PlainTensorTemperature(L.LightningModule):
    """A tensor that requires a gradient is no parameter."""

    def __init__(self):
        super().__init__()
        self.image_tower = nn.Linear(9, 6)
        self.text_tower = nn.EmbeddingBag(30, 6)
        self.temperature = torch.tensor(0.5, requires_grad=True)  # FAULT: PlainTensorTemperature

    def training_step(self, batch, batch_idx):
        image, caption = batch
        similarity = self.image_tower(image) @ self.text_tower(caption).T * self.temperature.exp()
        loss = F.cross_entropy(similarity, torch.arange(len(image), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OptimizerOverHeadOnly(L.LightningModule):
    """The backbone is neither frozen nor in the optimizer."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, 3)

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.head(self.backbone(image)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: OptimizerOverHeadOnly
        return torch.optim.SGD(self.head.parameters(), lr=0.1)  # FAULT: OptimizerOverHeadOnly


class OptimizerOverCopy(L.LightningModule):
    """Trains a deep copy that nobody calls."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: OptimizerOverCopy
        return torch.optim.Adam(copy.deepcopy(self.net).parameters(), lr=1e-3)  # FAULT: OptimizerOverCopy


class ReplacesNetworkAfterOptimizer(L.LightningModule):
    """Weights are initialised by building the network anew, after the optimizer took the old ones."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 2)

    def on_train_start(self):
        self.net = nn.Linear(7, 2)  # FAULT: ReplacesNetworkAfterOptimizer
        nn.init.orthogonal_(self.net.weight)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: ReplacesNetworkAfterOptimizer
        return torch.optim.SGD(self.parameters(), lr=0.1)  # FAULT: ReplacesNetworkAfterOptimizer


class LateProjection(L.LightningModule):
    """A layer sized from the first batch, created when the optimizer is long there."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.projection = None  # FAULT: LateProjection

    def forward(self, x):
        states, _ = self.lstm(x)
        flat = states.flatten(1)
        if self.projection is None:
            self.projection = nn.Linear(flat.size(1), 2)  # FAULT: LateProjection
        return self.projection(flat)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LateCriterion(L.LightningModule):
    """A criterion with prototypes, registered in ``on_train_start``."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(9, 4)

    def on_train_start(self):
        self.register_parameter("prototypes", nn.Parameter(torch.randn(3, 4)))  # FAULT: LateCriterion

    def training_step(self, batch, batch_idx):
        x, y = batch
        distance = torch.cdist(self.encoder(x), self.prototypes)
        loss = F.cross_entropy(-distance, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class UnfrozenButNotInOptimizer(L.LightningModule):
    """The optimizer filtered on ``requires_grad`` before the backbone was thawed."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(10, 6)
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(6, 1)

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.backbone.requires_grad_(True)  # FAULT: UnfrozenButNotInOptimizer

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.head(torch.relu(self.backbone(x)))[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: UnfrozenButNotInOptimizer
        trainable = filter(lambda p: p.requires_grad, self.parameters())  # FAULT: UnfrozenButNotInOptimizer
        return torch.optim.Adam(trainable, lr=1e-3)  # FAULT: UnfrozenButNotInOptimizer


class OnlyWeightsNotBiases(L.LightningModule):
    """Splits weight decay groups, and loses one of the two."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 4))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y, label_smoothing=0.1)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: OnlyWeightsNotBiases
        decayed = [p for p in self.parameters() if p.ndim > 1]
        groups = [{"params": decayed, "weight_decay": 0.01}]  # FAULT: OnlyWeightsNotBiases
        return torch.optim.AdamW(groups, lr=1e-3)  # FAULT: OnlyWeightsNotBiases


SHARED = nn.Linear(8, 6)


@dataclass
class Heads:
    classify: nn.Module
    scale: nn.Parameter


class PlainEncoder:
    def __init__(self, width: int):
        self.projection = nn.Linear(8, width)

    def __call__(self, x):
        return self.projection(x).relu()


class HeadsInDataclass(L.LightningModule):
    """A dataclass is no container of layers."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 6)
        self.heads = Heads(nn.Linear(6, 3), nn.Parameter(torch.ones(1)))  # FAULT: HeadsInDataclass

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.heads.classify(self.encoder(x)) * self.heads.scale, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class EncoderIsNoModule(L.LightningModule):
    """The encoder forgot to inherit from nn.Module."""

    def __init__(self):
        super().__init__()
        self.encoder = PlainEncoder(6)  # FAULT: EncoderIsNoModule
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.encoder(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ForwardOfACopy(L.LightningModule):
    """What is called is the bound method of a copy."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(8, 6)
        self.features = copy.deepcopy(self.backbone).forward  # FAULT: ForwardOfACopy
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.features(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StoredPastSetattr(L.LightningModule):
    """A trick to keep a teacher out of the checkpoint, on a layer that is meant to learn."""

    def __init__(self):
        super().__init__()
        self.__dict__["projection"] = nn.Linear(8, 6)  # FAULT: StoredPastSetattr
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.projection(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LayerOfTheFile(L.LightningModule):
    """A layer made at the top of the file."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(SHARED(x)), y)  # FAULT: LayerOfTheFile
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LayerMadeInEachStep(L.LightningModule):
    """A layer that is new, and random, in every batch."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        projection = nn.Linear(8, 6)  # FAULT: LayerMadeInEachStep
        loss = F.cross_entropy(self.head(projection(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class BufferThatShouldLearn(L.LightningModule):
    """A buffer that requires a gradient gets one, and no optimizer knows it."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 6)
        prototypes = torch.randn(3, 6, requires_grad=True)
        self.register_buffer("prototypes", prototypes)  # FAULT: BufferThatShouldLearn

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(-torch.cdist(self.embed(x), self.prototypes), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "LayersInList": {
        "fault": "modules-in-list",
        "batch": "x: float[5,12], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["ModuleList"],
        "since": None,
        "until": None,
    },
    "HeadsInDict": {
        "fault": "modules-in-list",
        "batch": "{ecg: float[5,1,16], sleep: int[5]<2, stress: int[5]<2}",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["ModuleDict"],
        "since": None,
        "until": None,
    },
    "LayerInLambda": {
        "fault": "modules-in-list",
        "batch": "x: float[5,10], y: int[5]<4",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["parameters"],
        "since": None,
        "until": None,
    },
    "ScalesInList": {
        "fault": "modules-in-list",
        "batch": "float[5,6]",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["ParameterList"],
        "since": None,
        "until": None,
    },
    "PlainTensorTemperature": {
        "fault": "plain-tensor-as-parameter",
        "batch": "image: float[5,9], caption: int[5,8]<30",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["nn.Parameter"],
        "since": None,
        "until": None,
    },
    "OptimizerOverHeadOnly": {
        "fault": "param-not-in-optimizer",
        "batch": "image: float[5,1,8,8], label: int[5]<3",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "OptimizerOverCopy": {
        "fault": "optimizer-over-copy",
        "batch": "x: float[5,8], y: float[5,1]",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "ReplacesNetworkAfterOptimizer": {
        "fault": "optimizer-over-copy",
        "batch": "x: float[5,7], y: int[5]<2",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "LateProjection": {
        "fault": "param-created-late",
        "batch": "x: float[5,7,4], y: int[5]<2",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "LateCriterion": {
        "fault": "param-created-late",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "UnfrozenButNotInOptimizer": {
        "fault": "unfreeze-not-in-optimizer",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "OnlyWeightsNotBiases": {
        "fault": "param-not-in-optimizer",
        "batch": "x: float[5,6], y: int[5]<4",
        "check": "parameters_are_in_an_optimizer",
        "severity": "error",
        "words": ["optimizer"],
        "since": None,
        "until": None,
    },
    "HeadsInDataclass": {
        "fault": "modules-in-list",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.heads.classify.weight", "`Heads`"],
        "since": None,
        "until": None,
    },
    "EncoderIsNoModule": {
        "fault": "modules-in-list",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.encoder.projection.weight", "`PlainEncoder`"],
        "since": None,
        "until": None,
    },
    "ForwardOfACopy": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.features.weight"],
        "since": None,
        "until": None,
    },
    "StoredPastSetattr": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.projection.weight"],
        "since": None,
        "until": None,
    },
    "LayerOfTheFile": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["SHARED.weight"],
        "since": None,
        "until": None,
    },
    "LayerMadeInEachStep": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["anew", "__init__"],
        "since": None,
        "until": None,
    },
    "BufferThatShouldLearn": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.prototypes", "buffer"],
        "since": None,
        "until": None,
    },
}
