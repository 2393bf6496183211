"""Steps that change more than parameters: each attempt must find everything as it was."""

from __future__ import annotations

import collections
import os
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from hostile.common import Small, found
from torch import nn

HISTORY: list[int] = []


class Meter:
    def __init__(self):
        self.total, self.values = 0, []

    def update(self, value):
        self.total += 1
        self.values.append(value)


@found()
class CountsItsCalls(Small):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def training_step(self, batch, batch_idx):
        self.calls += 1
        assert self.calls <= 4, "called more often than there are batches"
        x, y = batch
        return self.loss(x, y)


@found()
class KeepsNestedHistory(Small):
    def __init__(self):
        super().__init__()
        self.history = {"losses": [], "deep": {"steps": [0], "names": {"a"}}}

    def training_step(self, batch, batch_idx):
        self.history["deep"]["steps"].append(batch_idx)
        self.history["deep"]["names"].add(str(len(self.history["deep"]["steps"])))
        assert len(self.history["deep"]["steps"]) <= 5
        assert len(self.history["deep"]["names"]) <= 5
        x, y = batch
        loss = self.loss(x, y)
        self.history["losses"].append(loss.detach())
        return loss


@found()
class KeepsAQueue(Small):
    def __init__(self):
        super().__init__()
        self.queue = collections.deque(maxlen=100)
        self.counts = collections.Counter()
        self.by_kind = collections.defaultdict(list)

    def training_step(self, batch, batch_idx):
        self.queue.append(batch_idx)
        self.counts["steps"] += 1
        self.by_kind["train"].append(1)
        assert len(self.queue) == self.counts["steps"] == len(self.by_kind["train"]) <= 4
        x, y = batch
        return self.loss(x, y)


@found()
class KeepsAMeter(Small):
    def __init__(self):
        super().__init__()
        self.meter, self.meters = Meter(), {"inner": [Meter()]}

    def training_step(self, batch, batch_idx):
        self.meter.update(batch_idx)
        self.meters["inner"][0].update(batch_idx)
        assert self.meter.total == len(self.meters["inner"][0].values) <= 4
        x, y = batch
        return self.loss(x, y)


@found()
class KeepsAnArray(Small):
    def __init__(self):
        super().__init__()
        self.array, self.loose = np.zeros(2), [torch.zeros(2)]

    def training_step(self, batch, batch_idx):
        self.array += 1
        self.loose[0] += 1
        assert self.array[0] <= 4 and self.loose[0][0] <= 4
        x, y = batch
        return self.loss(x, y)


@found()
class WritesFiles(Small):
    def training_step(self, batch, batch_idx):
        with (Path(self.trainer.default_root_dir) / "steps.txt").open("a") as file:
            file.write(f"{batch_idx}\n")
        x, y = batch
        return self.loss(x, y)


@found()
class AppendsToGlobals(Small):
    def training_step(self, batch, batch_idx):
        HISTORY.append(batch_idx)
        type(self).steps = getattr(type(self), "steps", 0) + 1
        x, y = batch
        return self.loss(x, y)


@found()
class ChangesTheProcess(Small):
    def training_step(self, batch, batch_idx):
        assert "HOSTILE" not in os.environ or batch_idx
        assert torch.get_default_dtype() is torch.float32 or batch_idx
        assert Path.cwd() != Path(self.trainer.default_root_dir).resolve() or batch_idx
        os.environ["HOSTILE"] = "1"
        os.chdir(self.trainer.default_root_dir)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(0), random.seed(0), np.random.seed(0)
        torch.use_deterministic_algorithms(True)
        x, y = batch
        loss = self.loss(x, y)
        torch.set_grad_enabled(True)
        return loss


@found()
class TurnsGradientsOff(Small):
    def training_step(self, batch, batch_idx):
        assert torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        x, y = batch
        torch.set_grad_enabled(True)
        return self.loss(x, y)


