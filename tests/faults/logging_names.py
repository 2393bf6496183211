"""Family 4: ``train_loss`` is missing, misnamed, or does not reach the logger once an epoch."""

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F


class NeverLogs(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))

    def training_step(self, batch, batch_idx):  # FAULT: NeverLogs
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsUnderSlash(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.mask = nn.Conv2d(4, 2, 1)

    def training_step(self, batch, batch_idx):
        image, mask = batch["image"], batch["mask"]
        loss = F.cross_entropy(self.mask(F.relu(self.conv(image))), mask)
        self.log("train/loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsUnderSlash
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class LogsAsLoss(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(9, 3)
        self.decoder = nn.Linear(3, 9)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log_dict({"loss": loss}, on_step=False, on_epoch=True)  # FAULT: LogsAsLoss
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsAsTrainingLoss(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 6, batch_first=True)
        self.out = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        series, target = batch
        loss = F.huber_loss(self.out(self.rnn(series)[0][:, -1]), target)
        self.log(  # FAULT: LogsAsTrainingLoss
            "training_loss", loss, on_step=False, on_epoch=True, prog_bar=True
        )
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ReturnsLogDictionary(L.LightningModule):
    """The way of the 0.x versions: nothing reads the key ``log`` any more."""

    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(30, 6)
        self.fc = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):  # FAULT: ReturnsLogDictionary
        tokens, label = batch
        loss = F.cross_entropy(self.fc(self.embed(tokens)), label)
        return {  # FAULT: ReturnsLogDictionary
            "loss": loss,
            "log": {"train_loss": loss},
            "progress_bar": {"train_loss": loss},
        }

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsOnlyValidation(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 1))

    def _loss(self, batch):
        x, y = batch
        return F.l1_loss(self.net(x), y)

    def training_step(self, batch, batch_idx):  # FAULT: LogsOnlyValidation
        return self._loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._loss(batch), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsPerStepOnly(L.LightningModule):
    """The default of ``self.log`` in ``training_step``: the last batch is what remains."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)  # FAULT: LogsPerStepOnly
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class LogDictPerStepOnly(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.actor = nn.Linear(6, 3)
        self.critic = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        state, action, reward = batch
        value = self.critic(state)[:, 0]
        log_prob = F.log_softmax(self.actor(state), -1).gather(1, action[:, None])[:, 0]
        actor_loss = -(log_prob * (reward - value).detach()).mean()
        critic_loss = F.mse_loss(value, reward)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(actor_loss + critic_loss)
        optimizer.step()
        metrics = {"train_loss": actor_loss + critic_loss, "critic_loss": critic_loss}
        self.log_dict(metrics, on_step=True)  # FAULT: LogDictPerStepOnly

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class BypassesSelfLog(L.LightningModule):
    """Writes each step's value straight to the logger."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(12, 2)

    def training_step(self, batch, batch_idx):  # FAULT: BypassesSelfLog
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.logger.log_metrics({"train_loss": loss.item()}, step=self.global_step)  # FAULT: BypassesSelfLog
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LoggerSwitchedOff(L.LightningModule):
    """For the progress bar only."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 4))

    def training_step(self, batch, batch_idx):
        noise = torch.randn_like(batch)
        loss = F.mse_loss(self.net(batch + noise), noise)
        self.log(  # FAULT: LoggerSwitchedOff
            "train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, logger=False
        )
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class LogsTwiceAnEpoch(L.LightningModule):
    """Lightning's epoch mean, and another one by hand."""

    def __init__(self):
        super().__init__()
        self.tree = nn.Linear(10, 1)
        self.total, self.seen = 0.0, 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self.tree(x)[:, 0], y.float())
        self.total += loss.item() * len(x)
        self.seen += len(x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: LogsTwiceAnEpoch
        return loss

    def on_train_epoch_end(self):
        mean = self.total / self.seen
        self.total, self.seen = 0.0, 0
        self.logger.log_metrics({"train_loss": mean}, step=self.current_epoch)  # FAULT: LogsTwiceAnEpoch

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class SharedStepLogsOneName(L.LightningModule):
    """Training and validation share a step that always says ``train_loss``."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3)
        self.fc = nn.Linear(4, 2)

    def _shared_step(self, batch):
        signal, label = batch
        loss = F.cross_entropy(self.fc(self.conv(signal).amax(dim=-1)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)  # FAULT: SharedStepLogsOneName
        return loss

    def training_step(self, batch, batch_idx):
        return self._shared_step(batch)

    def validation_step(self, batch, batch_idx):
        return self._shared_step(batch)  # FAULT: SharedStepLogsOneName

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LogsEverySecondEpoch(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)
        self.total, self.count = 0.0, 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.total += loss.item() * len(x)
        self.count += len(x)
        return loss

    def on_train_epoch_end(self):
        if self.current_epoch % 2 == 0:  # FAULT: LogsEverySecondEpoch
            self.log("train_loss", self.total / self.count)  # FAULT: LogsEverySecondEpoch
        self.total, self.count = 0.0, 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class WritesToTheExperiment(L.LightningModule):
    """A call of one logger's own interface, which no other logger has."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.logger.experiment.add_scalar("train_loss", loss, self.global_step)  # FAULT: WritesToTheExperiment
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "NeverLogs": {
        "fault": "train_loss-never-logged",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["self.log"],
        "since": None,
        "until": None,
    },
    "LogsUnderSlash": {
        "fault": "",
        "batch": "{image: float[5,3,6,6], mask: int[5,6,6]<2}",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["train/loss"],
        "since": None,
        "until": None,
    },
    "LogsAsLoss": {
        "fault": "",
        "batch": "float[5,9]",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["train_loss"],
        "since": None,
        "until": None,
    },
    "LogsAsTrainingLoss": {
        "fault": "",
        "batch": "series: float[5,8,2], target: float[5,1]",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["training_loss"],
        "since": None,
        "until": None,
    },
    "ReturnsLogDictionary": {
        "fault": "legacy-result-dict",
        "batch": "tokens: int[5,6]<30, label: int[5]<4",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["self.log"],
        "since": None,
        "until": None,
    },
    "LogsOnlyValidation": {
        "fault": "train_loss-never-logged",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["self.log"],
        "since": None,
        "until": None,
    },
    "LogsPerStepOnly": {
        "fault": "train_loss-per-step-only",
        "batch": "x: float[5,16], y: int[5]<3",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": ["on_epoch=True"],
        "since": None,
        "until": None,
    },
    "LogDictPerStepOnly": {
        "fault": "train_loss-per-step-only",
        "batch": "state: float[5,6], action: int[5]<3, reward: float[5]",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": ["on_epoch=True"],
        "since": None,
        "until": None,
    },
    "BypassesSelfLog": {
        "fault": "metrics-bypass-self.log",
        "batch": "x: float[5,12], y: int[5]<2",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": ["self.log"],
        "since": None,
        "until": None,
    },
    "LoggerSwitchedOff": {
        "fault": "metrics-bypass-self.log",
        "batch": "float[5,4]",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["logger"],
        "since": None,
        "until": None,
    },
    "LogsTwiceAnEpoch": {
        "fault": "",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "SharedStepLogsOneName": {
        "fault": "same-key-train-and-val",
        "batch": "signal: float[5,2,9], label: int[5]<2",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": ["validation"],
        "since": None,
        "until": None,
    },
    "LogsEverySecondEpoch": {
        "fault": "",
        "batch": "x: float[5,6], y: int[5]<2",
        "check": "train_loss_logged_once_per_epoch",
        "severity": "error",
        "words": [],
        "since": None,
        "until": None,
    },
    "WritesToTheExperiment": {
        "fault": "metrics-bypass-self.log",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "train_loss_logged",
        "severity": "error",
        "words": ["self.logger"],
        "since": None,
        "until": None,
    },
}
