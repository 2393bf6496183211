"""Keys, metric objects, collected outputs, monitors and seeds that look wrong at a glance."""

from collections import deque

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from torch import nn
from torchmetrics import MaxMetric, MeanMetric, MetricCollection, SumMetric
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy, MulticlassRecall


class LogsTemperatureInBothLoops(L.LightningModule):
    """A learned temperature and the learning rate are what they are in either loop."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(5, 4)
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    def _loss(self, batch):
        a, b = batch
        similarity = F.normalize(self.left(a)) @ F.normalize(self.right(b)).t() * self.log_scale.exp()
        self.log("scale", self.log_scale.exp())
        if self.trainer.optimizers:
            self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return F.cross_entropy(similarity, torch.arange(len(a), device=a.device))

    def training_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._loss(batch))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class ForwardLogsTwiceAlike(L.LightningModule):
    """Two views go through a ``forward`` that logs; the arguments are the same."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        z = self.net(x)
        self.log("spread", z.std(), on_step=False, on_epoch=True)
        return z

    def training_step(self, batch, batch_idx):
        first, second = batch
        loss = 1 - F.cosine_similarity(self(first), self(second)).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TwoLoadersTwoKeys(L.LightningModule):
    """``add_dataloader_idx=False`` with a key for each loader."""

    names = ("clean", "noisy")

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx):
        x, y = batch
        key = f"val_loss_{self.names[dataloader_idx]}"
        self.log(key, F.cross_entropy(self.net(x), y), add_dataloader_idx=False)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsNumpyScalars(L.LightningModule):
    """NumPy's scalars, Python's integers, a tensor of one element."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv1d(2, 3, 3)

    def training_step(self, batch, batch_idx):
        signal, label = batch
        loss = F.cross_entropy(self.net(signal).mean(-1), label)
        self.log("train_loss", loss.reshape(1), on_step=False, on_epoch=True)
        self.log("power", np.float64(signal.pow(2).mean().item()))
        self.log("samples", float(len(label)), reduce_fx="sum", on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class WritesNormsBeside(L.LightningModule):
    """Curves that nobody monitors go to the logger alone."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_before_optimizer_step(self, optimizer):
        norms = {f"norm/{name}": p.grad.norm().item() for name, p in self.named_parameters() if p.grad is not None}
        self.logger.log_metrics(norms, step=self.global_step)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class WeighsByTokens(L.LightningModule):
    """A mean over tokens: the weight of a batch is not its number of samples."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.out = nn.Linear(8, 20)

    def _loss(self, batch):
        tokens, mask = batch["tokens"], batch["mask"].bool()
        logits = self.out(self.embed(tokens[:, :-1]))
        kept = mask[:, 1:]
        return F.cross_entropy(logits[kept], tokens[:, 1:][kept]), int(kept.sum())

    def training_step(self, batch, batch_idx):
        loss, _ = self._loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        loss, tokens = self._loss(batch)
        self.log("val_loss", loss, batch_size=tokens)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class BatchSecondAndSaysSo(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8)
        self.out = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        frames, label = batch
        loss = F.cross_entropy(self.out(self.rnn(frames)[0][-1]), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=frames.size(1))
        self.log("last_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        frames, label = batch
        loss = F.cross_entropy(self.out(self.rnn(frames)[0][-1]), label)
        self.log("val_loss", loss, batch_size=frames.size(1))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ListOfOwnMetrics(L.LightningModule):
    """A list of metrics that are attributes, too; and a ModuleDict."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.acc = MulticlassAccuracy(3)
        self.recall = MulticlassRecall(3)
        self.all_metrics = [self.acc, self.recall]
        self.more = nn.ModuleDict({"val_micro": MulticlassAccuracy(3, average="micro")})

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        for metric in self.all_metrics:
            metric.update(logits, y)
            self.log(f"val_{type(metric).__name__}", metric)
        for name, metric in self.more.items():
            metric(logits, y)
            self.log(name, metric)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class RemembersTheBest(L.LightningModule):
    """The best accuracy and the samples seen are meant to outlive an epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        self.val_acc = MulticlassAccuracy(3, average="micro")
        self.val_acc_best = MaxMetric()
        self.samples = SumMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.samples.update(len(y))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_start(self):
        self.val_acc.reset()
        self.val_acc_best.reset()

    def on_train_epoch_end(self):
        self.log("total_samples", self.samples.compute())

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_acc(self.net(x), y)
        self.log("val_acc", self.val_acc, on_step=False, on_epoch=True)

    def on_validation_epoch_end(self):
        self.val_acc_best(self.val_acc.compute())
        self.log("val_acc_best", self.val_acc_best.compute(), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ComputesAndResets(L.LightningModule):
    """By hand, with a collection; the training metric is reset when the next epoch starts."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 3)
        metrics = MetricCollection([MulticlassAccuracy(3), MulticlassRecall(3)])
        self.val_metrics = metrics.clone(prefix="val/")
        self.train_error = MeanMetric()

    def on_train_epoch_start(self):
        self.train_error.reset()

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.train_error.update((logits.argmax(1) != y).float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.log("train_error", self.train_error.compute())

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_metrics.update(self.net(x), y)

    def on_validation_epoch_end(self):
        self.log_dict(self.val_metrics.compute())
        self.val_metrics.reset()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsF1ByStep(L.LightningModule):
    """The value of a batch by step, and the object for the epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 1)
        self.train_f1 = BinaryF1Score()
        self.val_f1 = BinaryF1Score()

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("batch_f1", self.train_f1(logits, y), on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_f1(self.net(x)[:, 0], y)
        self.log("val_f1", self.val_f1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AveragesAccuracyOfSamples(L.LightningModule):
    """The weighted mean of the batches' accuracies is the accuracy of the epoch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.acc = MulticlassAccuracy(3, average="micro")

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_acc", self.acc(logits, y), on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class CollectsAndClears(L.LightningModule):
    """Outputs are cleared where the next validation starts; a history of floats is kept for a plot."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 2)
        self.outputs = {"logits": [], "labels": []}
        self.history, self.losses = [], []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.losses.append(loss.item())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self):
        for values in self.outputs.values():
            values.clear()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.outputs["logits"].append(self.net(x))
        self.outputs["labels"].append(y)

    def on_validation_epoch_end(self):
        logits, labels = (torch.cat(self.outputs[key]) for key in ("logits", "labels"))
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.history.append(accuracy.item())
        self.log("val_acc", accuracy)

    def on_train_end(self):
        self.summary = {"best": max(self.history), "lowest_loss": min(self.losses)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class CountsAndSetsBack(L.LightningModule):
    """Hits of an epoch; and a number of samples that is meant to grow."""

    def __init__(self, total: int = 1000):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.total, self.seen = total, 0
        self.hits = self.samples = 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.hits += (logits.argmax(1) == y).sum()
        self.samples += len(y)
        self.seen += len(y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.log("train_acc", self.hits / self.samples)
        self.log("samples_seen", float(self.seen))
        self.hits = self.samples = 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ReplaysAndRemembers(L.LightningModule):
    """A replay buffer, a bounded bank, and a smoothed curve over the newest entries."""

    def __init__(self, capacity: int = 12):
        super().__init__()
        self.capacity = capacity
        self.net = nn.Linear(6, 6)
        self.replay, self.bank, self.recent = [], deque(maxlen=16), []

    def training_step(self, x, batch_idx):
        self.replay.extend(x.detach().unbind())
        while len(self.replay) > self.capacity:
            self.replay.pop(0)
        self.bank.append(x.detach().mean(0))
        old = torch.stack(self.replay)
        loss = F.mse_loss(self.net(old), old)
        self.recent.append(loss.item())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.log("bank_norm", torch.stack(list(self.bank)).norm())
        self.log("smooth", float(np.mean(self.recent[-4:])))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class BringsItsCallbacks(L.LightningModule):
    """Monitors of a forked key, of a validation metric, and of the learning rate."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def configure_callbacks(self):
        return [
            EarlyStopping("val_loss", patience=5),
            ModelCheckpoint(monitor="train_loss", save_top_k=1),
            LearningRateMonitor(),
        ]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("val_loss", loss)
        self.log("val_loss_of_batch", loss, on_step=True, on_epoch=False)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "train_loss_epoch"}}


