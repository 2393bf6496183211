"""Family 11: what goes wrong in the steps where two processes train together."""

import lightning as L
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F


class Base(L.LightningModule):
    """A network of two layers, and how it is trained."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class AuxiliaryHeadIsIdle(Base):
    """The second head is for a task that this release does not train."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(8, 2)  # FAULT: AuxiliaryHeadIsIdle

    def loss(self, batch):
        x, y = batch
        hidden = self.net[1](self.net[0](x))
        with torch.no_grad():
            self.auxiliary(hidden)
        return F.cross_entropy(self.net[2](hidden), y)


class EncoderOfTheOldModel(L.LightningModule):
    """A replaced encoder that was left in the module."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.GRU(4, 8, batch_first=True)
        self.former = nn.LSTM(4, 8, batch_first=True)  # FAULT: EncoderOfTheOldModel
        self.decoder = nn.Linear(8, 4)

    def forward(self, x):
        return self.decoder(self.encoder(x)[0])

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self(x[:, :-1]), x[:, 1:])
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class HeadsByTurns(Base):
    """A task for every other batch: no batch uses both heads."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])  # FAULT: HeadsByTurns

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.heads[batch_idx % 2](self.net(x)), y % 2)
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss


class SkipsBatchesByReturningNone(Base):
    def training_step(self, batch, batch_idx):
        x, y = batch
        if batch_idx == 2:
            return None  # FAULT: SkipsBatchesByReturningNone
        return self.loss(batch)


class SkipsOnItsOwnData(Base):
    """Whether a batch is skipped depends on what this rank got."""

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen % 2 == self.global_rank:
            return None  # FAULT: SkipsOnItsOwnData
        return loss


class BackwardWithoutLightning(Base):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss.backward()  # FAULT: BackwardWithoutLightning
        optimizer.step()


class AdversaryWithRawBackward(L.LightningModule):
    """A GAN, whose generator goes through Lightning and whose critic does not."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(4, 6), nn.Linear(6, 1)

    def training_step(self, real, batch_idx):
        generate, judge = self.optimizers()
        fake = self.generator(torch.randn(len(real), 4, device=self.device))
        wrong = F.softplus(self.critic(fake.detach())).mean() + F.softplus(-self.critic(real)).mean()
        judge.zero_grad()
        wrong.backward()  # FAULT: AdversaryWithRawBackward
        judge.step()
        missed = F.softplus(-self.critic(fake)).mean()
        generate.zero_grad()
        self.manual_backward(missed)
        generate.step()

    def configure_optimizers(self):
        rate = {"lr": 1e-3, "betas": (0.5, 0.9)}
        return [torch.optim.Adam(net.parameters(), **rate) for net in (self.generator, self.critic)]


class ShrinksWeightsOnTheFirstRank(Base):
    def on_train_epoch_end(self):
        if self.trainer.is_global_zero:
            with torch.no_grad():
                self.net[0].weight.mul_(0.5)  # FAULT: ShrinksWeightsOnTheFirstRank


class ResetsDeadUnitsByRank(Base):
    """Reinitialises a row, found in each rank's own statistics."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        activity = self.net[0](batch[0]).relu().mean(0)
        weakest = int(activity.argmin())
        self.net[0].weight.data[weakest] = activity.sum()  # FAULT: ResetsDeadUnitsByRank


class ThawsWhatDdpDoesNotKnow(Base):
    """DDP is made before the first layer is trainable, and does not average its gradients."""

    def __init__(self):
        super().__init__()
        self.net[0].requires_grad_(False)

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.net[0].requires_grad_(True)  # FAULT: ThawsWhatDdpDoesNotKnow


class GathersOnTheFirstRank(Base):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        if self.trainer.is_global_zero:
            losses = self.all_gather(loss.detach())  # FAULT: GathersOnTheFirstRank
            self.worst = losses.max()
        return loss


