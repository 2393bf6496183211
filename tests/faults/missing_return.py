"""Family 1: an automatic ``training_step`` that does not hand its loss to Lightning."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class ForgetsReturn(pl.LightningModule):
    def __init__(self, in_features: int = 16, classes: int = 3):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(in_features, 12), nn.ReLU(), nn.Linear(12, classes))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):  # FAULT: ForgetsReturn
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class SharedStepResultDropped(pl.LightningModule):
    """A shared step returns the loss; its caller lets it fall."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(9, 6)
        self.decoder = nn.Linear(6, 9)
        self.criterion = nn.L1Loss()

    def _step(self, batch, stage):
        loss = self.criterion(self.decoder(torch.tanh(self.encoder(batch))), batch)
        self.log(f"{stage}_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def training_step(self, batch, batch_idx):  # FAULT: SharedStepResultDropped
        self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val")

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ReturnsResultOfLog(pl.LightningModule):
    """``self.log`` returns nothing, so ``return self.log(...)`` does too."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 8, batch_first=True)
        self.out = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsResultOfLog
        series, target = batch
        hidden, _ = self.rnn(series)
        loss = F.smooth_l1_loss(self.out(hidden[:, -1]), target)
        return self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: ReturnsResultOfLog

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class ReturnsOnlyInTheOtherMode(pl.LightningModule):
    """The mode that this run is in has no branch that returns."""

    def __init__(self, mode: str = "pretrain"):
        super().__init__()
        self.mode = mode
        self.stem = nn.Conv1d(2, 4, kernel_size=3, padding=1)
        self.head = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsOnlyInTheOtherMode
        signal, label = batch
        logits = self.head(self.stem(signal).mean(dim=-1))
        loss = F.cross_entropy(logits, label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        if self.mode == "finetune":
            return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


class ReturnsWrongDictKey(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer_1 = nn.Linear(10, 8)
        self.layer_2 = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsWrongDictKey
        prediction = self.layer_2(torch.relu(self.layer_1(batch["features"])))
        mse = F.mse_loss(prediction, batch["price"])
        self.log("train_loss", mse, on_step=False, on_epoch=True)
        return {"train_loss": mse, "prediction": prediction.detach()}  # FAULT: ReturnsWrongDictKey

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class ReturnsLossAndLogs(pl.LightningModule):
    """Returns the pair ``(loss, logs)``, as loops written by hand like to."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.classifier = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsLossAndLogs
        tokens, label = batch
        logits = self.classifier(self.embedding(tokens).mean(dim=1))
        loss = F.cross_entropy(logits, label)
        accuracy = (logits.argmax(dim=-1) == label).float().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss, {"accuracy": accuracy}  # FAULT: ReturnsLossAndLogs

    def configure_optimizers(self):
        return torch.optim.Adagrad(self.parameters(), lr=0.1)


class ReturnsPythonFloat(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(7, 1))

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsPythonFloat
        x, y = batch
        loss = ((x @ self.weights - y) ** 2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss.item()  # FAULT: ReturnsPythonFloat

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AsyncTrainingStep(pl.LightningModule):
    """A coroutine comes back; its body never runs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    async def training_step(self, batch, batch_idx):  # FAULT: AsyncTrainingStep
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss  # FAULT: AsyncTrainingStep

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class YieldsInsteadOfReturning(pl.LightningModule):
    """``yield`` makes ``training_step`` a generator; its body never runs."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))

    def training_step(self, batch, batch_idx):  # FAULT: YieldsInsteadOfReturning
        noisy = batch + 0.1 * torch.randn_like(batch)
        loss = F.mse_loss(self.net(noisy), batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        yield loss  # FAULT: YieldsInsteadOfReturning

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class HandLoopInAutomaticMode(pl.LightningModule):
    """The whole loop is done by hand, and Lightning has not been told."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, kernel_size=3, padding=1)
        self.fc = nn.Linear(3, 2)

    def training_step(self, batch, batch_idx):  # FAULT: HandLoopInAutomaticMode
        image, label = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.cross_entropy(self.fc(self.conv(image).amax(dim=(2, 3))), label)
        loss.backward()  # FAULT: HandLoopInAutomaticMode
        optimizer.step()  # FAULT: HandLoopInAutomaticMode
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class ManualFlagBeforeSuper(pl.LightningModule):
    """The base constructor resets the flag, so the mode is automatic after all."""

    def __init__(self):
        self.automatic_optimization = False  # FAULT: ManualFlagBeforeSuper
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(10, 6), nn.LeakyReLU(0.2), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):  # FAULT: ManualFlagBeforeSuper
        state, value = batch
        optimizer = self.optimizers()
        loss = F.huber_loss(self.critic(state), value)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


EXPECTED = {
    "ForgetsReturn": {
        "fault": "loss-not-returned",
        "batch": "x: float[5,16], y: int[5]<3",
        "check": "loss_returned",
        "severity": "error",
        "words": ["return loss"],
        "since": None,
        "until": None,
    },
    "SharedStepResultDropped": {
        "fault": "loss-not-returned",
        "batch": "float[5,9]",
        "check": "loss_returned",
        "severity": "error",
        "words": ["return"],
        "since": None,
        "until": None,
    },
    "ReturnsResultOfLog": {
        "fault": "loss-not-returned",
        "batch": "series: float[5,6,4], target: float[5,1]",
        "check": "loss_returned",
        "severity": "error",
        "words": ["return"],
        "since": None,
        "until": None,
    },
    "ReturnsOnlyInTheOtherMode": {
        "fault": "loss-not-returned",
        "batch": "signal: float[5,2,12], label: int[5]<2",
        "check": "loss_returned",
        "severity": "error",
        "words": ["return"],
        "since": None,
        "until": None,
    },
    "ReturnsWrongDictKey": {
        "fault": "loss-wrong-dict-key",
        "batch": "{features: float[5,10], price: float[5,1]}",
        "check": "loss_returned",
        "severity": "error",
        "words": ["loss"],
        "since": None,
        "until": None,
    },
    "ReturnsLossAndLogs": {
        "fault": "loss-not-tensor",
        "batch": "tokens: int[5,8]<20, label: int[5]<4",
        "check": "loss_returned",
        "severity": "error",
        "words": ["tensor"],
        "since": None,
        "until": None,
    },
    "ReturnsPythonFloat": {
        "fault": "loss-not-tensor",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "loss_returned",
        "severity": "error",
        "words": ["tensor"],
        "since": None,
        "until": None,
    },
    "AsyncTrainingStep": {
        "fault": "loss-not-tensor",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "loss_returned",
        "severity": "error",
        "words": ["tensor"],
        "since": None,
        "until": None,
    },
    "YieldsInsteadOfReturning": {
        "fault": "loss-not-tensor",
        "batch": "float[5,8]",
        "check": "loss_returned",
        "severity": "error",
        "words": ["tensor"],
        "since": None,
        "until": None,
    },
    "HandLoopInAutomaticMode": {
        "fault": "auto-full-manual-loop",
        "batch": "image: float[5,1,8,8], label: int[5]<2",
        "check": "loss_returned",
        "severity": "error",
        "words": ["automatic_optimization"],
        "since": None,
        "until": None,
    },
    "ManualFlagBeforeSuper": {
        "fault": "automatic_optimization-lost",
        "batch": "state: float[5,10], value: float[5,1]",
        "check": "loss_returned",
        "severity": "error",
        "words": ["automatic_optimization"],
        "since": None,
        "until": None,
    },
}
