"""Family 2: schedulers that count something else than Lightning does, or that nobody steps."""

import functools
import math

import lightning.pytorch as L
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


class CosineOverAllSteps(Classifier):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-2)
        total_steps = self.trainer.estimated_stepping_batches
        return [optimizer], [CosineAnnealingLR(optimizer, T_max=total_steps)]  # FAULT: CosineOverAllSteps


def linear_schedule(optimizer, num_warmup_steps, num_training_steps):
    def factor(step):
        if step < num_warmup_steps:
            return step / max(1, num_warmup_steps)
        return max(0.0, (num_training_steps - step) / max(1, num_training_steps - num_warmup_steps))

    return LambdaLR(optimizer, factor)


class LinearWarmupOfManySteps(L.LightningModule):
    """Four thousand epochs of warm-up."""

    def __init__(self, warmup_steps: int = 4000, max_steps: int = 100000):
        super().__init__()
        self.save_hyperparameters()
        self.embed = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 30)

    def training_step(self, batch, batch_idx):
        tokens = batch["input_ids"]
        logits = self.head(self.embed(tokens[:, :-1]))
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=5e-4)
        scheduler = linear_schedule(  # FAULT: LinearWarmupOfManySteps
            optimizer,
            num_warmup_steps=self.hparams.warmup_steps,
            num_training_steps=self.hparams.max_steps,
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def cosine(step, warmup, total):
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


class PartialWarmupThenCosine(Classifier):
    def configure_optimizers(self):
        steps = self.trainer.estimated_stepping_batches
        optimizer = Adam(self.parameters(), lr=1e-3)
        schedule = functools.partial(cosine, warmup=0.1 * steps, total=steps)
        scheduler = LambdaLR(optimizer, schedule)  # FAULT: PartialWarmupThenCosine
        return [optimizer], [{"scheduler": scheduler, "frequency": 1}]


class NoamScheduler(LRScheduler):
    def __init__(self, optimizer, warmup_steps, model_size):
        self.warmup_steps = warmup_steps
        self.model_size = model_size
        super().__init__(optimizer)

    def get_lr(self):
        step = max(1, self.last_epoch)
        scale = self.model_size**-0.5 * min(step**-0.5, step * self.warmup_steps**-1.5)
        return [base * scale for base in self.base_lrs]


class NoamByEpoch(Classifier):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1.0)
        scheduler = NoamScheduler(optimizer, warmup_steps=8000, model_size=10)  # FAULT: NoamByEpoch
        return [optimizer], [scheduler]


class SequenceCountedInSteps(Classifier):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        total = self.trainer.estimated_stepping_batches
        warm = total // 4
        scheduler = SequentialLR(  # FAULT: SequenceCountedInSteps
            optimizer,
            [LinearLR(optimizer, 0.1, total_iters=warm), CosineAnnealingLR(optimizer, T_max=total - warm)],
            milestones=[warm],
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "train_loss"}}


class OneCycleByEpoch(Classifier):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1, momentum=0.9)
        steps = self.trainer.estimated_stepping_batches
        scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)  # FAULT: OneCycleByEpoch
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "epoch"}}


class OneCycleOfHundredSteps(Classifier):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-3)
        scheduler = OneCycleLR(optimizer, max_lr=1e-2, epochs=10, steps_per_epoch=100)  # FAULT: OneCycleOfHundredSteps
        return [optimizer], [scheduler]


class DecaysByMaxSteps(Classifier):
    """The learning rate grows with every step."""

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.05)
        scheduler = LambdaLR(optimizer, lambda step: 1 - step / self.trainer.max_steps)  # FAULT: DecaysByMaxSteps
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class CosineOfMaxSteps(Classifier):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        horizon = self.trainer.max_steps  # FAULT: CosineOfMaxSteps
        scheduler = CosineAnnealingLR(optimizer, T_max=horizon)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class DecaysOverInfinity(Classifier):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        total = self.trainer.num_training_batches * self.trainer.max_epochs  # FAULT: DecaysOverInfinity
        scheduler = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class KeptOnSelf(Classifier):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        self.scheduler = StepLR(optimizer, step_size=1, gamma=0.5)  # FAULT: KeptOnSelf
        return optimizer


class ForgetsWarmup(Classifier):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-3)
        scheduler = MultiStepLR(optimizer, milestones=[30, 60])  # FAULT: ForgetsWarmup
        del scheduler
        return {"optimizer": optimizer}