class HandsOverParts(L.LightningModule):
    """A hook and a method from outside, names that are nearly Lightning's."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        self.forward = self.net.forward
        self.on_train_start = self._say
        self.logs, self.devices, self.metrics, self.loss = {}, ["cpu"], {}, nn.CrossEntropyLoss()

    def _say(self):
        self.logs["started"] = True

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(self.forward(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class FixedNoiseInAFork(L.LightningModule):
    """The same noise for each validation, and the generator of training as it was."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 8))
        torch.manual_seed(3)
        nn.init.normal_(self.net[0].weight, std=0.2)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.net(x + 0.3 * torch.randn_like(x)), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, x, batch_idx):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1234 + batch_idx)
            noise = torch.randn_like(x)
        self.log("val_loss", F.mse_loss(self.net(x + 0.3 * noise), x))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class PutsTheStateBack(L.LightningModule):
    """By hand what ``fork_rng`` does; and generators of its own, seeded."""

    def __init__(self, seed: int = 5):
        super().__init__()
        self.net = nn.Linear(8, 8)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def _probe(self, x):
        state = torch.get_rng_state()
        torch.manual_seed(0)
        directions = torch.randn(3, x.size(1))
        torch.set_rng_state(state)
        return directions

    def training_step(self, x, batch_idx):
        keep = torch.from_numpy(self.rng.random(tuple(x.shape)) > 0.2).to(x)
        noise = torch.randn(x.shape, generator=self.generator).to(x)
        loss = F.mse_loss(self.net(x * keep + 0.1 * noise), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("probe", (x @ self._probe(x).to(x).t()).std())
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


LEGITIMATE = {
    "LogsTemperatureInBothLoops": {"batch": "a: float[5,6], b: float[5,5]"},
    "ForwardLogsTwiceAlike": {"batch": "first: float[5,8], second: float[5,8]"},
    "TwoLoadersTwoKeys": {"batch": "x: float[5,7], y: int[5]<2"},
    "LogsNumpyScalars": {"batch": "signal: float[5,2,9], label: int[5]<3"},
    "WritesNormsBeside": {"batch": "x: float[5,6], y: int[5]<2", "since": (2, 0)},
    "WeighsByTokens": {"batch": "{tokens: int[5,7]<20, mask: int[5,7] in 1..1}"},
    "BatchSecondAndSaysSo": {"batch": "frames: float[7,B,3], label: int[B]<2"},
    "ListOfOwnMetrics": {"batch": "x: float[5,8], y: int[5]<3"},
    "RemembersTheBest": {"batch": "x: float[5,8], y: int[5]<3"},
    "ComputesAndResets": {"batch": "x: float[5,9], y: int[5]<3"},
    "LogsF1ByStep": {"batch": "x: float[5,8], y: int[5]<2"},
    "AveragesAccuracyOfSamples": {"batch": "x: float[5,8], y: int[5]<3"},
    "CollectsAndClears": {"batch": "x: float[5,8], y: int[5]<2"},
    "CountsAndSetsBack": {"batch": "x: float[5,6], y: int[5]<3"},
    "ReplaysAndRemembers": {"batch": "float[5,6]"},
    "BringsItsCallbacks": {"batch": "x: float[5,6], y: int[5]<2", "on_ranks": ["monitored_metrics_are_reduced"]},
    "HandsOverParts": {"batch": "x: float[5,6], y: int[5]<2"},
    "FixedNoiseInAFork": {"batch": "float[5,8]"},
    "PutsTheStateBack": {"batch": "float[5,8]"},
}
