"""Modules that train on several processes, each near to something that does not."""

import copy
from pathlib import Path

import lightning as L
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy

SYNCED = {"on_step": False, "on_epoch": True, "sync_dist": True}


class Base(L.LightningModule):
    """A classifier whose metrics are reduced."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, **SYNCED)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class SpeaksOnOneRank(Base):
    def on_train_epoch_end(self):
        rank_zero_info("an epoch is over")
        self.print("and it was", self.current_epoch)
        if self.trainer.is_global_zero:
            print("the first rank says so")


class LogsOnOneRank(Base):
    """No reduction is asked for: the other ranks are not needed."""

    def on_train_epoch_end(self):
        if self.trainer.is_global_zero:
            self.log("rate", 0.05, rank_zero_only=True)


class PlateauOfAllRanks(Base):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    def configure_callbacks(self):
        return [EarlyStopping("val_loss", patience=9)]

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


class MetricObjects(Base):
    """They gather by themselves, whether logged or computed."""

    def __init__(self):
        super().__init__()
        self.val_acc, self.best, self.mean = MulticlassAccuracy(3, average="micro"), MaxMetric(), MeanMetric()

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.mean.update(loss.detach())
        return loss

    def on_train_epoch_end(self):
        mean = self.mean.compute()
        if self.global_rank == 0:
            self.print(f"{mean:.3f}")
        self.mean.reset()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_acc(self.net(x), y)
        self.log("val_acc", self.val_acc)

    def on_validation_epoch_end(self):
        self.best(self.val_acc.compute())
        self.log("best", self.best.compute(), sync_dist=True)


class ContrastsOverAllRanks(L.LightningModule):
    """Negatives of the other ranks, with gradients."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def training_step(self, x, batch_idx):
        one, other = (F.normalize(self.net(x + 0.1 * torch.randn_like(x)), dim=-1) for _ in range(2))
        every = self.all_gather(other, sync_grads=True).reshape(-1, 4)
        scores = one @ every.T / 0.2
        right = torch.arange(len(x), device=self.device) + self.global_rank * len(x)
        loss = F.cross_entropy(scores, right)
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class CentresBySum(Base):
    """A running centre from all ranks, with torch.distributed where it is there, as DINO has it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.net(x)
        loss = F.cross_entropy(scores - self.centre, y)
        with torch.no_grad():
            total = scores.detach().mean(0)
            if dist.is_available() and dist.is_initialized():
                dist.all_reduce(total)
                total /= dist.get_world_size()
            self.centre.mul_(0.9).add_(total, alpha=0.1)
        self.log("train_loss", loss, **SYNCED)
        return loss


class Adversaries(L.LightningModule):
    """Two networks by turns; each backward pass goes through Lightning."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(4, 6), nn.Linear(6, 1)

    def training_step(self, real, batch_idx):
        generate, judge = self.optimizers()
        noise = torch.randn(len(real), 4, device=self.device)
        self.toggle_optimizer(judge)
        wrong = F.softplus(self.critic(self.generator(noise).detach())).mean() + F.softplus(-self.critic(real)).mean()
        judge.zero_grad()
        self.manual_backward(wrong)
        judge.step()
        self.untoggle_optimizer(judge)
        self.toggle_optimizer(generate)
        missed = F.softplus(-self.critic(self.generator(noise))).mean()
        generate.zero_grad()
        self.manual_backward(missed)
        generate.step()
        self.untoggle_optimizer(generate)
        self.log("train_loss", missed, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(real))

    def configure_optimizers(self):
        rate = {"lr": 1e-3, "betas": (0.5, 0.9)}
        return [torch.optim.Adam(net.parameters(), **rate) for net in (self.generator, self.critic)]


class ManualSingle(Base):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer, loss = self.optimizers(), self.loss(batch)
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)


