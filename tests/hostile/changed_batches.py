"""Steps that change the batch that they are given."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hostile.common import Small, found

DICT = "{x: float[B,3], y: int[B]<2}"


@found("{y: int[B]<2, x: float[B,3]}")
class PopsAKey(Small):
    def training_step(self, batch, batch_idx):
        y = batch.pop("y")
        return self.loss(batch["x"], y)


@found(DICT)
class DeletesAKey(Small):
    def training_step(self, batch, batch_idx):
        x = batch["x"]
        del batch["x"]
        assert "x" not in batch
        return self.loss(x, batch["y"])


@found(DICT)
class AddsKeys(Small):
    def training_step(self, batch, batch_idx):
        batch["scaled"] = batch["x"] * 2
        batch.update(labels=batch["y"])
        return self.loss(batch["scaled"], batch["labels"])


@found(DICT)
class ReplacesAKey(Small):
    def training_step(self, batch, batch_idx):
        batch["x"] = batch["x"] + 1
        return self.loss(batch["x"], batch["y"])


@found(DICT)
class ClearsTheBatch(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch["x"], batch["y"]
        batch.clear()
        return self.loss(x, y)


@found()
class WritesIntoItsInput(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        x.add_(0.1)
        x[:, 0] = 0
        x /= 2
        return self.loss(x, y)


@found(["x: float[B,3], y: int[B] in 1..2"])
class CountsLabelsFromOne(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        y.sub_(1)
        return self.loss(x, y)


@found(["x: float[B,3], y: int[B]<2", "float[B,3], int[B]<2"])
class AppendsToTheBatch(Small):
    def training_step(self, batch, batch_idx):
        batch = list(batch)
        batch.append(torch.ones(len(batch[0])))
        x, y, weight = batch
        return (F.cross_entropy(self.layer(x), y, reduction="none") * weight).mean()


@found()
class DifferentiatesByItsInput(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        x.requires_grad_(True)
        loss = self.loss(x, y)
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return loss + gradient.pow(2).sum()


@found()
class ShufflesInPlace(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        order = torch.randperm(len(y))
        x.copy_(x[order]), y.copy_(y[order])
        return self.loss(x, y)
