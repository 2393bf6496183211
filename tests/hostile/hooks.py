"""Hooks between the batch and the step."""

from __future__ import annotations

import warnings

import torch
from hostile.common import Small, found
from torch import nn


@found()
class SkipsEveryBatch(Small):
    def on_train_batch_start(self, batch, batch_idx):
        return -1

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)


@found()
class LooksAtTheBatchFirst(Small):
    def on_train_batch_start(self, batch, batch_idx):
        x, y = batch
        assert x.shape[0] == y.shape[0]

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)


@found()
class TransfersByHand(Small):
    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        x, y = batch
        return x.to(device), y.to(device)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)


@found()
class TurnsAPairIntoADict(Small):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return {"x": x, "y": y, "mask": torch.ones(len(x), 1)}

    def training_step(self, batch, batch_idx):
        return self.loss(batch["x"] * batch["mask"], batch["y"])


@found()
class TurnsAPairIntoADictWithWeights(Small):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return {"x": x, "y": y, "weights": torch.ones(len(x))}

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.layer(batch["x"]), batch["y"], reduction="none")
        return (loss * batch["weights"]).mean()


@found("{x: float[B,3], y: int[B]<2}")
class AddsAField(Small):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        batch["noise"] = torch.randn_like(batch["x"])
        return batch

    def training_step(self, batch, batch_idx):
        return self.loss(batch["x"] + batch["noise"], batch["y"])


@found()
class Normalises(Small):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.training:
            x, y = batch
            return (x - x.mean()) / (x.std() + 1e-5), y
        return batch

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)


@found()
class HasNoOptimizer(Small):
    def configure_optimizers(self):
        return None

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)


@found()
class TakesWarningsForErrors(Small):
    def training_step(self, batch, batch_idx):
        warnings.simplefilter("error")
        x, y = batch
        loss = self.loss(x, y)
        self.log("train_loss", loss)
        return loss


@found()
class StopsTheTrainer(Small):
    def training_step(self, batch, batch_idx):
        self.trainer.should_stop = True
        x, y = batch
        return self.loss(x, y)


@found()
class LogsUnderChangingNames(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        self.log(f"loss_{x.dim()}_{x.shape[-1]}", loss, on_epoch=True)
        self.log("train_loss", loss, on_step=x.shape[0] == 5, on_epoch=True)
        return loss


@found()
class TakesTheIterator(Small):
    def training_step(self, dataloader_iter):
        batch, _, _ = next(dataloader_iter)
        x, y = batch
        return self.loss(x, y)