class HeadsTogether(Base):
    """Which head counts depends on the sample; each is in every loss."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])

    def loss(self, batch):
        x, y = batch
        hidden = self.net(x)
        first = (x[:, :1] > 0).float()
        return F.cross_entropy(first * self.heads[0](hidden) + (1 - first) * self.heads[1](hidden), y)


class Teacher(Base):
    """The average of weights that are the same everywhere is the same everywhere."""

    def __init__(self):
        super().__init__()
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)

    def loss(self, batch):
        with torch.no_grad():
            wanted = self.teacher(batch[0]).softmax(-1)
        return super().loss(batch) + F.kl_div(self.net(batch[0]).log_softmax(-1), wanted, reduction="batchmean")

    @torch.no_grad()
    def on_train_batch_end(self, outputs, batch, batch_idx):
        for slow, fast in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            slow.lerp_(fast, 0.1)


class NoiseOfItsOwn(Base):
    """Augmentation differs by rank, as it should."""

    def on_fit_start(self):
        self.generator = torch.Generator(self.device).manual_seed(1000 + self.global_rank)

    def loss(self, batch):
        x, y = batch
        noise = torch.randn(x.shape, generator=self.generator, device=self.device)
        return F.cross_entropy(self.net(x + 0.1 * noise), y)


class Normalised(Base):
    """The running statistics are each rank's own between two steps."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


class MeetsAtTheBarrier(Base):
    def on_train_epoch_end(self):
        if self.trainer.is_global_zero:
            self.written = self.current_epoch
        self.trainer.strategy.barrier()


class FirstRankGoesFirst(Base):
    """One rank downloads, the others wait for it: two lines, one barrier."""

    def setup(self, stage):
        if self.global_rank != 0:
            self.trainer.strategy.barrier()
        self.words = {"a": 0, "b": 1}
        if self.global_rank == 0:
            self.trainer.strategy.barrier()


class SavesOnOneRank(Base):
    def on_validation_epoch_end(self):
        self.export()

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), sync_dist=True)

    @rank_zero_only
    def export(self):
        torch.save(self.net.state_dict(), Path(self.trainer.default_root_dir, "best.pt"))


class WritesByRank(Base):
    def on_train_epoch_end(self):
        Path(self.trainer.default_root_dir, f"losses-{self.global_rank}.txt").write_text("0.5")


class SkipsBadBatchesTogether(Base):
    """Whether the batch counts is the same on all ranks, and each has a backward pass."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        usable = self.all_gather(loss.detach()).isfinite().all()
        return loss if usable else loss * 0.0


class ResetsRowsTogether(Base):
    """Every rank writes into the weights what all of them know."""

    @torch.no_grad()
    def on_train_batch_end(self, outputs, batch, batch_idx):
        activity = self.all_gather(self.net[0](batch[0]).relu().mean(0)).reshape(-1, 8).mean(0)
        self.net[0].weight[int(activity.argmin())] *= 0.5


LEGITIMATE = {
    "SpeaksOnOneRank": {"batch": "x: float[5,6], y: int[5]<3"},
    "LogsOnOneRank": {"batch": "x: float[5,6], y: int[5]<3"},
    "PlateauOfAllRanks": {"batch": "x: float[5,6], y: int[5]<3"},
    "MetricObjects": {"batch": "x: float[5,6], y: int[5]<3"},
    "ContrastsOverAllRanks": {"batch": "float[5,6]"},
    "CentresBySum": {"batch": "x: float[5,6], y: int[5]<3"},
    "Adversaries": {"batch": "float[5,6]", "since": [2, 0]},
    "ManualSingle": {"batch": "x: float[5,6], y: int[5]<3"},
    "HeadsTogether": {"batch": "x: float[5,6], y: int[5]<3"},
    "Teacher": {"batch": "x: float[5,6], y: int[5]<3"},
    "NoiseOfItsOwn": {"batch": "x: float[5,6], y: int[5]<3"},
    "Normalised": {"batch": "x: float[5,6], y: int[5]<3"},
    "MeetsAtTheBarrier": {"batch": "x: float[5,6], y: int[5]<3"},
    "FirstRankGoesFirst": {"batch": "x: float[5,6], y: int[5]<3"},
    "SavesOnOneRank": {"batch": "x: float[5,6], y: int[5]<3"},
    "WritesByRank": {"batch": "x: float[5,6], y: int[5]<3"},
    "SkipsBadBatchesTogether": {"batch": "x: float[5,6], y: int[5]<3"},
    "ResetsRowsTogether": {"batch": "x: float[5,6], y: int[5]<3"},
}
