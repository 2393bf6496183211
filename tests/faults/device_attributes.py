"""Family 5: tensors and layers that are kept where Lightning does not move them."""

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchmetrics.classification import MulticlassAccuracy

PRIOR = torch.tensor([0.2, 0.3, 0.5])


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class ClassWeightsAttribute(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.class_weights = torch.tensor([1.0, 2.0, 4.0])

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y, weight=self.class_weights)  # FAULT: ClassWeightsAttribute


class PositionTableAttribute(Base):
    """The table is sliced before it is added."""

    def __init__(self):
        super().__init__()
        self.pos = torch.randn(1, 32, 8)
        self.net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def loss(self, x):
        h = x + self.pos[:, : x.shape[1]]  # FAULT: PositionTableAttribute
        return F.mse_loss(self.net(h), x)


class TableOfASubmodule(Base):
    class Encoding(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.randn(32, 8)

        def forward(self, x):
            return x + self.table[: x.shape[1]]  # FAULT: TableOfASubmodule

    def __init__(self):
        super().__init__()
        self.encoding, self.net = self.Encoding(), nn.Linear(8, 8)

    def loss(self, x):
        return F.mse_loss(self.net(self.encoding(x)), x)


class DeviceAskedTooEarly(Base):
    """In ``__init__``, ``self.device`` is the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.scale = torch.ones(4, device=self.device)

    def loss(self, x):
        return (self.net(x) * self.scale - x).square().mean()  # FAULT: DeviceAskedTooEarly


class StatisticsInDict(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 4, 3)
        self.statistics = {"mean": torch.zeros(1, 3, 1, 1), "std": torch.ones(1, 3, 1, 1)}

    def loss(self, image):
        x = (image - self.statistics["mean"]) / self.statistics["std"]  # FAULT: StatisticsInDict
        return self.net(x).square().mean()


class MovedParameterAttribute(Base):
    """``nn.Parameter(...).to(device)`` is a parameter only as long as nothing has to be moved."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 5)
        self.gains = [nn.Parameter(torch.ones(5), requires_grad=False)]

    def loss(self, x):
        return F.l1_loss(self.net(x) * self.gains[0], x)  # FAULT: MovedParameterAttribute


class BranchesInList(Base):
    """Frozen branches hide in a list."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(8, 8)
        self.branches = [nn.Linear(8, 8).requires_grad_(False) for _ in range(2)]

    def loss(self, x):
        h = self.stem(x)
        return F.mse_loss(sum(branch(h) for branch in self.branches), x)  # FAULT: BranchesInList


class MetricsInDict(Base):
    """Metrics in a plain dict are no submodules, so their states stay behind."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.metrics = {"accuracy": MulticlassAccuracy(3, average=None)}

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        self.metrics["accuracy"].update(logits, y)  # FAULT: MetricsInDict
        return F.cross_entropy(logits, y)

    def on_train_epoch_end(self):
        self.metrics["accuracy"].reset()


class LossInLambda(Base):
    """A criterion with weights, kept in a function."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        weights = torch.tensor([1.0, 5.0])
        self.criterion = lambda logits, y: F.cross_entropy(logits, y, weight=weights)  # FAULT: LossInLambda

    def loss(self, batch):
        x, y = batch
        return self.criterion(self.net(x), y)


class ConstantOfTheFile(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        logits = self.net(x) + PRIOR.log()  # FAULT: ConstantOfTheFile
        return F.cross_entropy(logits, y)


class QueueOnTheHost(Base):
    """A memory bank that is written to from the device."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(6, 4)
        self.bank = torch.zeros(16, 4)

    def loss(self, x):
        q = F.normalize(self.encode(x), dim=-1)
        loss = torch.logsumexp(q @ self.bank.t(), dim=-1).mean() - q.mean()  # FAULT: QueueOnTheHost
        self.bank = torch.cat([q.detach(), self.bank])[:16]  # FAULT: QueueOnTheHost
        return loss


class SelfMadeAverage(Base):
    """The copy that follows is made in ``__init__``, and never moved."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.average = {name: value.detach().clone() for name, value in self.net.named_parameters()}

    def loss(self, x):
        return F.mse_loss(self.net(x), x)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        for name, value in self.net.named_parameters():
            self.average[name].mul_(0.9).add_(value.detach(), alpha=0.1)  # FAULT: SelfMadeAverage


EXPECTED = {
    "ClassWeightsAttribute": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.class_weights", 'register_buffer("class_weights"'],
    },
    "PositionTableAttribute": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,7,8]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.pos", "register_buffer"],
    },
    "TableOfASubmodule": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,7,8]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.encoding.table", 'register_buffer("table"'],
    },
    "DeviceAskedTooEarly": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,4]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.scale", "register_buffer"],
    },
    "StatisticsInDict": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,3,6,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.statistics['mean']", "register_buffer"],
    },
    "MovedParameterAttribute": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,5]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.gains[0]", "ParameterList"],
    },
    "BranchesInList": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,8]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.branches[0]", "ModuleList"],
    },
    "MetricsInDict": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.metrics['accuracy']", "ModuleDict"],
    },
    "LossInLambda": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.criterion", "cross_entropy"],
    },
    "ConstantOfTheFile": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["PRIOR", ".to(self.device)"],
    },
    "QueueOnTheHost": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.bank", "register_buffer"],
    },
    "SelfMadeAverage": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "float[5,4]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.average['weight']"],
    },
}
