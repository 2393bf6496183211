"""Family 2: schedulers that are not stepped, count in the wrong unit, or give rates that make no sense."""

import math

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler


class _Classifier(L.LightningModule):
    def __init__(self, features: int = 6):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


class CosineInStepsPerEpoch(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        total = self.trainer.estimated_stepping_batches
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)  # FAULT: CosineInStepsPerEpoch
        return [optimizer], [cosine]


class OneCyclePerEpoch(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        total = int(self.trainer.estimated_stepping_batches)
        cycle = lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)  # FAULT: OneCyclePerEpoch
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle}}


class CosineInEpochsPerStep(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        epochs = self.trainer.max_epochs
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)  # FAULT: CosineInEpochsPerStep
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class SchedulerKeptOnSelf(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        self.scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)  # FAULT: SchedulerKeptOnSelf
        return optimizer


class ManualSchedulerLeft(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Linear(8, 3)
        self.decoder = nn.Linear(3, 8)

    def training_step(self, x, batch_idx):
        optimizer = self.optimizers()
        loss = F.mse_loss(self.decoder(self.encoder(x).tanh()), x)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        decay = lr_scheduler.ExponentialLR(optimizer, 0.9)  # FAULT: ManualSchedulerLeft
        return [optimizer], [decay]


class SchedulerStepDoesNothing(_Classifier):
    def lr_scheduler_step(self, scheduler, *args):  # FAULT: SchedulerStepDoesNothing
        self.last_rate = scheduler.get_last_lr()[0]

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [lr_scheduler.StepLR(optimizer, 1)]


class CosineOverInfiniteBatches(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        total = self.trainer.num_training_batches * self.trainer.max_epochs  # FAULT: CosineOverInfiniteBatches
        schedule = lr_scheduler.LambdaLR(  # FAULT: CosineOverInfiniteBatches
            optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class DecayOverMinusOneSteps(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        total = self.trainer.max_steps  # FAULT: DecayOverMinusOneSteps
        decay = lr_scheduler.LambdaLR(optimizer, lambda s: 1 - s / total)  # FAULT: DecayOverMinusOneSteps
        return [optimizer], [{"scheduler": decay, "interval": "step"}]


class DecayReadsMaxStepsLate(_Classifier):
    """``max_steps`` is asked for in the schedule itself, where nothing keeps it."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.01)
        decay = lr_scheduler.LambdaLR(optimizer, self.decay)  # FAULT: DecayReadsMaxStepsLate
        self.total = self.trainer.max_steps
        return [optimizer], [{"scheduler": decay, "interval": "step"}]

    def decay(self, step):
        return 1 - step / self.trainer.max_steps


class FirstEpochAtRateZero(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        warmup = lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1.0, epoch / 5))  # FAULT: FirstEpochAtRateZero
        return [optimizer], [warmup]


class DecaysBelowZero(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        decay = lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 4)  # FAULT: DecaysBelowZero
        return [optimizer], [{"scheduler": decay, "interval": "step"}]


class SchedulerUnderAnUnknownKey(_Classifier):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = lr_scheduler.StepLR(optimizer, 1)
        return {"optimizer": optimizer, "scheduler": schedule}  # FAULT: SchedulerUnderAnUnknownKey


class ClippingHookOnlyWatches(_Classifier):
    def configure_gradient_clipping(self, optimizer, *args, **kwargs):  # FAULT: ClippingHookOnlyWatches
        self.seen_groups = len(optimizer.param_groups)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "ClippingHookOnlyWatches": {
        "fault": "gradient-clipping-noop",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "gradient_clipping_works",
        "severity": "error",
        "words": ["gradient_clip_val"],
    },
    "CosineInStepsPerEpoch": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["T_max", "interval"],
    },
    "OneCyclePerEpoch": {
        "fault": "onecycle-per-epoch",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["OneCycleLR", "interval"],
    },
    "CosineInEpochsPerStep": {
        "fault": "scheduler-too-short",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "warning",
        "words": ["epochs"],
    },
    "SchedulerKeptOnSelf": {
        "fault": "scheduler-not-returned",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["Lightning does not know it"],
    },
    "ManualSchedulerLeft": {
        "fault": "manual-scheduler-not-stepped",
        "batch": "float[5,8]",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["never stepped"],
    },
    "SchedulerStepDoesNothing": {
        "fault": "lr_scheduler_step-noop",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["lr_scheduler_step"],
    },
    "CosineOverInfiniteBatches": {
        "fault": "scheduler-from-num_training_batches",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["inf"],
        "since": (2, 0),
    },
    "DecayOverMinusOneSteps": {
        "fault": "scheduler-from-max_steps",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["max_steps"],
    },
    "DecayReadsMaxStepsLate": {
        "fault": "scheduler-from-max_steps",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "learning_rate_stays_sane",
        "severity": "error",
        "words": ["max_steps"],
    },
    "FirstEpochAtRateZero": {
        "fault": "lr-zero",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "learning_rate_stays_sane",
        "severity": "error",
        "words": ["epoch 0"],
    },
    "DecaysBelowZero": {
        "fault": "",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "learning_rate_stays_sane",
        "severity": "error",
        "words": ["negative"],
    },
    "SchedulerUnderAnUnknownKey": {
        "fault": "configure_optimizers-ignored-key",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "optimizer_configuration_is_read",
        "severity": "error",
        "words": ["lr_scheduler"],
    },
}
