"""Schedulers that are right and look like those that are not."""

import math

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset


class _Regressor(L.LightningModule):
    def __init__(self, lr: float = 0.01):
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


class StepsEveryThirtyEpochs(_Regressor):
    """A schedule by epochs that is longer than a short run."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        return [optimizer], [lr_scheduler.StepLR(optimizer, step_size=30)]


class EightEpochsOfCosine(_Regressor):
    """Its length happens to be that of a short run in steps."""

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        return [optimizer], [lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)]


class CosineOverMaxEpochs(_Regressor):
    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        return [optimizer], [lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs)]


class WarmupThenCosinePerStep(_Regressor):
    """Two schedulers inside a third: only that one is returned."""

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        total = max(4, int(self.trainer.estimated_stepping_batches))
        warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=2)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=total - 2)
        both = lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
        return [optimizer], [{"scheduler": both, "interval": "step"}]


class StepsItInOptimizerStep(_Regressor):
    """Not returned, and stepped by hand."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        self.schedule = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))
        return optimizer

    def optimizer_step(self, epoch, batch_idx, optimizer, *args, **kwargs):
        super().optimizer_step(epoch, batch_idx, optimizer, *args, **kwargs)
        self.schedule.step()


class StepsSchedulerByHandLater(L.LightningModule):
    """Manual optimization; the scheduler starts after ten epochs."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = F.l1_loss(self.net(x), y)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        if self.current_epoch >= 10:
            self.lr_schedulers().step()

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        return [optimizer], [lr_scheduler.ExponentialLR(optimizer, 0.9)]


class GuardsMaxSteps(_Regressor):
    """``max_steps`` is used only where it was given."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        given = self.trainer.max_steps
        total = given if given > 0 else self.trainer.estimated_stepping_batches
        decay = lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / total))
        return [optimizer], [{"scheduler": decay, "interval": "step"}]


class StepsWithItsOwnHook(_Regressor):
    def lr_scheduler_step(self, scheduler, *args):
        scheduler.step(epoch=self.current_epoch + 1)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        return [optimizer], [lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.95**epoch)]


class ClipsEachGroupByItself(_Regressor):
    def configure_gradient_clipping(self, optimizer, *args, **kwargs):
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class OneCycleOverItsOwnFewBatches(_Regressor):
    """However many batches a run may have, its own loader has three."""

    def train_dataloader(self):
        x = torch.randn(12, 5)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4, shuffle=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        steps = self.trainer.estimated_stepping_batches
        cycle = lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class CosineThatSwingsAfterWarmup(_Regressor):
    """Ten epochs of warm-up; the cosine comes back to its full height far beyond the end."""

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)

        def rate(epoch):
            return min((epoch + 1) / 10, 0.5 * (math.cos(epoch / 100 * math.pi) + 1))

        return [optimizer], [lr_scheduler.LambdaLR(optimizer, rate)]


LEGITIMATE = {
    "OneCycleOverItsOwnFewBatches": {},
    "CosineThatSwingsAfterWarmup": {"batch": "x: float[5,5], y: float[5,1]"},
    "ClipsEachGroupByItself": {"batch": "x: float[5,5], y: float[5,1]"},
    "StepsEveryThirtyEpochs": {"batch": "x: float[5,5], y: float[5,1]"},
    "EightEpochsOfCosine": {"batch": "x: float[5,5], y: float[5,1]"},
    "CosineOverMaxEpochs": {"batch": "x: float[5,5], y: float[5,1]"},
    "WarmupThenCosinePerStep": {"batch": "x: float[5,5], y: float[5,1]"},
    "StepsItInOptimizerStep": {"batch": "x: float[5,5], y: float[5,1]"},
    "StepsSchedulerByHandLater": {"batch": "x: float[5,5], y: float[5,1]"},
    "GuardsMaxSteps": {"batch": "x: float[5,5], y: float[5,1]"},
    "StepsWithItsOwnHook": {"batch": "x: float[5,5], y: float[5,1]"},
}