@found()
class Prints(Small):
    def training_step(self, batch, batch_idx):
        print("step", batch_idx)
        warnings.warn("a warning of the step")
        x, y = batch
        return self.loss(x, y)


class TwoOptimizers(Small):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.second = nn.Linear(3, 2)

    def configure_optimizers(self):
        return [torch.optim.SGD(self.layer.parameters(), lr=0.1), torch.optim.Adam(self.second.parameters())]


@found()
class LeavesAnOptimizerToggled(TwoOptimizers):
    def training_step(self, batch, batch_idx):
        assert all(p.requires_grad for p in self.parameters()) or batch_idx
        first, _ = self.optimizers()
        self.toggle_optimizer(first)
        x, y = batch
        loss = self.loss(x, y)
        first.zero_grad()
        self.manual_backward(loss)
        first.step()


@found()
class TogglesAndUntoggles(TwoOptimizers):
    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            self.toggle_optimizer(optimizer)
            x, y = batch
            loss = self.loss(x, y) + nn.functional.cross_entropy(self.second(x), y)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)


@found()
class AddsAGroupToItsOptimizer(TwoOptimizers):
    def training_step(self, batch, batch_idx):
        first, _ = self.optimizers()
        if len(first.param_groups) == 1:
            first.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
            first.param_groups[0]["lr"] = 0.01
        assert batch_idx or len(first.param_groups) == 2
        x, y = batch
        loss = self.loss(x, y)
        first.zero_grad()
        self.manual_backward(loss)
        first.step()


@found()
class FreezesItself(Small):
    def training_step(self, batch, batch_idx):
        assert self.layer.bias.requires_grad or batch_idx
        self.layer.bias.requires_grad_(False)
        x, y = batch
        return self.loss(x, y)


@found()
class WritesThroughData(Small):
    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.layer.weight.fill_(1.0)

    def training_step(self, batch, batch_idx):
        assert batch_idx or bool((self.layer.weight == 1).all())
        self.layer.weight.data.mul_(0.5)
        x, y = batch
        return self.loss(x, y)


@found()
class GrowsLayersAndHooks(Small):
    def training_step(self, batch, batch_idx):
        assert batch_idx or (not self.layer._forward_hooks and not hasattr(self, "late"))
        self.layer.register_forward_hook(lambda *args: None)
        self.late = nn.Linear(1, 1)
        x, y = batch
        return self.loss(x, y)


@found(["x: float[B,3], y: int[B]<2", "x: double[B,3], y: int[B]<2"])
class FixesItsDtypeAtTheFirstBatch(Small):
    def __init__(self):
        super().__init__()
        self.dtype_of_data = None

    def training_step(self, batch, batch_idx):
        x, y = batch
        if self.dtype_of_data is None:
            self.dtype_of_data = x.dtype
            self.to(x.dtype)
        assert x.dtype == self.dtype_of_data
        return self.loss(x, y)


@found()
class TurnsDouble(Small):
    def training_step(self, batch, batch_idx):
        assert batch_idx or self.layer.weight.dtype == torch.float32
        self.double()
        x, y = batch
        loss = self.loss(x.double(), y)
        self.float()
        return loss


@found()
class LeavesAThread(Small):
    def training_step(self, batch, batch_idx):
        threading.Thread(target=lambda: None, daemon=True).start()
        x, y = batch
        return self.loss(x, y)


@found()
class LooksAtItsDataInThreads(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        with ThreadPoolExecutor(2) as pool:
            sizes = list(pool.map(len, [x, y]))
        assert sizes[0] == sizes[1]
        return self.loss(x, y)


@found()
class CountsInstances(Small):
    instances = 0

    def __init__(self):
        super().__init__()
        type(self).instances += 1
        self.number = type(self).instances

    def training_step(self, batch, batch_idx):
        assert self.number == type(self).instances
        x, y = batch
        return self.loss(x, y)


@found()
class SetsTheDefaultDtypeAtItsConstruction(Small):
    def __init__(self):
        super().__init__()
        torch.set_default_dtype(torch.float64)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x.float(), y)
