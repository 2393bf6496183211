"""Family 4: an epoch's ``train_loss`` that is not the mean of the epoch's losses."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import MeanMetric


class LogsLastBatch(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        self.last_loss = None

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.last_loss = loss.detach()
        return loss

    def on_train_epoch_end(self):
        self.log("train_loss", self.last_loss)  # FAULT: LogsLastBatch

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsFirstBatch(pl.LightningModule):
    """Logs on the first batch of each epoch only, to save time."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 4)
        self.decoder = nn.Linear(4, 10)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(torch.tanh(self.encoder(x))), x)
        if batch_idx == 0:
            self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsFirstBatch
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


class LogsSumOfBatches(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 6, batch_first=True)
        self.out = nn.Linear(6, 1)
        self.running_loss = 0.0

    def training_step(self, batch, batch_idx):
        sequence, target = batch
        loss = F.l1_loss(self.out(self.gru(sequence)[0][:, -1]), target)
        self.running_loss += loss.item()
        return loss

    def on_train_epoch_end(self):
        self.log("train_loss", self.running_loss)  # FAULT: LogsSumOfBatches
        self.running_loss = 0.0

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ListNeverCleared(pl.LightningModule):
    """The second epoch's mean still holds the first epoch."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 4)
        self.step_losses = []

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.fc(batch["features"]), batch["label"])
        self.step_losses.append((loss.item(), len(batch["label"])))
        return loss

    def on_train_epoch_end(self):
        total = sum(value * size for value, size in self.step_losses)
        self.log("train_loss", total / sum(size for _, size in self.step_losses))  # FAULT: ListNeverCleared

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


class ReadsLoggedMetrics(pl.LightningModule):
    """``logged_metrics`` holds the last batch, not the epoch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.fc(self.conv(image).mean(dim=(2, 3))), label)
        self.log("batch_loss", loss)
        return loss

    def on_train_epoch_end(self):
        self.log("train_loss", self.trainer.logged_metrics["batch_loss"])  # FAULT: ReadsLoggedMetrics

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class CollectsInCallback(pl.LightningModule):
    """A callback of the module's own writes what it takes for the epoch mean."""

    class LossHistory(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            value = trainer.callback_metrics["step_loss"]
            pl_module.log("train_loss", value)  # FAULT: CollectsInCallback

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 1)

    def configure_callbacks(self):
        return [self.LossHistory()]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("step_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ReducesWithMax(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 6), nn.ELU(), nn.Linear(6, 2))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, reduce_fx="max")  # FAULT: ReducesWithMax
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ReducesWithSum(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(12, 4)
        self.item = nn.Embedding(20, 4)

    def training_step(self, batch, batch_idx):
        user, item, rating = batch
        loss = F.mse_loss((self.user(user) * self.item(item)).sum(-1), rating)
        self.log(  # FAULT: ReducesWithSum
            "train_loss", loss, on_step=False, on_epoch=True, reduce_fx=torch.sum
        )
        return loss

    def configure_optimizers(self):
        return torch.optim.Adagrad(self.parameters(), lr=0.1)


class LogsBatchSum(pl.LightningModule):
    """Multiplied by the batch size, and averaged by Lightning over the samples once more."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss * x.size(0), on_step=False, on_epoch=True)  # FAULT: LogsBatchSum
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsBeforePenalty(pl.LightningModule):
    """What is logged lacks the penalty that is trained on."""

    def __init__(self, weight: float = 0.1):
        super().__init__()
        self.weight = weight
        self.lasso = nn.Linear(14, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.lasso(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsBeforePenalty
        loss = loss + self.weight * self.lasso.weight.abs().sum()
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsSmoothedLoss(pl.LightningModule):
    """An exponential moving average is no epoch mean."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        self.smooth = None

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        value = loss.detach()
        self.smooth = value if self.smooth is None else 0.98 * self.smooth + 0.02 * value
        self.log("train_loss", self.smooth, on_step=False, on_epoch=True)  # FAULT: LogsSmoothedLoss
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class MeanOfBatchMeans(pl.LightningModule):
    """The last, smaller batch weighs as much as the others."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
        self.training_step_outputs = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.training_step_outputs.append(loss.detach())
        return loss

    def on_train_epoch_end(self):
        epoch_mean = torch.stack(self.training_step_outputs).mean()
        self.log("train_loss", epoch_mean)  # FAULT: MeanOfBatchMeans
        self.training_step_outputs.clear()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class TimeMajorBatch(pl.LightningModule):
    """Lightning takes the number of time steps for the batch size."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6)
        self.out = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        states, _ = self.lstm(x)
        loss = F.cross_entropy(self.out(states[-1]), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: TimeMajorBatch
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AdjacencyFirst(pl.LightningModule):
    """The first tensor of the batch is a fixed adjacency matrix."""

    def __init__(self, nodes: int = 7):
        super().__init__()
        self.lift = nn.Linear(2, 6)
        self.readout = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        adjacency = batch["adjacency"].softmax(dim=-1)
        hidden = torch.relu(self.lift(torch.einsum("mn,bnf->bmf", adjacency, batch["nodes"])))
        loss = F.mse_loss(self.readout(hidden.mean(dim=1)), batch["energy"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: AdjacencyFirst
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ConstantBatchSize(pl.LightningModule):
    """Tells Lightning the nominal batch size, for the smaller last batch too."""

    def __init__(self, batch_size: int = 32):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log(  # FAULT: ConstantBatchSize
            "train_loss", loss, on_epoch=True, batch_size=self.hparams.batch_size
        )
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsEverySecondBatch(pl.LightningModule):
    """Logs less often, and so logs something else."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        if batch_idx % 2 == 0:
            self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsEverySecondBatch
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaysBatchSizeOne(pl.LightningModule):
    """Silences Lightning's question for the batch size."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)  # FAULT: SaysBatchSizeOne
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsInValidationStep(pl.LightningModule):
    """The name of the training loss, in the validation loop alone."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("train_loss", F.cross_entropy(self.net(x), y))  # FAULT: LogsInValidationStep

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class MetricCountsBatchesAlike(pl.LightningModule):
    """A MeanMetric that is told the losses and not how many samples each stands for."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 3)
        self.train_loss = MeanMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.train_loss(loss)
        self.log("train_loss", self.train_loss, on_step=False, on_epoch=True)  # FAULT: MetricCountsBatchesAlike
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


EXPECTED = {
    "MetricCountsBatchesAlike": {
        "fault": "",
        "batch": "x: float[5,7], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["size", "weight"],
        "since": None,
        "until": None,
    },
    "LogsLastBatch": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "LogsFirstBatch": {
        "fault": "",
        "batch": "float[5,10]",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "LogsSumOfBatches": {
        "fault": "",
        "batch": "sequence: float[5,7,3], target: float[5,1]",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "ListNeverCleared": {
        "fault": "",
        "batch": "{features: float[5,12], label: int[5]<4}",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "ReadsLoggedMetrics": {
        "fault": "train_loss-per-step-only",
        "batch": "image: float[5,1,6,6], label: int[5]<2",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "CollectsInCallback": {
        "fault": "train_loss-per-step-only",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "ReducesWithMax": {
        "fault": "",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "ReducesWithSum": {
        "fault": "",
        "batch": "user: int[5]<12, item: int[5]<20, rating: float[5]",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["mean"],
        "since": None,
        "until": None,
    },
    "LogsBatchSum": {
        "fault": "",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "LogsBeforePenalty": {
        "fault": "",
        "batch": "x: float[5,14], y: float[5,1]",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": [],
        "since": None,
        "until": None,
    },
    "LogsSmoothedLoss": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<2",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": [],
        "since": None,
        "until": None,
    },
    "MeanOfBatchMeans": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["weight"],
        "since": None,
        "until": None,
    },
    "TimeMajorBatch": {
        "fault": "batch_size-silently-wrong",
        "batch": "x: float[7,B,4], y: int[B]<2",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["batch_size"],
        "since": None,
        "until": None,
    },
    "AdjacencyFirst": {
        "fault": "batch_size-ambiguous",
        "batch": "{adjacency: float[7,7], nodes: float[B,7,2], energy: float[B,1]}",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["batch_size"],
        "since": None,
        "until": None,
    },
    "ConstantBatchSize": {
        "fault": "",
        "batch": "x: float[5,6], y: int[5]<4",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["batch_size"],
        "since": None,
        "until": None,
    },
    "LogsEverySecondBatch": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["2 batches only"],
        "since": None,
        "until": None,
    },
    "SaysBatchSizeOne": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "warning",
        "words": ["batch_size=1", 'self.log("train_loss", loss, on_step=False, on_epoch=True)'],
        "since": None,
        "until": None,
    },
    "LogsInValidationStep": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_is_epoch_mean",
        "severity": "error",
        "words": ["validation"],
        "since": None,
        "until": None,
    },
}
