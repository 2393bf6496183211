"""Families 2 and 3: weights that are registered and still do not move."""

import pytorch_lightning as pl
import torch
from torch import nn, optim
from torch.nn import functional as F


class UnusedAuxiliaryHead(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)
        self.aux_head = nn.Linear(6, 2)  # FAULT: UnusedAuxiliaryHead

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(F.relu(self.trunk(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=1e-3)


class BranchNeverTaken(pl.LightningModule):
    """A branch for long sequences, which never come."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 6)
        self.short_encoder = nn.GRU(6, 6, batch_first=True)
        self.long_encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)  # FAULT: BranchNeverTaken
        self.out = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        tokens, label = batch
        x = self.embed(tokens)
        states = self.long_encoder(x) if tokens.size(1) > 512 else self.short_encoder(x)[0]
        loss = F.cross_entropy(self.out(states.mean(dim=1)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.AdamW(self.parameters(), lr=1e-3)


class DetachesEncoder(pl.LightningModule):
    """Features are detached, the encoder that made them is left trainable."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 8), nn.Tanh())  # FAULT: DetachesEncoder
        self.regressor = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        features = self.encoder(x).detach()  # FAULT: DetachesEncoder
        loss = F.mse_loss(self.regressor(features), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.05)


class RebuildsTensorFromFeatures(pl.LightningModule):
    """``torch.tensor(list)`` in the middle of the network."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)  # FAULT: RebuildsTensorFromFeatures
        self.mlp = nn.Linear(3, 2)

    def training_step(self, batch, batch_idx):
        image, label = batch
        pooled = self.conv(image).mean(dim=(2, 3)).tolist()  # FAULT: RebuildsTensorFromFeatures
        logits = self.mlp(torch.tensor(pooled))  # FAULT: RebuildsTensorFromFeatures
        loss = F.cross_entropy(logits, label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=1e-3)


class EncodesUnderNoGrad(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.embedder = nn.EmbeddingBag(50, 8)  # FAULT: EncodesUnderNoGrad
        self.tower = nn.Linear(8, 4)

    @torch.no_grad()  # FAULT: EncodesUnderNoGrad
    def encode(self, tokens):
        return self.embedder(tokens)

    def training_step(self, batch, batch_idx):
        query, document = batch
        scores = self.tower(self.encode(query)) @ self.tower(self.encode(document)).T
        loss = F.cross_entropy(scores, torch.arange(len(query), device=scores.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=1e-3)


class LearningRateZero(pl.LightningModule):
    """Integer division made the learning rate zero."""

    def __init__(self, base_lr: int = 1, batch_size: int = 32):
        super().__init__()
        self.lr = base_lr * batch_size // 256  # FAULT: LearningRateZero
        self.net = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: LearningRateZero
        return optim.SGD(self.parameters(), lr=self.lr)  # FAULT: LearningRateZero


class WarmupStaysAtZero(pl.LightningModule):
    """``epoch // warmup`` is 0 for the whole warm-up."""

    def __init__(self, warmup_epochs: int = 10):
        super().__init__()
        self.warmup_epochs = warmup_epochs
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.tags = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        words, tags = batch
        loss = F.cross_entropy(self.tags(self.lstm(words)[0]).flatten(0, 1), tags.flatten())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: WarmupStaysAtZero
        optimizer = optim.Adam(self.parameters(), lr=1e-2)  # FAULT: WarmupStaysAtZero
        warmup = optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda epoch: min(1.0, epoch // self.warmup_epochs),  # FAULT: WarmupStaysAtZero
        )
        return [optimizer], [warmup]


class OneGroupAtZero(pl.LightningModule):
    """Layer-wise decay: the deepest layer's learning rate is multiplied by 0, not by 0.1."""

    def __init__(self, lr: float = 1e-3):
        super().__init__()
        self.lr = lr
        self.lower = nn.Linear(8, 8)
        self.upper = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.upper(F.gelu(self.lower(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: OneGroupAtZero
        groups = [
            {"params": layer.parameters(), "lr": self.lr * depth}  # FAULT: OneGroupAtZero
            for depth, layer in enumerate([self.lower, self.upper])
        ]
        return optim.AdamW(groups, lr=self.lr)  # FAULT: OneGroupAtZero


class ConfigureForgetsReturn(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 6))

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.net(x), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: ConfigureForgetsReturn
        optimizer = optim.Adam(self.parameters(), lr=1e-3)  # FAULT: ConfigureForgetsReturn


class SoftmaxOverOneLogit(pl.LightningModule):
    """A softmax over a dimension of size one is always 1: its gradient is zero."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):  # FAULT: SoftmaxOverOneLogit
        x, y = batch
        probability = self.net(x).softmax(dim=-1)[:, 0]  # FAULT: SoftmaxOverOneLogit
        loss = F.mse_loss(probability, y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.1)


class RoundsPredictions(pl.LightningModule):
    """Rounding has a gradient, and it is zero everywhere."""

    def __init__(self):
        super().__init__()
        self.counter = nn.Linear(7, 3)

    def training_step(self, batch, batch_idx):  # FAULT: RoundsPredictions
        x, counts = batch
        predicted = torch.round(self.counter(x))  # FAULT: RoundsPredictions
        loss = F.l1_loss(predicted, counts)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.1)


class RestoresSnapshotEveryBatch(pl.LightningModule):
    """Weights are put back for evaluation at the end of every batch instead of every epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(12, 2)

    def on_train_start(self):
        self.snapshot = {name: value.clone() for name, value in self.net.state_dict().items()}

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, *args):
        self.net.load_state_dict(self.snapshot)  # FAULT: RestoresSnapshotEveryBatch

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.1)


class EverythingInLists(pl.LightningModule):
    """No layer is registered, so the optimizer has nothing to optimize."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(8, 8), nn.Linear(8, 2)]  # FAULT: EverythingInLists

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.layers[1](F.relu(self.layers[0](x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=1e-3)  # FAULT: EverythingInLists


class ParametersAlreadyConsumed(pl.LightningModule):
    """``parameters()`` is a generator: counting it empties it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(10, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        parameters = self.parameters()  # FAULT: ParametersAlreadyConsumed
        print("parameters:", sum(p.numel() for p in parameters))
        return optim.SGD(parameters, lr=0.1)  # FAULT: ParametersAlreadyConsumed


class RebindsParameter(pl.LightningModule):
    """Weight decay by hand, by assigning a tensor to a parameter's name."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.weight = self.weight * 0.99  # FAULT: RebindsParameter
        loss = F.mse_loss(x @ self.weight, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.1)


class ClearsTheOtherGradient(pl.LightningModule):
    """The second loss is prepared with ``self.zero_grad()``, which clears the gradient of the first."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.left, self.right = nn.Linear(8, 3), nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        opt_left, opt_right = self.optimizers()
        loss_left = F.cross_entropy(self.left(x), y)
        self.manual_backward(loss_left)
        self.zero_grad()  # FAULT: ClearsTheOtherGradient
        loss_right = F.cross_entropy(self.right(x), y)
        self.manual_backward(loss_right)
        opt_left.step()
        opt_right.step()
        self.zero_grad()
        self.log("train_loss", loss_left + loss_right, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return optim.SGD(self.left.parameters(), lr=0.1), optim.SGD(self.right.parameters(), lr=0.1)


EXPECTED = {
    "UnusedAuxiliaryHead": {
        "fault": "unused-parameter",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["loss"],
        "since": None,
        "until": None,
    },
    "BranchNeverTaken": {
        "fault": "unused-parameter",
        "batch": "tokens: int[5,8]<30, label: int[5]<4",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["loss"],
        "since": None,
        "until": None,
    },
    "DetachesEncoder": {
        "fault": "graph-cut-part",
        "batch": "x: float[5,12], y: float[5,1]",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
    "RebuildsTensorFromFeatures": {
        "fault": "graph-cut-part",
        "batch": "image: float[5,1,8,8], label: int[5]<2",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["loss"],
        "since": None,
        "until": None,
    },
    "EncodesUnderNoGrad": {
        "fault": "forward-under-no_grad",
        "batch": "query: int[5,6]<50, document: int[5,9]<50",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["no_grad"],
        "since": None,
        "until": None,
    },
    "LearningRateZero": {
        "fault": "lr-zero",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "weights_update",
        "severity": "error",
        "words": ["learning rate"],
        "since": None,
        "until": None,
    },
    "WarmupStaysAtZero": {
        "fault": "lr-zero",
        "batch": "words: float[5,7,4], tags: int[5,7]<4",
        "check": "weights_update",
        "severity": "error",
        "words": ["learning rate"],
        "since": None,
        "until": None,
    },
    "OneGroupAtZero": {
        "fault": "lr-zero",
        "batch": "x: float[5,8], y: int[5]<2",
        "check": "weights_update",
        "severity": "error",
        "words": ["learning rate"],
        "since": None,
        "until": None,
    },
    "ConfigureForgetsReturn": {
        "fault": "configure_optimizers-none",
        "batch": "float[5,6]",
        "check": "weights_update",
        "severity": "error",
        "words": ["configure_optimizers", "return"],
        "since": None,
        "until": None,
    },
    "SoftmaxOverOneLogit": {
        "fault": "",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "weights_update",
        "severity": "error",
        "words": ["gradient"],
        "since": None,
        "until": None,
    },
    "RoundsPredictions": {
        "fault": "",
        "batch": "x: float[5,7], counts: float[5,3]",
        "check": "weights_update",
        "severity": "error",
        "words": ["gradient"],
        "since": None,
        "until": None,
    },
    "RestoresSnapshotEveryBatch": {
        "fault": "",
        "batch": "x: float[5,12], y: int[5]<2",
        "check": "weights_update",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "EverythingInLists": {
        "fault": ["empty-parameter-list", "modules-in-list"],
        "batch": "x: float[5,8], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["ModuleList"],
        "since": None,
        "until": None,
    },
    "ParametersAlreadyConsumed": {
        "fault": "empty-parameter-list",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["parameter"],
        "since": None,
        "until": None,
    },
    "RebindsParameter": {
        "fault": "parameter-rebound",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["parameter"],
        "since": None,
        "until": None,
    },
    "ClearsTheOtherGradient": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "weights_update",
        "severity": "error",
        "words": ["left.weight", "gone"],
        "since": None,
        "until": None,
    },
}