class ManualScheduleWaits(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.layer = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = F.mse_loss(self.layer(x), y)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss)

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        scheduler = ExponentialLR(optimizer, gamma=0.9)  # FAULT: ManualScheduleWaits
        return [optimizer], [scheduler]


class OwnStepHookDoesNothing(Classifier):
    def lr_scheduler_step(self, scheduler, metric):  # FAULT: OwnStepHookDoesNothing
        self.last_rate = scheduler.get_last_lr()[0]

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        return [optimizer], [StepLR(optimizer, step_size=1, gamma=0.1)]


class SchedulerUnderItsName(Classifier):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-2)
        scheduler = ExponentialLR(optimizer, gamma=0.95)
        return {
            "optimizer": optimizer,
            "scheduler": scheduler,  # FAULT: SchedulerUnderItsName
        }


class IntervalBesideTheOptimizer(Classifier):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-2)
        config = {"optimizer": optimizer, "lr_scheduler": CosineAnnealingLR(optimizer, T_max=50)}
        config["interval"] = "step"  # FAULT: IntervalBesideTheOptimizer
        return config


class PlateauOfRareValidation(Classifier):
    """Ends with an error where validation does not follow each epoch."""

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-2)
        scheduler = ReduceLROnPlateau(optimizer, patience=3)  # FAULT: PlateauOfRareValidation
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}


class CosineOfEpochsByStep(Classifier):
    """Rises and falls every few batches."""

    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        cosine = CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs)  # FAULT: CosineOfEpochsByStep
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


EXPECTED = {
    "CosineOfEpochsByStep": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "warning",
        "words": ["epochs", "interval"],
        "since": None,
        "until": None,
    },
    "CosineOverAllSteps": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["epoch", "interval"],
        "since": None,
        "until": None,
    },
    "LinearWarmupOfManySteps": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "{input_ids: int[5,9]<30}",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["epoch", "interval"],
        "since": None,
        "until": None,
    },
    "PartialWarmupThenCosine": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["epoch", "interval"],
        "since": None,
        "until": None,
    },
    "NoamByEpoch": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["epoch", "interval"],
        "since": None,
        "until": None,
    },
    "SequenceCountedInSteps": {
        "fault": "scheduler-per-epoch-by-default",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["epoch", "interval"],
        "since": None,
        "until": None,
    },
    "OneCycleByEpoch": {
        "fault": "onecycle-per-epoch",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["OneCycleLR", "interval"],
        "since": None,
        "until": None,
    },
    "OneCycleOfHundredSteps": {
        "fault": "onecycle-per-epoch",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["OneCycleLR", "interval"],
        "since": None,
        "until": None,
    },
    "DecaysByMaxSteps": {
        "fault": "scheduler-from-max_steps",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["max_steps", "estimated_stepping_batches"],
        "since": None,
        "until": None,
    },
    "CosineOfMaxSteps": {
        "fault": "scheduler-from-max_steps",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["max_steps"],
        "since": None,
        "until": None,
    },
    "DecaysOverInfinity": {
        "fault": "scheduler-from-num_training_batches",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_fits_the_run",
        "severity": "error",
        "words": ["num_training_batches", "inf"],
        "since": (2, 0),
        "until": None,
    },
    "KeptOnSelf": {
        "fault": "scheduler-not-returned",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["return"],
        "since": None,
        "until": None,
    },
    "ForgetsWarmup": {
        "fault": "scheduler-not-returned",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["return"],
        "since": None,
        "until": None,
    },
    "ManualScheduleWaits": {
        "fault": "manual-scheduler-not-stepped",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["lr_schedulers"],
        "since": None,
        "until": None,
    },
    "OwnStepHookDoesNothing": {
        "fault": "lr_scheduler_step-noop",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "scheduler_is_stepped",
        "severity": "error",
        "words": ["lr_scheduler_step"],
        "since": (2, 0),
        "until": None,
    },
    "SchedulerUnderItsName": {
        "fault": "configure_optimizers-ignored-key",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "optimizer_configuration_is_read",
        "severity": "error",
        "words": ["lr_scheduler"],
        "since": None,
        "until": None,
    },
    "IntervalBesideTheOptimizer": {
        "fault": "configure_optimizers-ignored-key",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "optimizer_configuration_is_read",
        "severity": "error",
        "words": ["interval"],
        "since": None,
        "until": None,
    },
    "PlateauOfRareValidation": {
        "fault": "plateau-vs-val-frequency",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "plateau_heeds_validation",
        "severity": "advice",
        "words": ["check_val_every_n_epoch"],
        "since": None,
        "until": None,
    },
}
