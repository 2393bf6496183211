"""Steps whose way depends on the batch: on its type, its length, its values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hostile.common import PAIR, Small, found

DICT = "{x: float[B,3], y: int[B]<2}"
SINGLE = "float[B,3]"


@found()
class ScalesALargeLoss(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        if loss.item() > 0.5:
            loss = loss * 0.5
        return loss


@found()
class WantsAPositiveLabel(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        if (y == 1).any():
            loss = loss + self.layer(x[y == 1]).pow(2).mean()
        return loss


@found()
class SkipsWithoutPositives(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        if not (y > 0).any():
            return None
        return self.loss(x, y)


@found()
class SkipsSmallBatches(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        if x.shape[0] < 4:
            return None
        return self.loss(x, y)


@found()
class SkipsNotFinite(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        if not torch.isfinite(loss):
            return None
        return loss


@found([PAIR, "float[B,3], int[B]<2", DICT, SINGLE])
class AsksForDictOrTuple(Small):
    def training_step(self, batch, batch_idx):
        if isinstance(batch, dict):
            x, y = batch["x"], batch["y"]
        elif isinstance(batch, (tuple, list)):
            x, y = batch
        else:
            x, y = batch, torch.zeros(len(batch), dtype=torch.long)
        return self.loss(x, y)


@found([SINGLE, "float[B,3], float[B]"])
class TakesTheFirstOfASequence(Small):
    def training_step(self, batch, batch_idx):
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        return self.layer(x).pow(2).mean()


@found([PAIR, "float[B,3], int[B]<2", DICT])
class RefusesATensor(Small):
    def training_step(self, batch, batch_idx):
        if isinstance(batch, torch.Tensor):
            raise TypeError("a batch of pairs is needed")
        x, y = batch
        return self.loss(x, y)


@found(["x: float[B,3], y: int[B]<2", "float[B,3], int[B]<2"])
class AsksForALength(Small):
    def training_step(self, batch, batch_idx):
        if len(batch) == 3:
            x, y, weight = batch
            return (F.cross_entropy(self.layer(x), y, reduction="none") * weight).mean()
        x, y = batch
        return self.loss(x, y)


@found([PAIR, "float[B,3], int[B]<2"])
class InsistsOnATuple(Small):
    def training_step(self, batch, batch_idx):
        assert isinstance(batch, (tuple, list)), f"expected a tuple or list, got {type(batch).__name__}"
        x, y = batch
        return self.loss(x, y)


@found([DICT])
class InsistsOnADict(Small):
    def training_step(self, batch, batch_idx):
        if not isinstance(batch, dict):
            raise TypeError(f"batch must be a dict, got {type(batch).__name__}")
        return self.loss(batch["x"], batch["y"])


@found()
class InsistsOnTensors(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        if not torch.is_tensor(x) or not isinstance(y, torch.Tensor):
            raise TypeError("tensors are needed")
        return self.loss(x, y)


@found([PAIR, "float[B,3], int[B]<2"])
class MatchesAPattern(Small):
    def training_step(self, batch, batch_idx):
        match batch:
            case (x, y):
                return self.loss(x, y)
            case {"x": x, "y": y}:
                return self.loss(x, y)
            case _:
                raise TypeError("no pattern matches")


@found([DICT])
class LooksForKeys(Small):
    def training_step(self, batch, batch_idx):
        if "x" not in batch:
            raise KeyError("x")
        return self.loss(batch["x"], batch["y"])
