"""Family 4: metric objects of torchmetrics that are hidden, never reset, reset too early, or averaged as values."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import torchmetrics
from torch import nn
from torchmetrics.classification import BinaryAUROC, BinaryF1Score, MulticlassAccuracy, MulticlassRecall


class MetricsInList(pl.LightningModule):
    """Logs objects that the module does not know."""

    def __init__(self, num_classes: int = 3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 12), nn.ReLU())
        self.head = nn.Linear(12, num_classes)
        self.metrics = [MulticlassAccuracy(num_classes), MulticlassRecall(num_classes)]  # FAULT: MetricsInList

    def forward(self, x):
        return self.head(self.backbone(x))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        for metric in self.metrics:
            metric(logits, y)
            self.log(f"val_{type(metric).__name__}", metric)  # FAULT: MetricsInList

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MetricsInDictByHand(pl.LightningModule):
    """Computed and reset by hand, so that it works: on the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(10, 1)
        self.scores = {  # FAULT: MetricsInDictByHand
            "auroc": BinaryAUROC(),
            "f1": BinaryF1Score(),
        }

    def training_step(self, batch, batch_idx):
        x, y = batch["x"], batch["y"]
        loss = F.binary_cross_entropy_with_logits(self.net(x)[:, 0], y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        chance = self.net(batch["x"])[:, 0].sigmoid()
        for metric in self.scores.values():
            metric.update(chance, batch["y"])

    def on_validation_epoch_end(self):
        for name, metric in self.scores.items():
            self.log(f"val_{name}", metric.compute())
            metric.reset()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ComputedNeverReset(pl.LightningModule):
    """The sanity check and all epochs in one number."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(3, 6, 3, padding=1)
        self.classifier = nn.Linear(6, 4)
        self.val_acc = MulticlassAccuracy(num_classes=4, average="micro")

    def forward(self, x):
        return self.classifier(self.encoder(x).mean(-1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_acc.update(self(x), y)

    def on_validation_epoch_end(self):
        accuracy = self.val_acc.compute()
        self.log("val_acc", accuracy, prog_bar=True)  # FAULT: ComputedNeverReset

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class RunningLossNeverReset(pl.LightningModule):
    """A ``MeanMetric`` of the training loss, printed and logged at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 8, batch_first=True)
        self.out = nn.Linear(8, 1)
        self.mean_error = torchmetrics.MeanMetric()

    def training_step(self, batch, batch_idx):
        series, target = batch
        prediction = self.out(self.lstm(series)[0][:, -1])
        loss = F.mse_loss(prediction, target)
        self.mean_error.update((prediction - target).abs().detach())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        mean_error = self.mean_error.compute().item()
        print(f"epoch {self.current_epoch}: {mean_error:.4f}")
        self.log("train_mae", mean_error)  # FAULT: RunningLossNeverReset

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class CollectionNeverReset(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(25, 3))
        scores = {"acc": MulticlassAccuracy(3), "recall": MulticlassRecall(3)}
        self.val_scores = torchmetrics.MetricCollection(scores, prefix="val_")

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.net(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        image, label = batch
        self.val_scores.update(self.net(image), label)

    def on_validation_epoch_end(self):
        self.log_dict(self.val_scores.compute())  # FAULT: CollectionNeverReset

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ResetBeforeLightningComputes(pl.LightningModule):
    """Training metrics are computed after ``on_train_epoch_end``."""

    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(40, 8)
        self.fc = nn.Linear(8, 1)
        self.train_f1 = BinaryF1Score()

    def training_step(self, batch, batch_idx):
        tokens, spam = batch
        logits = self.fc(self.embed(tokens))[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, spam.float())
        self.train_f1.update(logits, spam)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_f1", self.train_f1, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.train_f1.reset()  # FAULT: ResetBeforeLightningComputes

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ResetsWhatLightningResets(pl.LightningModule):
    """Harmless but in the sanity check, where the metric is computed after the hook."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.val_acc = MulticlassAccuracy(3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.fc(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_acc.update(self.fc(x), y)
        self.log("val_acc", self.val_acc)

    def on_validation_epoch_end(self):
        self.val_acc.reset()  # FAULT: ResetsWhatLightningResets

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LoggedNeverUpdated(pl.LightningModule):
    """The metric is logged, and nobody feeds it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        self.val_error = torchmetrics.MeanMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        error = (self.net(x).argmax(1) != y).float().mean()
        self.log("val_error", self.val_error, on_epoch=True)  # FAULT: LoggedNeverUpdated
        return error

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AveragesF1OfBatches(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 1))
        self.f1 = BinaryF1Score()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self.net(x)[:, 0], y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)[:, 0]
        self.log("val_loss", F.binary_cross_entropy_with_logits(logits, y.float()))
        self.log("val_f1", self.f1(logits, y))  # FAULT: AveragesF1OfBatches

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AveragesRecallOfBatches(pl.LightningModule):
    """In training, as a Python number."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 4)
        self.recall = MulticlassRecall(num_classes=4, average="macro")

    def training_step(self, batch, batch_idx):
        logits = self.fc(self.conv(batch["image"]).relu().mean((2, 3)))
        loss = F.cross_entropy(logits, batch["label"])
        recall = self.recall(logits.softmax(-1), batch["label"]).item()
        values = {"train_loss": loss, "train_recall": recall}
        self.log_dict(values, on_step=False, on_epoch=True)  # FAULT: AveragesRecallOfBatches
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class AveragesRunningValues(pl.LightningModule):
    """``compute`` in each step gives the value so far; the mean of those is nobody's."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 3)
        self.acc = MulticlassAccuracy(num_classes=3, average="micro")

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self):
        self.acc.reset()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.acc.update(self.net(x), y)
        self.log("val_acc", self.acc.compute())  # FAULT: AveragesRunningValues

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "MetricsInList": {
        "fault": "metric-in-list-or-dict",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "metric_objects_are_registered",
        "severity": "error",
        "words": ["ModuleList", "self.metrics"],
    },
    "MetricsInDictByHand": {
        "fault": "metric-in-list-or-dict",
        "batch": "{x: float[5,10], y: int[5]<2}",
        "check": "metric_objects_are_registered",
        "severity": "warning",
        "words": ["ModuleDict"],
    },
    "ComputedNeverReset": {
        "fault": "metric-not-reset",
        "batch": "x: float[5,3,8], y: int[5]<4",
        "check": "metrics_are_reset",
        "severity": "error",
        "words": ["reset", "self.val_acc"],
    },
    "RunningLossNeverReset": {
        "fault": "metric-not-reset",
        "batch": "series: float[5,6,2], target: float[5,1]",
        "check": "metrics_are_reset",
        "severity": "error",
        "words": ["reset", "self.mean_error"],
    },
    "CollectionNeverReset": {
        "fault": "metric-not-reset",
        "batch": "image: float[5,5,5], label: int[5]<3",
        "check": "metrics_are_reset",
        "severity": "error",
        "words": ["reset"],
    },
    "ResetBeforeLightningComputes": {
        "fault": "metric-reset-or-never-updated",
        "batch": "tokens: int[5,7]<40, spam: int[5]<2",
        "check": "metrics_are_reset",
        "severity": "error",
        "words": ["reset", "self.train_f1"],
    },
    "ResetsWhatLightningResets": {
        "fault": "metric-reset-or-never-updated",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "metrics_are_reset",
        "severity": "advice",
        "words": ["reset", "self.val_acc"],
    },
    "LoggedNeverUpdated": {
        "fault": "metric-reset-or-never-updated",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "metrics_are_reset",
        "severity": "error",
        "words": ["never updated", "val_error"],
    },
    "AveragesF1OfBatches": {
        "fault": "metric-value-averaged",
        "batch": "x: float[5,9], y: int[5]<2",
        "check": "metric_values_are_not_averaged",
        "severity": "warning",
        "words": ["val_f1", "mean over batches"],
    },
    "AveragesRecallOfBatches": {
        "fault": "metric-value-averaged",
        "batch": "{image: float[5,3,8,8], label: int[5]<4}",
        "check": "metric_values_are_not_averaged",
        "severity": "warning",
        "words": ["train_recall"],
    },
    "AveragesRunningValues": {
        "fault": "metric-not-reset",
        "batch": "x: float[5,7], y: int[5]<3",
        "check": "metric_values_are_not_averaged",
        "severity": "warning",
        "words": ["val_acc", "running"],
    },
}
