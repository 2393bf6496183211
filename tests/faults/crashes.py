"""Families 1, 2, 4 and 7: the fit does not run to its end."""

import logging

import lightning.pytorch as L
import torch
import torch.nn as nn
import torch.nn.functional as F


class AccumulatesLossOnSelf(L.LightningModule):
    """Batch 2 walks back into batch 1's freed graph."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))
        self.total_loss = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.total_loss = self.total_loss + loss  # FAULT: AccumulatesLossOnSelf
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return self.total_loss  # FAULT: AccumulatesLossOnSelf

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class HiddenStateNotDetached(L.LightningModule):
    """A recurrent state carried over batches with its graph."""

    def __init__(self, hidden: int = 6):
        super().__init__()
        self.cell = nn.GRUCell(4, hidden)
        self.memory = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        self.state = torch.zeros(1, hidden)

    def training_step(self, batch, batch_idx):
        x, y = batch
        hidden = self.cell(x, self.memory(self.state).expand(len(x), -1))
        self.state = hidden.mean(dim=0, keepdim=True)  # FAULT: HiddenStateNotDetached
        loss = F.mse_loss(self.out(hidden), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class HardCodedBatchSize(L.LightningModule):
    """All is well until the last, smaller batch."""

    def __init__(self, batch_size: int = 5):
        super().__init__()
        self.batch_size = batch_size
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.fc = nn.Linear(2 * 36, 3)

    def training_step(self, batch, batch_idx):
        image, label = batch
        features = self.conv(image).view(self.batch_size, 2 * 36)  # FAULT: HardCodedBatchSize
        loss = F.cross_entropy(self.fc(features), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OldValidationEpochEnd(L.LightningModule):
    """``validation_epoch_end`` is an error since 2.0."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        return {"val_loss": F.cross_entropy(self.net(x), y)}

    def validation_epoch_end(self, outputs):  # FAULT: OldValidationEpochEnd
        self.log("val_loss", torch.stack([output["val_loss"] for output in outputs]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class OldTrainingEpochEnd(L.LightningModule):
    """``training_epoch_end`` is an error since 2.0."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(x), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss}

    def training_epoch_end(self, outputs):  # FAULT: OldTrainingEpochEnd
        self.log("worst_loss", torch.stack([output["loss"] for output in outputs]).max())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class EpochEndTakesOutputs(L.LightningModule):
    """The new hook with the old hook's argument."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self, outputs):  # FAULT: EpochEndTakesOutputs
        self.print("batches:", len(outputs))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class MisspeltTrainingStep(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def train_step(self, batch, batch_idx):  # FAULT: MisspeltTrainingStep
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MisspeltConfigureOptimizers(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizer(self):  # FAULT: MisspeltConfigureOptimizers
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OptimizerCommaScheduler(L.LightningModule):
    """A pair of an optimizer and a scheduler, where a pair of lists is wanted."""

    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(20, 6)
        self.fc = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        tokens, y = batch
        loss = F.cross_entropy(self.fc(self.embed(tokens)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: OptimizerCommaScheduler
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 10)  # FAULT: OptimizerCommaScheduler


class PlateauWithoutMonitor(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.smooth_l1_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: PlateauWithoutMonitor
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}  # FAULT: PlateauWithoutMonitor


class SchedulerTooShort(L.LightningModule):
    """One step too many for a one-cycle schedule counted by hand."""

    def __init__(self, steps: int = 7):
        super().__init__()
        self.steps = steps
        self.net = nn.Linear(12, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        cycle = torch.optim.lr_scheduler.OneCycleLR(  # FAULT: SchedulerTooShort
            optimizer, 0.1, total_steps=self.steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class MonitorsUnloggedMetric(L.LightningModule):
    """Early stopping on a metric that nobody logs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(10, 2)

    def configure_callbacks(self):  # FAULT: MonitorsUnloggedMetric
        return [L.callbacks.EarlyStopping("valid_loss", patience=3)]  # FAULT: MonitorsUnloggedMetric

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ReadsBareNameInsideStep(L.LightningModule):
    """Logged on step and on epoch, the names are ``train_loss_step`` and ``train_loss_epoch``."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(11, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        running = self.trainer.logged_metrics["train_loss"]  # FAULT: ReadsBareNameInsideStep
        self.log("running_loss", running)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsSameNameTwice(L.LightningModule):
    """The same name twice in one hook, with other arguments."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsSameNameTwice
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsAVector(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 8)

    def training_step(self, x, batch_idx):
        per_sample = (self.net(x) - x).pow(2).mean(dim=-1)
        self.log("train_loss", per_sample, on_step=False, on_epoch=True)  # FAULT: LogsAVector
        return per_sample.mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsAfterTheEnd(L.LightningModule):
    """``self.log`` in ``on_train_end``: hours of training, then an error."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 3)
        self.best = float("inf")

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.best = min(self.best, loss.item())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_end(self):
        self.log("best_loss", self.best)  # FAULT: LogsAfterTheEnd

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ShadowsSelfLog(L.LightningModule):
    """A Python logger under the name of Lightning's method."""

    def __init__(self):
        super().__init__()
        self.log = logging.getLogger(__name__)  # FAULT: ShadowsSelfLog
        self.net = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: ShadowsSelfLog
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class EncodesInInferenceMode(L.LightningModule):
    """Tensors made in inference mode cannot take part in a backward pass."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 6)
        self.head = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        with torch.inference_mode():  # FAULT: EncodesInInferenceMode
            features = self.encoder(x)
        loss = F.cross_entropy(self.head(features), y)  # FAULT: EncodesInInferenceMode
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.head.parameters(), lr=1e-3)


class MisspeltEpochStart(L.LightningModule):
    """Lightning's hook is called ``on_train_epoch_start``."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def on_training_epoch_start(self):  # FAULT: MisspeltEpochStart
        self.losses = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.losses.append(loss.detach())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class HyperparametersNotSaved(L.LightningModule):
    """``self.hparams`` is empty without ``save_hyperparameters``."""

    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)  # FAULT: HyperparametersNotSaved


class AssignsHyperparameters(L.LightningModule):
    """``hparams`` is a property."""

    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.hparams = {"lr": lr}  # FAULT: AssignsHyperparameters
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TrainerInConstructor(L.LightningModule):
    """There is no trainer before ``fit``."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.warmup = self.trainer.max_epochs // 10  # FAULT: TrainerInConstructor

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class CountsBatchesTooEarly(L.LightningModule):
    """The trainer has no dataloader yet when it asks for the optimizers."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        steps = len(self.trainer.train_dataloader) * self.trainer.max_epochs  # FAULT: CountsBatchesTooEarly
        return [optimizer], [torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)]


class CriterionIsAClass(L.LightningModule):
    """The criterion is never instantiated."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.criterion = nn.CrossEntropyLoss

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self.net(x), y)  # FAULT: CriterionIsAClass
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LeftoverOptimizerIndex(L.LightningModule):
    """An argument of Lightning 1.x, with one optimizer."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx, optimizer_idx):  # FAULT: LeftoverOptimizerIndex
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "AccumulatesLossOnSelf": {
        "fault": "loss-accumulates-on-self",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "loss_is_of_this_batch",
        "severity": "error",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
    "HiddenStateNotDetached": {
        "fault": "hidden-not-detached",
        "batch": "x: float[5,4], y: float[5,1]",
        "check": "loss_is_of_this_batch",
        "severity": "error",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
    "HardCodedBatchSize": {
        "fault": "hard-coded-batch-size",
        "batch": "image: float[5,1,6,6], label: int[5]<3",
        "check": "last_smaller_batch_works",
        "severity": "warning",
        "words": ["batch"],
        "since": None,
        "until": None,
    },
    "OldValidationEpochEnd": {
        "fault": "legacy-epoch_end",
        "batch": "x: float[5,9], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["on_validation_epoch_end"],
        "since": (2, 0),
        "until": None,
    },
    "OldTrainingEpochEnd": {
        "fault": "legacy-epoch_end",
        "batch": "float[5,6]",
        "check": "training_completes",
        "severity": "error",
        "words": ["on_train_epoch_end"],
        "since": (2, 0),
        "until": None,
    },
    "EpochEndTakesOutputs": {
        "fault": "epoch_end-takes-outputs",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["outputs"],
        "since": None,
        "until": None,
    },
    "MisspeltTrainingStep": {
        "fault": "main-step-typo",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["training_step"],
        "since": None,
        "until": None,
    },
    "MisspeltConfigureOptimizers": {
        "fault": "no-configure_optimizers",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["configure_optimizers"],
        "since": None,
        "until": None,
    },
    "OptimizerCommaScheduler": {
        "fault": "configure_optimizers-bad-structure",
        "batch": "tokens: int[5,6]<20, y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["configure_optimizers"],
        "since": None,
        "until": None,
    },
    "PlateauWithoutMonitor": {
        "fault": "plateau-monitor-missing",
        "batch": "x: float[5,8], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["monitor"],
        "since": None,
        "until": None,
    },
    "SchedulerTooShort": {
        "fault": "scheduler-too-short",
        "batch": "x: float[5,12], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["total_steps"],
        "since": None,
        "until": None,
    },
    "MonitorsUnloggedMetric": {
        "fault": "monitor-never-logged",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["monitor"],
        "since": None,
        "until": None,
    },
    "ReadsBareNameInsideStep": {
        "fault": "train_loss-forked-name",
        "batch": "x: float[5,11], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["train_loss_step"],
        "since": None,
        "until": None,
    },
    "LogsSameNameTwice": {
        "fault": "log-twice-different-args",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["twice"],
        "since": None,
        "until": None,
    },
    "LogsAVector": {
        "fault": "log-bad-type",
        "batch": "float[5,8]",
        "check": "training_completes",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "LogsAfterTheEnd": {
        "fault": "log-forbidden-hook",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["on_train_end"],
        "since": None,
        "until": None,
    },
    "ShadowsSelfLog": {
        "fault": "reserved-attribute-shadowed",
        "batch": "x: float[5,4], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["log"],
        "since": None,
        "until": None,
    },
    "EncodesInInferenceMode": {
        "fault": "",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "training_completes",
        "severity": "error",
        "words": ["inference"],
        "since": None,
        "until": None,
    },
    "MisspeltEpochStart": {
        "fault": "hook-name-typo",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["def on_train_epoch_start", "self.losses"],
        "since": None,
        "until": None,
    },
    "HyperparametersNotSaved": {
        "fault": "hparams-attr-without-save",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["save_hyperparameters"],
        "since": None,
        "until": None,
    },
    "AssignsHyperparameters": {
        "fault": "reserved-attribute-shadowed",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["property", "hparams"],
        "since": None,
        "until": None,
    },
    "TrainerInConstructor": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["trainer yet"],
        "since": (2, 0),
        "until": None,
    },
    "CountsBatchesTooEarly": {
        "fault": "scheduler-len-train_dataloader",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["estimated_stepping_batches"],
        "since": None,
        "until": None,
    },
    "CriterionIsAClass": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["instance"],
        "since": None,
        "until": None,
    },
    "LeftoverOptimizerIndex": {
        "fault": "multiple-optimizers-automatic",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["def training_step(self, batch, batch_idx)"],
        "since": (2, 0),
        "until": None,
    },
}
