"""Family 4: keys that collide, values that are no numbers, and calls of ``self.log`` in the wrong place."""

import logging

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score


class OneStepForBothLoops(pl.LightningModule):
    """``loss`` and ``accuracy`` mean two things each."""

    def __init__(self, n_classes: int = 3):
        super().__init__()
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.ReLU(), nn.Linear(12, n_classes))

    def _step(self, batch):
        images, labels = batch
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels)
        self.log_dict(  # FAULT: OneStepForBothLoops
            {"loss": loss, "accuracy": (logits.argmax(-1) == labels).float().mean()}, on_step=False, on_epoch=True
        )
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch)

    def validation_step(self, batch, batch_idx):
        self._step(batch)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


class MetricsWithoutPrefix(pl.LightningModule):
    """A clone each, and no prefix."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 8, batch_first=True)
        self.head = nn.Linear(8, 4)
        metrics = MetricCollection({"acc": MulticlassAccuracy(4), "f1": MulticlassF1Score(4)})
        self.train_metrics = metrics.clone()
        self.val_metrics = metrics.clone()

    def forward(self, sequence):
        return self.head(self.gru(sequence)[0][:, -1])

    def training_step(self, batch, batch_idx):
        sequence, tag = batch
        logits = self(sequence)
        loss = F.cross_entropy(logits, tag)
        self.train_metrics(logits, tag)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        self.log_dict(self.train_metrics, on_step=False, on_epoch=True)  # FAULT: MetricsWithoutPrefix
        return loss

    def validation_step(self, batch, batch_idx):
        sequence, tag = batch
        self.val_metrics(self(sequence), tag)
        self.log_dict(self.val_metrics)  # FAULT: MetricsWithoutPrefix

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class ValidatesByTraining(pl.LightningModule):
    """``validation_step`` hands the batch to ``training_step``, log calls and all."""

    def __init__(self):
        super().__init__()
        self.regressor = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        error = F.smooth_l1_loss(self.regressor(batch["x"]).squeeze(-1), batch["y"])
        self.log("huber", error, on_step=False, on_epoch=True)  # FAULT: ValidatesByTraining
        self.log("train_loss", error, on_step=False, on_epoch=True)
        return error

    def validation_step(self, batch, batch_idx):
        return self.training_step(batch, batch_idx)  # FAULT: ValidatesByTraining

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class LogsOnceMoreForTheBar(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(10, 2)

    def training_step(self, batch, batch_idx):
        features, target = batch
        loss = F.cross_entropy(self.net(features), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_loss", loss, prog_bar=True)  # FAULT: LogsOnceMoreForTheBar
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OneKeyForTwoLoaders(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("val_loss", loss, add_dataloader_idx=False)  # FAULT: OneKeyForTwoLoaders

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SuffixByHand(pl.LightningModule):
    """An own mean beside the one that Lightning makes under that name."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 1))
        self.errors = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x)[:, 0], y)
        self.log("mse", loss, on_step=True, on_epoch=True)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.errors.append(loss.item())
        return loss

    def on_train_epoch_end(self):
        self.log("mse_epoch", max(self.errors))  # FAULT: SuffixByHand
        self.errors.clear()

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ReadsThePlainKey(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(12, 4)
        self.decoder = nn.Linear(4, 12)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(self.encoder(x).relu()), x)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        running = self.trainer.logged_metrics["train_loss"]  # FAULT: ReadsThePlainKey
        print(f"mean so far: {running:.3f}")
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class IndexInTheKey(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 3)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log(f"val_loss/dataloader_idx_{dataloader_idx}", loss)  # FAULT: IndexInTheKey

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsAllPredictions(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self.net(x).squeeze(1)
        loss = F.mse_loss(y_hat, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("residual", y_hat - y)  # FAULT: LogsAllPredictions
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsTheStageName(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log_dict({"train_loss": loss, "stage": "warmup"}, on_step=False, on_epoch=True)  # FAULT: LogsTheStageName
        return loss

    def configure_optimizers(self):
        return torch.optim.Adagrad(self.parameters(), lr=0.01)


class LogsArray(pl.LightningModule):
    """NumPy's mean of an array is a scalar; ``np.asarray`` of it is not."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv1d(2, 3, 3)

    def training_step(self, batch, batch_idx):
        signal, label = batch
        loss = F.cross_entropy(self.net(signal).mean(-1), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("power", np.asarray(signal.pow(2).mean().item()))  # FAULT: LogsArray
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsCounts(pl.LightningModule):
    """How many were right, as an integer tensor."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("correct", (logits.argmax(1) == y).sum(), on_step=False, on_epoch=True)  # FAULT: LogsCounts
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsWhenTrainingEnds(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.best = float("inf")

    def training_step(self, x, batch_idx):
        loss = F.l1_loss(self.net(x), x)
        self.best = min(self.best, loss.item())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_end(self):
        self.log("best_loss", self.best)  # FAULT: LogsWhenTrainingEnds

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsParametersInSetup(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def setup(self, stage):
        self.log("n_parameters", float(sum(p.numel() for p in self.parameters())))  # FAULT: LogsParametersInSetup

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsInTheConstructor(pl.LightningModule):
    def __init__(self, lr: float = 0.01):
        super().__init__()
        self.lr = lr
        self.net = nn.Linear(6, 2)
        self.log("initial_lr", lr)  # FAULT: LogsInTheConstructor

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class WritesValidationToTheLogger(pl.LightningModule):
    """Nothing is logged with ``self.log``; the training loss is left to others."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        metrics = {"val_loss": loss.item(), "val_acc": (self.net(x).argmax(1) == y).float().mean().item()}
        self.logger.log_metrics(metrics, step=self.global_step)  # FAULT: WritesValidationToTheLogger

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class CallsItsLoggerLog(pl.LightningModule):
    """Python's logger takes the place of ``self.log``."""

    def __init__(self):
        super().__init__()
        self.log = logging.getLogger(__name__)  # FAULT: CallsItsLoggerLog
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AssignsDevice(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # FAULT: AssignsDevice
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x.to(self.device)), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepsItsOptimizers(pl.LightningModule):
    """A list under the name of the method that hands the optimizers out."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        self.optimizers = []  # FAULT: KeepsItsOptimizers

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        self.optimizers.append(torch.optim.SGD(self.parameters(), lr=0.1))
        return self.optimizers[0]


class EmbedsTypes(pl.LightningModule):
    """``type`` is a method of every module: the layer behind it is out of reach."""

    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(20, 6)
        self.type = nn.Embedding(3, 6)  # FAULT: EmbedsTypes
        self.head = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        tokens, types, label = batch
        hidden = self.token(tokens) + self.type(types)
        loss = F.cross_entropy(self.head(hidden.mean(1)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsConfidence(pl.LightningModule):
    """Nobody predicts before training is over."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def forward(self, x):
        return self.net(x).softmax(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.nll_loss(self(x).log(), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        chances = self(batch[0])
        self.log("confidence", chances.amax(-1).mean())  # FAULT: LogsConfidence
        return chances.argmax(-1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


EXPECTED = {
    "LogsConfidence": {
        "fault": "log-in-predict",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "predict_step_logs_nothing",
        "severity": "error",
        "words": ["predict_step", "self.log"],
    },
    "EmbedsTypes": {
        "fault": "reserved-attribute-shadowed",
        "batch": "tokens: int[5,6]<20, types: int[5,6]<3, label: int[5]<2",
        "check": "reserved_names_are_free",
        "severity": "error",
        "words": ["type", "method"],
    },
    "OneStepForBothLoops": {
        "fault": "same-key-train-and-val",
        "batch": "images: float[5,3,4,4], labels: int[5]<3",
        "check": "keys_are_not_shared",
        "severity": "error",
        "words": ["validation", "accuracy"],
    },
    "MetricsWithoutPrefix": {
        "fault": "same-key-train-and-val",
        "batch": "sequence: float[5,6,5], tag: int[5]<4",
        "check": "keys_are_not_shared",
        "severity": "error",
        "words": ["f1", "validation"],
    },
    "ValidatesByTraining": {
        "fault": "same-key-train-and-val",
        "batch": "{x: float[5,6], y: float[5]}",
        "check": "keys_are_not_shared",
        "severity": "error",
        "words": ["huber"],
    },
    "LogsOnceMoreForTheBar": {
        "fault": "log-twice-different-args",
        "batch": "features: float[5,10], target: int[5]<2",
        "check": "keys_are_not_forked",
        "severity": "error",
        "words": ["twice", "train_loss"],
    },
    "OneKeyForTwoLoaders": {
        "fault": "log-twice-different-args",
        "batch": "x: float[5,7], y: int[5]<2",
        "check": "keys_are_not_forked",
        "severity": "error",
        "words": ["val_loss", "loader"],
    },
    "SuffixByHand": {
        "fault": "train_loss-forked-name",
        "batch": "x: float[5,9], y: float[5]",
        "check": "keys_are_not_forked",
        "severity": "warning",
        "words": ["mse_epoch"],
    },
    "ReadsThePlainKey": {
        "fault": "train_loss-forked-name",
        "batch": "float[5,12]",
        "check": "keys_are_not_forked",
        "severity": "error",
        "words": ["train_loss_step"],
    },
    "IndexInTheKey": {
        "fault": "dataloader_idx-in-key",
        "batch": "x: float[5,5], y: int[5]<3",
        "check": "keys_are_not_forked",
        "severity": "error",
        "words": ["dataloader_idx"],
    },
    "LogsAllPredictions": {
        "fault": "log-bad-type",
        "batch": "x: float[5,6], y: float[5]",
        "check": "logged_values_are_numbers",
        "severity": "error",
        "words": ["residual", "mean()"],
    },
    "LogsTheStageName": {
        "fault": "log-bad-type",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "logged_values_are_numbers",
        "severity": "error",
        "words": ["stage", "str"],
    },
    "LogsArray": {
        "fault": "log-bad-type",
        "batch": "signal: float[5,2,9], label: int[5]<3",
        "check": "logged_values_are_numbers",
        "severity": "error",
        "words": ["power", "ndarray"],
    },
    "LogsCounts": {
        "fault": "log-int-tensor",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "logged_values_are_numbers",
        "severity": "advice",
        "words": ["correct", "float()"],
    },
    "LogsWhenTrainingEnds": {
        "fault": "log-forbidden-hook",
        "batch": "float[5,4]",
        "check": "logging_happens_where_it_counts",
        "severity": "error",
        "words": ["on_train_end"],
    },
    "LogsParametersInSetup": {
        "fault": "log-forbidden-hook",
        "batch": "x: float[5,4], y: int[5]<2",
        "check": "logging_happens_where_it_counts",
        "severity": "error",
        "words": ["setup"],
    },
    "LogsInTheConstructor": {
        "fault": "log-in-init",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "logging_happens_where_it_counts",
        "severity": "warning",
        "words": ["initial_lr", "constructor"],
    },
    "WritesValidationToTheLogger": {
        "fault": "metrics-bypass-self.log",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "logging_happens_where_it_counts",
        "severity": "warning",
        "words": ["val_loss", "monitor"],
    },
    "CallsItsLoggerLog": {
        "fault": "reserved-attribute-shadowed",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "reserved_names_are_free",
        "severity": "error",
        "words": ["self.log", "Logger"],
    },
    "AssignsDevice": {
        "fault": "reserved-attribute-shadowed",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "reserved_names_are_free",
        "severity": "error",
        "words": ["device", "property"],
    },
    "KeepsItsOptimizers": {
        "fault": "reserved-attribute-shadowed",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "reserved_names_are_free",
        "severity": "warning",
        "words": ["optimizers"],
    },
}
