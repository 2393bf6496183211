"""Family 11: metrics, monitors, files and logging where two processes train together."""

from pathlib import Path

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

ON_EPOCH = {"on_step": False, "on_epoch": True}


class Base(L.LightningModule):
    """A classifier that validates."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, **ON_EPOCH, sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class PlateauOfOneRank(Base):
    """Each rank's scheduler sees its own half of the validation data."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))  # FAULT: PlateauOfOneRank

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


class StopsByOneRank(Base):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        scores = self.net(x)
        self.log("val_acc", (scores.argmax(-1) == y).float().mean() + scores.mean())  # FAULT: StopsByOneRank

    def configure_callbacks(self):
        return [EarlyStopping("val_acc", mode="max", patience=9)]


class EpochLossOfOneRank(Base):
    """Nothing monitors it, and still it is a half."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))  # FAULT: EpochLossOfOneRank


class MeanOfItsOwnOutputs(Base):
    def on_validation_epoch_start(self):
        self.losses = []

    def validation_step(self, batch, batch_idx):
        self.losses.append(self.loss(batch))

    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.losses).mean())  # FAULT: MeanOfItsOwnOutputs
        self.losses.clear()


class LogsSyncedOnTheFirstRank(Base):
    def on_validation_epoch_end(self):
        if self.trainer.is_global_zero:
            norm = self.net.weight.detach().norm()
            self.log("weight_norm", norm, sync_dist=True)  # FAULT: LogsSyncedOnTheFirstRank


class LogsAMetricOnTheFirstRank(Base):
    """The metric is gathered when the epoch ends, on the rank that logged it."""

    def __init__(self):
        super().__init__()
        self.val_acc = MulticlassAccuracy(3, average="micro")

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_acc(self.net(x), y)
        if self.global_rank == 0:
            self.log("val_acc", self.val_acc)  # FAULT: LogsAMetricOnTheFirstRank


class ComputesOnTheFirstRank(Base):
    def __init__(self):
        super().__init__()
        self.mean = MeanMetric()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.mean.update(loss.detach())
        return loss

    def on_train_epoch_end(self):
        if self.trainer.global_rank == 0:
            self.average = self.mean.compute()  # FAULT: ComputesOnTheFirstRank
        self.mean.reset()


class PrintsOnEveryRank(Base):
    def on_train_epoch_end(self):
        print(f"epoch {self.current_epoch} is over")  # FAULT: PrintsOnEveryRank


class WritesOneFileFromAllRanks(Base):
    def on_validation_epoch_end(self):
        folder = Path(self.trainer.default_root_dir)
        torch.save(self.net.state_dict(), folder / "best.pt")  # FAULT: WritesOneFileFromAllRanks


class AppendsPredictionsFromAllRanks(Base):
    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        path = Path(self.trainer.default_root_dir, "guesses.txt")
        with path.open("a") as file:  # FAULT: AppendsPredictionsFromAllRanks
            file.write(f"{self.net(batch[0]).argmax(-1).tolist()}\n")


EXPECTED = {
    "PlateauOfOneRank": {
        "fault": "ddp-no-sync_dist",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "monitored_metrics_are_reduced",
        "severity": "error",
        "words": ["val_loss", "ReduceLROnPlateau", "sync_dist=True"],
    },
    "StopsByOneRank": {
        "fault": "ddp-no-sync_dist",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "monitored_metrics_are_reduced",
        "severity": "advice",
        "words": ["val_acc", "sync_dist=True"],
    },
    "EpochLossOfOneRank": {
        "fault": "ddp-no-sync_dist",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "monitored_metrics_are_reduced",
        "severity": "advice",
        "words": ["val_loss", "sync_dist=True"],
    },
    "MeanOfItsOwnOutputs": {
        "fault": "ddp-no-sync_dist",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "monitored_metrics_are_reduced",
        "severity": "advice",
        "words": ["val_loss"],
    },
    "LogsSyncedOnTheFirstRank": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "weight_norm"],
    },
    "LogsAMetricOnTheFirstRank": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "val_acc"],
    },
    "ComputesOnTheFirstRank": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "compute"],
    },
    "PrintsOnEveryRank": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "one_rank_writes",
        "severity": "advice",
        "words": ["print", "rank_zero"],
    },
    "WritesOneFileFromAllRanks": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "one_rank_writes",
        "severity": "warning",
        "words": ["best.pt", "is_global_zero"],
    },
    "AppendsPredictionsFromAllRanks": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "one_rank_writes",
        "severity": "warning",
        "words": ["guesses.txt"],
    },
}
