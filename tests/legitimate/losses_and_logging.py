"""Losses and ``train_loss`` reported in every right way but the plain one."""

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchmetrics import MeanMetric


class LossAmongOtherKeys(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log_dict(
            {"train_loss": loss, "train_acc": (logits.argmax(-1) == y).float().mean()},
            on_step=False,
            on_epoch=True,
        )
        return {"loss": loss, "logits": logits.detach(), "log": {"train_loss": loss.detach()}}

    def configure_optimizers(self):
        return {"optimizer": torch.optim.Adam(self.parameters(), lr=1e-3)}


class OneElementLoss(L.LightningModule):
    """A loss of shape ``[1]``: Lightning and torch take it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = ((self.net(x) - y) ** 2).mean().reshape(1)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class OnStepAndOnEpoch(L.LightningModule):
    """The logger sees ``train_loss_step`` and ``train_loss_epoch``, never ``train_loss``."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.fc = nn.Linear(3, 2)

    def training_step(self, batch, batch_idx):
        image, label = batch["image"], batch["label"]
        loss = F.cross_entropy(self.fc(self.conv(image).amax(dim=(2, 3))), label)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class EpochMeanByHand(L.LightningModule):
    """Weighs each batch by its samples, and starts every epoch anew."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 6, batch_first=True)
        self.out = nn.Linear(6, 1)
        self.training_step_outputs = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.l1_loss(self.out(self.gru(x)[0][:, -1]), y)
        self.training_step_outputs.append((loss.detach(), len(x)))
        return loss

    def on_train_epoch_end(self):
        total = sum(loss * size for loss, size in self.training_step_outputs)
        self.log("train_loss", total / sum(size for _, size in self.training_step_outputs))
        self.training_step_outputs.clear()

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class MetricObjectForTheLoss(L.LightningModule):
    """A weighted ``MeanMetric``, logged as an object: Lightning computes and resets it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 4)
        self.train_loss = MeanMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.train_loss.update(loss.detach(), weight=len(x))
        self.log("train_loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MetricComputedAtEpochEnd(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 4)
        self.decoder = nn.Linear(4, 10)
        self.loss_metric = MeanMetric()

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(torch.relu(self.encoder(x))), x)
        self.loss_metric(loss.detach(), x.size(0))
        return loss

    def on_train_epoch_end(self):
        self.log("train_loss", self.loss_metric.compute())
        self.loss_metric.reset()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class TimeMajorWithBatchSize(L.LightningModule):
    """Sequences first, so Lightning is told the batch size."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6)
        self.out = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.out(self.lstm(x)[0][-1]), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=x.size(1))
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class KeywordArgumentsOnly(L.LightningModule):
    """Everything by keyword, the value as a Python float, under a stage prefix."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 6), nn.SiLU(), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.huber_loss(input=self.net(x), target=y)
        self.log(name=f"{'train'}_loss", value=loss.item(), on_epoch=True, on_step=False, batch_size=y.shape[0])
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(params=self.parameters(), lr=1e-3)


class SharedStepWithStage(L.LightningModule):
    """One step for both loops, the stage in the name; validation logs metrics of its own."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(12, 3)
        self.val_accuracy = MeanMetric()

    def _shared_step(self, batch, stage):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True, prog_bar=stage == "val")
        return loss, logits

    def training_step(self, batch, batch_idx):
        return self._shared_step(batch, "train")[0]

    def validation_step(self, batch, batch_idx):
        loss, logits = self._shared_step(batch, "val")
        self.val_accuracy.update((logits.argmax(-1) == batch[1]).float())
        return {"val_loss": loss}

    def on_validation_epoch_end(self):
        self.log("val_accuracy", self.val_accuracy.compute())
        self.val_accuracy.reset()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class TrainingStepMixin:
    """What several models share; no LightningModule by itself."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class StepInMixin(TrainingStepMixin, L.LightningModule):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv1d(1, 4, 3)
        self.classifier = nn.Linear(4, 2)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=-1))


class LogsUnderSlashName(L.LightningModule):
    """Right under the configured name ``train/loss``."""

    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(30, 6)
        self.fc = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        tokens, label = batch
        loss = F.cross_entropy(self.fc(self.embed(tokens)), label)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adagrad(self.parameters(), lr=0.1)


