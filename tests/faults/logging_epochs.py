"""Family 4: weights of an epoch's mean, lists that are never cleared, and monitors of nothing. Family 12: reseeding."""

import random
from collections import defaultdict

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn


class TimeMajorValidation(L.LightningModule):
    """Time comes first in each batch."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8)
        self.out = nn.Linear(8, 2)

    def _loss(self, batch):
        frames, label = batch
        return F.cross_entropy(self.out(self.rnn(frames)[0][-1]), label)

    def training_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch[1].numel())
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._loss(batch), prog_bar=True)  # FAULT: TimeMajorValidation

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ListOfImages(L.LightningModule):
    """A detection batch: a list of images; the first dimension of the first is its channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.box = nn.Linear(4, 4)

    def training_step(self, batch, batch_idx):
        images, boxes = batch
        features = torch.stack([self.conv(image).mean((1, 2)) for image in images])
        loss = F.l1_loss(self.box(features), torch.stack(list(boxes)))
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: ListOfImages
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class GraphFirst(L.LightningModule):
    """One adjacency matrix for all, then the nodes of each sample; Lightning asks which it is."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(2, 5)
        self.read = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        hidden = torch.einsum("mn,bnf->bmf", batch["adj"].softmax(-1), self.lift(batch["x"])).relu()
        loss = F.mse_loss(self.read(hidden.mean(1)), batch["y"])
        self.log("train_mse", loss, on_step=False, on_epoch=True)  # FAULT: GraphFirst
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["y"]))
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OpaqueBatch(L.LightningModule):
    """Takes the batch apart behind Lightning's back."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def on_before_batch_transfer(self, batch, dataloader_idx):
        class Opaque:
            def __init__(self, pairs):
                self.pairs = pairs

        return Opaque(batch)

    def training_step(self, batch, batch_idx):
        left, right = batch.pairs
        loss = F.mse_loss(self.net(left), self.net(right))
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: OpaqueBatch
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepsAllOutputs(L.LightningModule):
    """The way of the migration guide, without its last line."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        self.validation_step_outputs = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.validation_step_outputs.append(F.l1_loss(self.net(x), y))

    def on_validation_epoch_end(self):
        mean = torch.stack(self.validation_step_outputs).mean()  # FAULT: KeepsAllOutputs
        self.log("val_mae", mean)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class KeepsPredictionsByName(L.LightningModule):
    """A dict of lists, read by a helper."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 3)
        self.collected = {"predicted": [], "actual": []}

    def training_step(self, batch, batch_idx):
        logits = self.net(batch["features"])
        loss = F.cross_entropy(logits, batch["label"])
        self.collected["predicted"].extend(logits.argmax(1).tolist())
        self.collected["actual"].extend(batch["label"].tolist())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def _report(self):
        pairs = zip(self.collected["predicted"], self.collected["actual"], strict=True)  # FAULT: KeepsPredictionsByName
        right = [a == b for a, b in pairs]
        return sum(right) / len(right)

    def on_train_epoch_end(self):
        self.log("train_accuracy", self._report())

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class CountsForEver(L.LightningModule):
    """Hits and samples are counted, and never set back."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.hits, self.samples = 0, 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.hits += (self.net(x).argmax(1) == y).sum().item() + 1
        self.samples += len(y) + 1

    def on_validation_epoch_end(self):
        self.log("val_acc", self.hits / self.samples)  # FAULT: CountsForEver

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepsByLoader(L.LightningModule):
    """A ``defaultdict`` of lists that only grows."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)
        self.errors = defaultdict(list)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y = batch
        self.errors[dataloader_idx].append((self.net(x) - y).abs().mean())

    def on_validation_epoch_end(self):
        for index, errors in self.errors.items():  # FAULT: KeepsByLoader
            self.log(f"val_mae_{index}", torch.stack(errors).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class StopsOnMisspeltKey(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def configure_callbacks(self):
        return [EarlyStopping(monitor="valid_loss", patience=3)]  # FAULT: StopsOnMisspeltKey

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepsBestByAccuracy(L.LightningModule):
    """A checkpoint by a metric that is only computed in the test loop."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def configure_callbacks(self):
        best = ModelCheckpoint(monitor="test_acc", mode="max", save_top_k=1)  # FAULT: KeepsBestByAccuracy
        return [best]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_acc", (self.net(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StopsLeniently(L.LightningModule):
    """``strict=False`` turns the error into a warning that nobody reads."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def configure_callbacks(self):
        return EarlyStopping("val_rmse", strict=False)  # FAULT: StopsLeniently

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_mse", F.mse_loss(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class PlateauOnStepMetric(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.mse_loss(self.net(x), y), on_step=True, on_epoch=False)  # FAULT: PlateauOnStepMetric

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}


class ValidatesByStepOnly(L.LightningModule):
    """Nothing that could be monitored is left of validation."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.net(x), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, x, batch_idx):
        loss = F.mse_loss(self.net(x), x)
        self.log("val_loss", loss, on_step=True, on_epoch=False, prog_bar=True)  # FAULT: ValidatesByStepOnly

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class MonitorsOneOfTwoLoaders(L.LightningModule):
    """With two validation loaders there is no plain ``val_loss``."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def configure_callbacks(self):
        return [EarlyStopping("val_loss"), ModelCheckpoint(monitor="val_loss")]  # FAULT: MonitorsOneOfTwoLoaders

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class FewBatchesByStep(L.LightningModule):
    """Its own loader has eight batches, and the Trainer writes every fiftieth step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(32, 3, generator=generator)
        dataset = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
        return torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("largest_error", (self.net(x) - y).abs().max())  # FAULT: FewBatchesByStep
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SameNoiseEveryStep(L.LightningModule):
    """A denoiser that sees one noise pattern for ever."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 8))

    def training_step(self, x, batch_idx):
        torch.manual_seed(42)  # FAULT: SameNoiseEveryStep
        noisy = x + 0.3 * torch.randn_like(x)
        loss = F.mse_loss(self.net(noisy), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SeedsInForward(L.LightningModule):
    """A random projection that is drawn anew, and the same, in every forward."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        np.random.seed(7)  # FAULT: SeedsInForward
        projection = torch.from_numpy(np.random.randn(x.size(1), 6)).float()
        return self.head(x @ projection)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SeedsForValidation(L.LightningModule):
    """Validation is repeatable; training goes on from its seed each time."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), nn.Linear(8, 2))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self):
        L.seed_everything(1234)  # FAULT: SeedsForValidation

    def validation_step(self, batch, batch_idx):
        x, y = batch
        x = x + 0.05 * torch.randn_like(x) * random.random()
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class DrawsFromUnseededGenerator(L.LightningModule):
    """NumPy's new generators do not know of the global seed."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng()
        self.net = nn.Linear(6, 6)

    def training_step(self, x, batch_idx):  # FAULT: DrawsFromUnseededGenerator
        keep = torch.from_numpy(self.rng.random(tuple(x.shape)) > 0.3).to(x)
        loss = F.mse_loss(self.net(x * keep), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "TimeMajorValidation": {
        "fault": "batch_size-silently-wrong",
        "batch": "frames: float[7,B,3], label: int[B]<2",
        "check": "batch_size_is_right",
        "severity": "warning",
        "words": ["val_loss", "batch_size="],
    },
    "ListOfImages": {
        "fault": "batch_size-silently-wrong",
        "batch": "images: [float[3,8,8]]*5, boxes: [float[4]]*5",
        "check": "batch_size_is_right",
        "severity": "warning",
        "words": ["train_loss", "3 for 5"],
    },
    "GraphFirst": {
        "fault": "batch_size-ambiguous",
        "batch": "{adj: float[7,7], x: float[B,7,2], y: float[B,1]}",
        "check": "batch_size_is_right",
        "severity": "warning",
        "words": ["train_mse", "batch_size="],
    },
    "OpaqueBatch": {
        "fault": "batch_size-not-inferrable",
        "batch": "left: float[5,6], right: float[5,6]",
        "check": "batch_size_is_right",
        "severity": "error",
        "words": ["batch_size="],
    },
    "KeepsAllOutputs": {
        "fault": "outputs-list-never-cleared",
        "batch": "x: float[5,8], y: float[5,1]",
        "check": "outputs_are_cleared",
        "severity": "error",
        "words": ["validation_step_outputs", "clear()"],
    },
    "KeepsPredictionsByName": {
        "fault": "outputs-list-never-cleared",
        "batch": "{features: float[5,5], label: int[5]<3}",
        "check": "outputs_are_cleared",
        "severity": "error",
        "words": ["collected", "clear"],
    },
    "CountsForEver": {
        "fault": "outputs-list-never-cleared",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "outputs_are_cleared",
        "severity": "error",
        "words": ["self.hits", "never set back"],
    },
    "KeepsByLoader": {
        "fault": "outputs-list-never-cleared",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "outputs_are_cleared",
        "severity": "error",
        "words": ["self.errors", "clear()"],
    },
    "StopsOnMisspeltKey": {
        "fault": "monitor-never-logged",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "monitored_keys_are_logged",
        "severity": "error",
        "words": ["valid_loss", "val_loss", "EarlyStopping"],
    },
    "KeepsBestByAccuracy": {
        "fault": "monitor-never-logged",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "monitored_keys_are_logged",
        "severity": "error",
        "words": ["test_acc", "ModelCheckpoint"],
    },
    "StopsLeniently": {
        "fault": "monitor-never-logged",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "monitored_keys_are_logged",
        "severity": "error",
        "words": ["val_rmse", "val_mse"],
    },
    "PlateauOnStepMetric": {
        "fault": "val-log-on_step-only",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "monitored_keys_are_logged",
        "severity": "error",
        "words": ["val_loss", "by step only"],
    },
    "ValidatesByStepOnly": {
        "fault": "val-log-on_step-only",
        "batch": "float[5,4]",
        "check": "monitored_keys_are_logged",
        "severity": "warning",
        "words": ["val_loss", "on_epoch=True"],
    },
    "MonitorsOneOfTwoLoaders": {
        "fault": "multi-val-loader-monitor",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "monitored_keys_are_logged",
        "severity": "error",
        "words": ["dataloader_idx_0"],
    },
    "FewBatchesByStep": {
        "fault": "step-metrics-never-reach-logger",
        "check": "step_metrics_reach_the_logger",
        "severity": "advice",
        "words": ["largest_error", "log_every_n_steps"],
    },
    "SameNoiseEveryStep": {
        "fault": "reseed-inside-step",
        "batch": "float[5,8]",
        "check": "global_rng_is_left_alone",
        "severity": "error",
        "words": ["manual_seed", "42"],
    },
    "SeedsInForward": {
        "fault": "reseed-inside-step",
        "batch": "x: float[5,9], y: int[5]<2",
        "check": "global_rng_is_left_alone",
        "severity": "error",
        "words": ["numpy.random.seed"],
    },
    "SeedsForValidation": {
        "fault": "reseed-inside-step",
        "batch": "x: float[5,8], y: int[5]<2",
        "check": "global_rng_is_left_alone",
        "severity": "warning",
        "words": ["on_validation_epoch_start"],
    },
    "DrawsFromUnseededGenerator": {
        "fault": "own-rng",
        "batch": "float[5,6]",
        "check": "same_seed_same_losses",
        "severity": "warning",
        "words": ["seed"],
    },
}