class AveragesOnTheFirstRank(Base):
    """torch.distributed itself, with the guard against a single process."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        mean = loss.detach().clone()
        if dist.is_available() and dist.is_initialized() and dist.get_rank() == 0:
            dist.all_reduce(mean)  # FAULT: AveragesOnTheFirstRank
        return loss


class OthersReturnBeforeTheBarrier(Base):
    def on_train_epoch_end(self):
        self.export()

    def export(self):
        if self.global_rank != 0:
            return
        self.trainer.strategy.barrier()  # FAULT: OthersReturnBeforeTheBarrier


class AsksForItsRank(Base):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        if dist.get_rank() == 0:  # FAULT: AsksForItsRank
            self.last = loss.detach()
        return loss


class ReducesWithoutAGroup(Base):
    def on_train_epoch_end(self):
        total = torch.ones(1, device=self.device)
        dist.all_reduce(total)  # FAULT: ReducesWithoutAGroup


class PreparesStateOnOneRank(Base):
    """prepare_data runs in one process: the others do not have what it assigns."""

    def prepare_data(self):
        self.weights = torch.ones(3)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y, weight=self.weights)  # FAULT: PreparesStateOnOneRank


class DividesByItsRank(Base):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * (1 // (1 - self.global_rank) if batch_idx else 1)  # FAULT: DividesByItsRank


EXPECTED = {
    "AuxiliaryHeadIsIdle": {
        "fault": "ddp-unused-parameters",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "parameters_are_used_on_every_rank",
        "severity": "error",
        "words": ["auxiliary.weight", "find_unused_parameters"],
        "since": [2, 0],
    },
    "EncoderOfTheOldModel": {
        "fault": "ddp-unused-parameters",
        "environment": "ddp-2",
        "batch": "float[5,7,4]",
        "check": "parameters_are_used_on_every_rank",
        "severity": "error",
        "words": ["former.weight_ih_l0", "find_unused_parameters"],
        "since": [2, 0],
    },
    "HeadsByTurns": {
        "fault": "ddp-unused-parameters",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "parameters_are_used_on_every_rank",
        "severity": "advice",
        "words": ["heads", "find_unused_parameters"],
        "since": [2, 0],
    },
    "SkipsBatchesByReturningNone": {
        "fault": "ddp-none-loss",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "every_rank_trains",
        "severity": "error",
        "words": ["None", "batch 2"],
        "since": [2, 3],
    },
    "SkipsOnItsOwnData": {
        "fault": "ddp-none-loss",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "every_rank_trains",
        "severity": "error",
        "words": ["None"],
        "since": [2, 3],
    },
    "BackwardWithoutLightning": {
        "fault": "ddp-raw-backward",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "ranks_stay_equal",
        "severity": "error",
        "words": ["net.0.weight", "self.manual_backward"],
    },
    "AdversaryWithRawBackward": {
        "fault": "ddp-raw-backward",
        "environment": "ddp-2",
        "batch": "float[5,6]",
        "check": "ranks_stay_equal",
        "severity": "error",
        "words": ["critic.weight", "self.manual_backward"],
    },
    "ShrinksWeightsOnTheFirstRank": {
        "fault": "ddp-weights-edited-on-one-rank",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "ranks_stay_equal",
        "severity": "error",
        "words": ["net.0.weight"],
    },
    "ResetsDeadUnitsByRank": {
        "fault": "ddp-weights-edited-on-one-rank",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "ranks_stay_equal",
        "severity": "error",
        "words": ["net.0.weight"],
    },
    "ThawsWhatDdpDoesNotKnow": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "ranks_stay_equal",
        "severity": "error",
        "words": ["net.0.weight", "requires_grad=False"],
    },
    "GathersOnTheFirstRank": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "all_gather"],
    },
    "AveragesOnTheFirstRank": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "all_reduce"],
    },
    "OthersReturnBeforeTheBarrier": {
        "fault": "ddp-rank-zero-collective",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "collectives_run_on_every_rank",
        "severity": "error",
        "words": ["rank 0", "barrier"],
    },
    "AsksForItsRank": {
        "fault": "dist-without-init",
        "environment": "cpu",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["is_initialized", "self.global_rank"],
    },
    "ReducesWithoutAGroup": {
        "fault": "dist-without-init",
        "environment": "cpu",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "training_completes",
        "severity": "error",
        "words": ["is_initialized"],
    },
    "PreparesStateOnOneRank": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "every_rank_trains",
        "severity": "error",
        "words": ["rank 1", "prepare_data", "setup"],
    },
    "DividesByItsRank": {
        "fault": "",
        "environment": "ddp-2",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "every_rank_trains",
        "severity": "error",
        "words": ["rank 1", "ZeroDivisionError"],
    },
}
