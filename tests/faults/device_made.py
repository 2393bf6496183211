"""Family 5: tensors that are made on the CPU, in a step or on its way."""

import math

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchmetrics.classification import MulticlassAccuracy


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class NoiseWithoutDevice(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 8)

    def loss(self, x):
        noise = 0.1 * torch.randn(x.shape)  # FAULT: NoiseWithoutDevice
        return F.mse_loss(self.net(x + noise), x)


class FirstStateWithoutDevice(Base):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(5, 6, batch_first=True), nn.Linear(6, 2)

    def loss(self, batch):
        x, y = batch
        first = torch.zeros(1, x.size(0), 6)  # FAULT: FirstStateWithoutDevice
        return F.cross_entropy(self.out(self.rnn(x, first)[0][:, -1]), y)


class CausalMaskWithoutDevice(Base):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 20)

    @staticmethod
    def causal(n):
        return torch.triu(torch.full((n, n), float("-inf")), diagonal=1)  # FAULT: CausalMaskWithoutDevice

    def loss(self, batch):
        x = self.embed(batch["tokens"])
        x, _ = self.attend(x, x, x, attn_mask=self.causal(x.shape[1]))
        return F.cross_entropy(self.out(x[:, :-1]).transpose(1, 2), batch["tokens"][:, 1:])


class PositionsWithoutDevice(Base):
    """A sinusoidal encoding that a helper computes for each batch."""

    def __init__(self):
        super().__init__()
        self.project, self.out = nn.Linear(4, 8), nn.Linear(8, 4)

    def positions(self, length, width):
        steps = torch.arange(length).unsqueeze(1)  # FAULT: PositionsWithoutDevice
        rates = torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
        table = torch.zeros(length, width)  # FAULT: PositionsWithoutDevice
        table[:, 0::2], table[:, 1::2] = torch.sin(steps * rates), torch.cos(steps * rates)
        return table

    def loss(self, x):
        h = self.project(x)
        return F.mse_loss(self.out(h + self.positions(x.shape[1], 8)), x)


class LabelsOfTheAdversary(Base):
    """A GAN-like step with labels from ``torch.ones``."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Linear(6, 1)

    def loss(self, real):
        scores = self.critic(real)
        return F.binary_cross_entropy_with_logits(scores, torch.ones(len(real), 1))  # FAULT: LabelsOfTheAdversary


class LengthMaskOnTheHost(Base):
    """``arange`` up to the longest length is on the CPU, whatever the lengths are on."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)

    def loss(self, batch):
        x, lengths = batch
        mask = torch.arange(x.shape[1])[None] < lengths[:, None]  # FAULT: LengthMaskOnTheHost
        return ((self.net(x) - x).square().mean(-1) * mask).sum() / mask.sum()


class LegacyConstructor(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        scale = torch.FloatTensor([0.5, 1.0, 1.5])  # FAULT: LegacyConstructor
        return F.cross_entropy(self.net(x) * scale, y)


class WeightsThroughNumpy(Base):
    """Class weights of the batch are counted in NumPy, and come back on the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        counts = np.bincount(y.cpu().numpy(), minlength=3) + 1.0
        weight = torch.from_numpy((1 / counts).astype(np.float32))  # FAULT: WeightsThroughNumpy
        return F.cross_entropy(self.net(x), y, weight=weight)


class MetricMadeInStep(Base):
    """A metric is constructed in the step; it stays on the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        accuracy = MulticlassAccuracy(3)  # FAULT: MetricMadeInStep
        self.log("accuracy", accuracy(logits, y))  # FAULT: MetricMadeInStep
        return F.cross_entropy(logits, y)


class CriterionMadeInStep(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 2)

    def loss(self, batch):
        x, y = batch
        criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))  # FAULT: CriterionMadeInStep
        return criterion(self.net(x), y)


class BufferReplacedInStep(Base):
    """A buffer is assigned anew from a tensor of the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.register_buffer("shift", torch.zeros(6))

    def loss(self, x):
        return F.mse_loss(self.net(x) + self.shift, x)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.shift = torch.rand(6) * 0.01  # FAULT: BufferReplacedInStep


class ValidationAddsUpOnTheHost(Base):
    """Only ``validation_step`` meets the tensor that was made when validation began."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def on_validation_epoch_start(self):
        self.hits = torch.zeros(3)  # FAULT: ValidationAddsUpOnTheHost

    def validation_step(self, batch, batch_idx):
        x, y = batch
        right = self.net(x).argmax(-1) == y
        self.hits += F.one_hot(y, 3)[right].sum(0)  # FAULT: ValidationAddsUpOnTheHost

    def on_validation_epoch_end(self):
        self.log("val_hits", self.hits.sum())


class LayerMadeLate(Base):
    """A layer that is made with the first batch, after the module was moved."""

    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(6, 6), None

    def loss(self, x):
        if self.head is None:
            self.head = nn.Linear(6, x.shape[1])  # FAULT: LayerMadeLate
        return F.mse_loss(self.head(self.net(x)), x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.1)


EXPECTED = {
    "NoiseWithoutDevice": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,8]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["`add`", "torch.randn", "device=self.device"],
    },
    "FirstStateWithoutDevice": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,7,5], y: int[5]<2",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["torch.zeros"],
    },
    "CausalMaskWithoutDevice": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "{tokens: int[5,9]<20}",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["torch.full", "multi_head_attention"],
    },
    "PositionsWithoutDevice": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,7,4]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["`add`"],
    },
    "LabelsOfTheAdversary": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["torch.ones", "binary_cross_entropy_with_logits"],
    },
    "LengthMaskOnTheHost": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,7,4], lengths: int[5]<7",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["torch.arange"],
    },
    "LegacyConstructor": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["`mul`"],
    },
    "WeightsThroughNumpy": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["cross_entropy"],
    },
    "MetricMadeInStep": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["CPU"],
    },
    "CriterionMadeInStep": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,7], y: int[5]<2",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["cross_entropy"],
    },
    "BufferReplacedInStep": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.shift", "torch.rand"],
    },
    "ValidationAddsUpOnTheHost": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.hits"],
    },
    "LayerMadeLate": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["linear"],
    },
}
