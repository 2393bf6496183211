"""Schedulers that are right: by epoch with long horizons, by step, by hand, and in parts."""

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)


class Regression(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


class StepEveryThirtyEpochs(Regression):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        return [optimizer], [StepLR(optimizer, 30)]


class CosineOverTheEpochs(Regression):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        return [optimizer], [CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs)]


class CosineOverHundredEpochs(Regression):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        return {"optimizer": optimizer, "lr_scheduler": CosineAnnealingLR(optimizer, T_max=1000)}


class DecaySteps(Regression):
    """Calls its epochs steps."""

    def __init__(self, lr_decay_steps: tuple = (60, 120, 160)):
        super().__init__()
        self.lr_decay_steps = lr_decay_steps

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [MultiStepLR(optimizer, milestones=list(self.lr_decay_steps), gamma=0.2)]


class WarmupOfFiveEpochs(Regression):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        warmup = LinearLR(optimizer, 0.01, total_iters=5)
        rest = CosineAnnealingLR(optimizer, T_max=295)
        return [optimizer], [SequentialLR(optimizer, [warmup, rest], milestones=[5])]


class StepsOverTheWholeRun(Regression):
    def configure_optimizers(self):
        optimizer = AdamW(self.parameters(), lr=1e-3)
        total = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (0.1 * total)) * max(0.0, 1 - step / total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class EpochsTimesBatches(Regression):
    """Asks for max_steps, and knows what to do where there is none."""

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        total = self.trainer.max_steps
        if total <= 0:
            total = int(self.trainer.estimated_stepping_batches)
        scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class OneCycleOverTheEpochs(Regression):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        return [optimizer], [OneCycleLR(optimizer, max_lr=0.1, total_steps=self.trainer.max_epochs)]


class RestartsByStep(Regression):
    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-3)
        scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=10)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class CosineWarmupScheduler(LRScheduler):
    def __init__(self, optimizer, warmup, max_iters):
        self.warmup, self.max_num_iters = warmup, max_iters
        super().__init__(optimizer)

    def get_lr(self):
        return [base * self.get_lr_factor(self.last_epoch) for base in self.base_lrs]

    def get_lr_factor(self, epoch):
        return min(1.0, epoch / self.warmup) * max(0.0, 1 - epoch / self.max_num_iters)


class SteppedInOptimizerStep(Regression):
    """As in many tutorials: kept on self, and stepped with each batch."""

    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-3)
        self.lr_scheduler = CosineWarmupScheduler(optimizer, warmup=100, max_iters=2000)
        return optimizer

    def optimizer_step(self, *args, **kwargs):
        super().optimizer_step(*args, **kwargs)
        self.lr_scheduler.step()


class ManualStepsAtTheEnd(L.LightningModule):
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
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        if (self.current_epoch + 1) % 10 == 0:
            self.lr_schedulers().step()

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        return [optimizer], [StepLR(optimizer, 2)]


class OwnStepHook(Regression):
    def lr_scheduler_step(self, scheduler, metric):
        if self.current_epoch >= 5:
            scheduler.step()

    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        return [optimizer], [StepLR(optimizer, 10)]


class TwoSchedulersOfOneOptimizer(Regression):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        warmup = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 500))
        decay = MultiStepLR(optimizer, [40, 80])
        return [optimizer], [{"scheduler": warmup, "interval": "step", "name": "warmup"}, decay]


class EveryTenEpochs(Regression):
    def configure_optimizers(self):
        optimizer = torch.optim.RMSprop(self.parameters(), lr=1e-3)
        scheduler = StepLR(optimizer, 1)
        return [optimizer], [{"scheduler": scheduler, "interval": "epoch", "frequency": 10}]


class EpochsInFractions(LRScheduler):
    def __init__(self, optimizer, epochs, steps_per_epoch):
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        super().__init__(optimizer)

    def get_lr(self):
        done = self.last_epoch / self.steps_per_epoch
        return [base * max(0.0, 1 - done / self.epochs) for base in self.base_lrs]


class CountsEpochsWithinSteps(Regression):
    def configure_optimizers(self):
        optimizer = SGD(self.parameters(), lr=0.1)
        epochs = self.trainer.max_epochs
        scheduler = EpochsInFractions(optimizer, epochs, self.trainer.estimated_stepping_batches / epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class CosineOfManyEpochs(Regression):
    """Full batches, and many epochs."""

    def __init__(self, max_epochs: int = 20000):
        super().__init__()
        self.max_epochs = max_epochs

    def configure_optimizers(self):
        optimizer = Adam(self.parameters(), lr=1e-3)
        return [optimizer], [CosineAnnealingLR(optimizer, T_max=self.max_epochs)]


LEGITIMATE = {
    "CountsEpochsWithinSteps": {"batch": "x: float[5,8], y: float[5,1]"},
    "CosineOfManyEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "StepEveryThirtyEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "CosineOverTheEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "CosineOverHundredEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "DecaySteps": {"batch": "x: float[5,8], y: float[5,1]"},
    "WarmupOfFiveEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "StepsOverTheWholeRun": {"batch": "x: float[5,8], y: float[5,1]"},
    "EpochsTimesBatches": {"batch": "x: float[5,8], y: float[5,1]"},
    "OneCycleOverTheEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
    "RestartsByStep": {"batch": "x: float[5,8], y: float[5,1]"},
    "SteppedInOptimizerStep": {"batch": "x: float[5,8], y: float[5,1]"},
    "ManualStepsAtTheEnd": {"batch": "x: float[5,6], y: float[5,1]"},
    "OwnStepHook": {"batch": "x: float[5,8], y: float[5,1]", "since": (2, 0)},
    "TwoSchedulersOfOneOptimizer": {"batch": "x: float[5,8], y: float[5,1]"},
    "EveryTenEpochs": {"batch": "x: float[5,8], y: float[5,1]"},
}
