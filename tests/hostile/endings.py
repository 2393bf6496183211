"""Steps that do not end, or not by returning."""

from __future__ import annotations

import queue
import subprocess
import sys
import time

from hostile.common import Small


class WaitsForAPositiveSum(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        while not x.pow(2).sum() < 0:
            x = x * 1.0
        return loss


class TriesForEver(Small):
    def training_step(self, batch, batch_idx):
        while True:
            try:
                x, y, z = batch["nothing"].wrong
                return self.loss(x, y)
            except:  # noqa: E722
                pass


class SwallowsInALoopOfCalls(Small):
    def once(self, batch):
        try:
            sum(range(1000))
        except:  # noqa: E722
            return None

    def training_step(self, batch, batch_idx):
        while True:
            self.once(batch)


class Sleeps(Small):
    def training_step(self, batch, batch_idx):
        time.sleep(60)


class WaitsForAQueue(Small):
    def training_step(self, batch, batch_idx):
        queue.Queue().get()


class WaitsForAProcess(Small):
    def training_step(self, batch, batch_idx):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])


class SlowConstructor(Small):
    def __init__(self):
        super().__init__()
        time.sleep(60)

    def training_step(self, batch, batch_idx): ...


class Exits(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        sys.exit(3)


class Recurses(Small):
    def training_step(self, batch, batch_idx):
        return self.training_step(batch, batch_idx + 1)


class Stop(BaseException):
    """No ``Exception``."""


class RaisesABaseException(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        raise Stop("enough")


class Interrupted(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        raise KeyboardInterrupt


class OnlyOneInstance(Small):
    instances = 0

    def __init__(self):
        super().__init__()
        type(self).instances += 1
        if type(self).instances > 1:
            raise RuntimeError("there can be only one")

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y)
