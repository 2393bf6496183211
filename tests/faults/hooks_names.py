"""Family 7: methods that Lightning never calls, and hooks that cannot be called as it calls them."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class CountsEpochsInARemovedHook(pl.LightningModule):
    """Written for 1.5: the warm-up of the penalty never begins."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.penalty = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y) + self.penalty * self.net.weight.square().sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_epoch_end(self):  # FAULT: CountsEpochsInARemovedHook
        self.penalty = min(1e-2, self.penalty + 1e-3)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class GathersInStepEnd(pl.LightningModule):
    """validation_step_end was for several devices in one process."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(2, 4, 3)
        self.head = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        signal, target = batch
        loss = F.mse_loss(self.head(self.encoder(signal).mean(-1)), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        signal, target = batch
        return F.mse_loss(self.head(self.encoder(signal).mean(-1)), target)

    def validation_step_end(self, losses):  # FAULT: GathersInStepEnd
        self.log("val_loss", losses.mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LossMadeInStepEnd(pl.LightningModule):
    """Data-parallel style: the step returns its outputs, the loss is made of all of them."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return {"logits": self.net(x), "y": y}

    def training_step_end(self, outputs):  # FAULT: LossMadeInStepEnd
        loss = F.cross_entropy(outputs["logits"], outputs["y"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AlmostTheHook(pl.LightningModule):
    """Spelt as the step is, not as the hook is."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 6)
        self.out = nn.Linear(6, 2)
        self.best = float("inf")

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.out(self.embed(batch["tokens"]).mean(1)), batch["label"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_training_epoch_end(self):  # FAULT: AlmostTheHook
        self.best = min(self.best, float(self.trainer.callback_metrics["train_loss"]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class HookOfACallback(pl.LightningModule):
    """Callbacks have it, modules do not."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.checked = False

    def training_step(self, batch, batch_idx):
        loss = F.l1_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.l1_loss(self.net(batch[0]), batch[1]))

    def on_sanity_check_end(self):  # FAULT: HookOfACallback
        self.checked = True

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class BatchEndWithLoaderIndex(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 2)
        self.seen = 0

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx, dataloader_idx):  # FAULT: BatchEndWithLoaderIndex
        self.seen += len(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TestBatchEndWithLoaderIndex(pl.LightningModule):
    """Only with several test loaders would this be called as it is written."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 2)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

    def on_test_batch_end(self, outputs, batch, batch_idx, dataloader_idx):  # FAULT: TestBatchEndWithLoaderIndex
        self.last = batch_idx

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SetupWithoutStage(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.scale = 1.0

    def setup(self):  # FAULT: SetupWithoutStage
        self.scale = 0.5

    def forward(self, x):
        return self.net(x) * self.scale

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        self.net = nn.Linear(3, 1)
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TransferWithoutIndex(pl.LightningModule):
    """The signature of 1.3."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def transfer_batch_to_device(self, batch, device):  # FAULT: TransferWithoutIndex
        return tuple(part.to(device) for part in batch)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SavesWithoutCheckpoint(pl.LightningModule):
    """Returned what to save, once."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        self.vocabulary = {"a": 1}

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_save_checkpoint(self):  # FAULT: SavesWithoutCheckpoint
        return {"vocabulary": self.vocabulary}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SchedulerStepOfOldTimes(pl.LightningModule):
    """optimizer_idx went with Lightning 2.0."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]

    def lr_scheduler_step(self, scheduler, optimizer_idx, metric):  # FAULT: SchedulerStepOfOldTimes
        scheduler.step()


class EndsEveryEpochEarly(pl.LightningModule):
    """A limit for debugging that stayed."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def on_train_batch_start(self, batch, batch_idx):  # FAULT: EndsEveryEpochEarly
        if batch_idx >= 2:
            return -1

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AsksForGpusWhenTesting(pl.LightningModule):
    """Trainer.gpus went with 2.0; the line is reached when training is over."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        devices = self.trainer.gpus or 1  # FAULT: AsksForGpusWhenTesting
        self.log("test_loss", F.mse_loss(self.net(batch[0]), batch[1]) / devices)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class StopsByAStranger(pl.LightningModule):
    """The callback comes from the other package."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        x = torch.randn(32, 4)
        self.data = TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=8)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_callbacks(self):  # FAULT: StopsByAStranger
        from lightning.pytorch.callbacks import EarlyStopping

        return [EarlyStopping("train_loss", check_on_train_epoch_end=True)]

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


EXPECTED = {
    "CountsEpochsInARemovedHook": {
        "fault": "legacy-hook-ignored",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "x: float[8,8], y: int[8]<3",
        "words": ["on_epoch_end", "removed in Lightning 1.8", "on_train_epoch_end"],
    },
    "GathersInStepEnd": {
        "fault": "legacy-hook-ignored",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "signal: float[6,2,9], target: float[6,1]",
        "words": ["validation_step_end", "removed in Lightning 2.0", "on_validation_batch_end"],
        "since": (2, 0),
    },
    "LossMadeInStepEnd": {
        "fault": "training_step_end-loss",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "x: float[6,6], y: int[6]<2",
        "words": ["training_step_end", "removed in Lightning 2.0"],
        "since": (2, 0),
    },
    "AlmostTheHook": {
        "fault": "hook-name-typo",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "{tokens: int[6,5]<30, label: int[6]<2}",
        "words": ["on_training_epoch_end", "Did you mean", "on_train_epoch_end"],
    },
    "HookOfACallback": {
        "fault": "hook-name-typo",
        "check": "every_hook_is_known",
        "severity": "error",
        "batch": "x: float[6,4], y: float[6,1]",
        "words": ["on_sanity_check_end", "callbacks alone"],
    },
    "BatchEndWithLoaderIndex": {
        "fault": "batch-hook-signature",
        "check": "hook_signatures_fit",
        "severity": "error",
        "batch": "x: float[6,5], y: int[6]<2",
        "words": ["on_train_batch_end", "dataloader_idx"],
    },
    "TestBatchEndWithLoaderIndex": {
        "fault": "eval-dataloader_idx-signature",
        "check": "hook_signatures_fit",
        "severity": "warning",
        "batch": "x: float[6,5], y: int[6]<2",
        "words": ["on_test_batch_end", "dataloader_idx"],
        "since": (2, 0),
    },
    "SetupWithoutStage": {
        "fault": "setup-teardown-signature",
        "check": "hook_signatures_fit",
        "severity": "error",
        "batch": "x: float[6,3], y: float[6,1]",
        "words": ["setup", "stage"],
    },
    "TransferWithoutIndex": {
        "fault": "transfer-hook-signature",
        "check": "hook_signatures_fit",
        "severity": "error",
        "batch": "x: float[6,3], y: float[6,1]",
        "words": ["transfer_batch_to_device", "2 arguments", "given 3"],
    },
    "SavesWithoutCheckpoint": {
        "fault": "on_save_checkpoint-signature",
        "check": "hook_signatures_fit",
        "severity": "error",
        "batch": "x: float[6,3], y: float[6,1]",
        "words": ["on_save_checkpoint", "0 arguments", "checkpoint"],
    },
    "SchedulerStepOfOldTimes": {
        "fault": "lr_scheduler_step-legacy-signature",
        "check": "hook_signatures_fit",
        "severity": "error",
        "batch": "x: float[6,3], y: float[6,1]",
        "words": ["lr_scheduler_step", "metric"],
        "since": (2, 0),
    },
    "EndsEveryEpochEarly": {
        "fault": "train_batch_start-returns--1",
        "check": "batches_are_not_skipped",
        "severity": "warning",
        "batch": "x: float[6,6], y: float[6,1]",
        "words": ["2 of 4", "-1"],
    },
    "AsksForGpusWhenTesting": {
        "fault": "removed-trainer-attribute",
        "check": "trainer_api_is_current",
        "severity": "warning",
        "batch": "x: float[6,6], y: float[6,1]",
        "words": ["self.trainer.gpus", "no such attribute"],
        "since": (2, 0),
    },
    "StopsByAStranger": {
        "fault": "two-lightnings",
        "check": "one_lightning",
        "severity": "warning",
        "words": ["EarlyStopping", "lightning"],
        "since": (2, 0),
    },
}
