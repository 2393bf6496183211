"""Steps that catch what the search throws through them."""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from hostile.common import PAIR, Small, found


@found()
class CatchesException(Small):
    def training_step(self, batch, batch_idx):
        try:
            x, y = batch
            return self.loss(x, y)
        except Exception:
            return None


@found()
class CatchesEverythingAndReturnsAZero(Small):
    def training_step(self, batch, batch_idx):
        try:
            x, y = batch
            return self.loss(x, y)
        except:  # noqa: E722
            return self.layer.weight.sum() * 0


@found()
class CatchesAndReturnsATensorOfItsOwn(Small):
    def training_step(self, batch, batch_idx):
        try:
            x, y = batch
            loss = self.loss(x, y)
        except Exception as error:
            print("skipped:", error)
            loss = torch.zeros(1, requires_grad=True)
        self.log("train_loss", loss)
        return loss


@found()
class TriesThreeTimes(Small):
    def training_step(self, batch, batch_idx):
        for _ in range(3):
            try:
                x, y = batch
                return self.loss(x, y)
            except Exception:
                continue
        return None


@found()
class FinallyReturns(Small):
    def training_step(self, batch, batch_idx):
        loss = None
        try:
            x, y = batch
            loss = self.loss(x, y)
        finally:
            return loss  # noqa: B012


@found()
class SuppressesBaseException(Small):
    def training_step(self, batch, batch_idx):
        with contextlib.suppress(BaseException):
            x, y = batch
            return self.loss(x, y)


@found([PAIR, "{x: float[B,3], y: int[B]<2}"])
class TriesAnotherStructure(Small):
    def training_step(self, batch, batch_idx):
        try:
            x, y = batch
        except:  # noqa: E722
            x, y = batch["x"], batch["y"]
        return self.loss(x, y)


@found()
class RaisesAnErrorOfItsOwn(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        try:
            return self.loss(x, y)
        except Exception as error:
            raise RuntimeError("the step failed") from error


@found()
class RaisesAnErrorWithoutACause(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        try:
            return self.loss(x, y)
        except Exception:
            raise ValueError("bad batch") from None


@found()
class CatchesInForward(Small):
    def forward(self, x):
        try:
            return self.layer(x)
        except Exception:
            return torch.zeros(len(x), 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)


@found()
class CatchesInAContextManager(Small):
    @contextlib.contextmanager
    def guarded(self):
        try:
            yield
        except BaseException:
            self.failed = True

    def training_step(self, batch, batch_idx):
        loss = None
        with self.guarded():
            x, y = batch
            loss = self.loss(x, y)
        return loss