class LogsInsideForward(L.LightningModule):
    """Loss and logging live in ``forward``, three calls away from ``training_step``."""

    def __init__(self):
        super().__init__()
        self.mu = nn.Linear(8, 3)
        self.log_sigma = nn.Linear(8, 3)
        self.decoder = nn.Linear(3, 8)

    def forward(self, x):
        mu, log_sigma = self.mu(x), self.log_sigma(x)
        z = mu + torch.randn_like(mu) * log_sigma.exp()
        return self._objective(self.decoder(z), x, mu, log_sigma)

    def _objective(self, reconstruction, x, mu, log_sigma):
        recon = F.mse_loss(reconstruction, x)
        kl = -0.5 * (1 + 2 * log_sigma - mu**2 - (2 * log_sigma).exp()).mean()
        terms = {"train_loss": recon + 0.1 * kl, "kl": kl}
        self.log_dict(terms, on_step=False, on_epoch=True)
        return terms["train_loss"]

    def training_step(self, batch, batch_idx):
        return self(batch)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsStepAndEpochUnderTwoNames(L.LightningModule):
    """A step curve under one name, the epoch mean under another."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_batch_loss", loss, prog_bar=True)
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AlignsSpeechWithLabels(L.LightningModule):
    """Targets and lengths that the loss's kernel takes on trust."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 6, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 6)
        self.ctc = nn.CTCLoss(zero_infinity=True)

    def training_step(self, batch, batch_idx):
        frames, labels, frame_lengths, label_lengths = batch
        packed = nn.utils.rnn.pack_padded_sequence(frames, frame_lengths.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=frames.size(1))
        scores = self.out(hidden).log_softmax(-1).transpose(0, 1)
        loss = self.ctc(scores, labels, frame_lengths, label_lengths)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=frames.size(0))
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class RefusesMaskOutOfRange(L.LightningModule):
    """A Dice loss, and an assertion about the values of its target."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def training_step(self, batch, batch_idx):
        image, mask = batch["image"], batch["mask"]
        assert mask.max() <= 1.0 and mask.min() >= 0
        chance = self.conv(image).sigmoid()
        overlap = 2 * (chance * mask).sum((1, 2, 3)) + 1
        loss = (1 - overlap / (chance.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ContrastsTwoViews(L.LightningModule):
    """Two views of each image, joined into one batch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        views, _ = batch
        features = F.normalize(self.head(self.net(torch.cat(views, dim=0))))
        itself = torch.eye(len(features), dtype=torch.bool, device=self.device)
        alike = (features @ features.t() / 0.1).masked_fill(itself, -9e15)
        partner = itself.roll(len(features) // 2, dims=0)
        loss = (alike.logsumexp(-1) - alike[partner]).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


LEGITIMATE = {
    "LossAmongOtherKeys": {"batch": "x: float[5,8], y: int[5]<3"},
    "OneElementLoss": {"batch": "x: float[5,6], y: float[5,2]"},
    "OnStepAndOnEpoch": {"batch": "{image: float[5,1,6,6], label: int[5]<2}"},
    "EpochMeanByHand": {"batch": "x: float[5,7,3], y: float[5,1]"},
    "MetricObjectForTheLoss": {"batch": "x: float[5,9], y: int[5]<4"},
    "MetricComputedAtEpochEnd": {"batch": "float[5,10]"},
    "TimeMajorWithBatchSize": {"batch": "x: float[7,B,4], y: int[B]<2"},
    "KeywordArgumentsOnly": {"batch": "x: float[5,7], y: float[5,1]"},
    "SharedStepWithStage": {"batch": "x: float[5,12], y: int[5]<3"},
    "StepInMixin": {"batch": "x: float[5,1,9], y: int[5]<2"},
    "LogsUnderSlashName": {"batch": "tokens: int[5,6]<30, label: int[5]<4", "metric": "train/loss"},
    "LogsInsideForward": {"batch": "float[5,8]"},
    "LogsStepAndEpochUnderTwoNames": {"batch": "x: float[5,6], y: int[5]<2"},
    "AlignsSpeechWithLabels": {
        "batch": "frames: float[5,9,4], labels: int[5,3] in 1..5, frames_in: int[5] in 7..9, labels_in: int[5] in 1..3"
    },
    "RefusesMaskOutOfRange": {"batch": "{image: float[5,1,8,8], mask: float[5,1,8,8] in 0..1}"},
    "ContrastsTwoViews": {"batch": "views: [float[5,3,8,8], float[5,3,8,8]], label: int[5]<3"},
}
