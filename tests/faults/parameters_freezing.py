"""Family 3: what is frozen moves, what should be frozen is not, and layers that learn in the wrong mode."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class FrozenBackboneStatisticsDrift(pl.LightningModule):
    """Transfer learning on images; the backbone's BatchNorm follows the new images."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        for parameter in self.features.parameters():
            parameter.requires_grad = False  # FAULT: FrozenBackboneStatisticsDrift
        self.classifier = nn.Linear(6, classes)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self.classifier(self.features(images)), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.classifier.parameters(), lr=1e-3)


class FrozenEncoderUnderNoGradDrifts(pl.LightningModule):
    """``no_grad`` saves memory, and does not stop running statistics."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.GELU())
        self.encoder.requires_grad_(False)  # FAULT: FrozenEncoderUnderNoGradDrifts
        self.decoder = nn.LSTM(4, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        with torch.no_grad():
            states = self.encoder(batch["signal"])
        hidden, _ = self.decoder(states.transpose(1, 2))
        loss = F.smooth_l1_loss(self.out(hidden[:, -1]).squeeze(-1), batch["age"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD([*self.decoder.parameters(), *self.out.parameters()], lr=0.05)


class FreezesTheModuleAttribute(pl.LightningModule):
    """``requires_grad`` of a module is nobody's switch."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(10, 8), nn.Tanh())
        self.tower.requires_grad = False  # FAULT: FreezesTheModuleAttribute
        self.head = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(self.tower(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class FreezesWithTypo(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(40, 6)
        self.encoder = nn.GRU(6, 6, batch_first=True)
        for p in self.embedding.parameters():
            p.require_grad = False  # FAULT: FreezesWithTypo
        self.tagger = nn.Linear(6, 5)

    def training_step(self, batch, batch_idx):
        words, tags = batch
        states, _ = self.encoder(self.embedding(words))
        loss = F.cross_entropy(self.tagger(states).flatten(0, 1), tags.flatten())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class FrozenLaterStillDecays(pl.LightningModule):
    """Freezes its stem after the first epoch; gradients of zero let decay and momentum go on."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(9, 9)
        self.net = nn.Linear(9, 3)

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.stem.requires_grad_(False)  # FAULT: FrozenLaterStillDecays

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad(set_to_none=False)  # FAULT: FrozenLaterStillDecays

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(torch.relu(self.stem(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2, weight_decay=0.1)


class ForgottenFreeze(pl.LightningModule):
    """Left over from an experiment: half of the network is frozen."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 6), nn.ReLU())
        for p in self.encoder.parameters():
            p.requires_grad = False  # FAULT: ForgottenFreeze
        self.decoder = nn.Linear(6, 12)

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def pretrained(width: int) -> nn.Module:
    """As libraries hand out their models: in evaluation mode."""
    model = nn.Sequential(nn.Linear(width, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.3))
    return model.eval()


class FineTunesInEvaluationMode(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.bert = pretrained(16)  # FAULT: FineTunesInEvaluationMode
        self.head = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.head(self.bert(batch["embedding"])), batch["label"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=2e-5)


class WholeModuleInEvaluationMode(pl.LightningModule):
    """``eval()`` at the end of the constructor, from the time when this was an inference script."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.fc = nn.Linear(4, 10)
        self.eval()  # FAULT: WholeModuleInEvaluationMode

    def training_step(self, batch, batch_idx):
        digits, labels = batch
        loss = F.cross_entropy(self.fc(self.conv(digits).mean((2, 3))), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SamplesAndForgetsTrain(pl.LightningModule):
    """Writes a sample at the end of each epoch, in evaluation mode, and stays there."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 7), nn.Dropout(0.5), nn.Linear(7, 7))

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.net(x), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.net.eval()  # FAULT: SamplesAndForgetsTrain
        with torch.no_grad():
            self.sample = self.net(torch.ones(1, 7, device=self.device)).tolist()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ParameterMovedToDevice(pl.LightningModule):
    """On the CPU ``.to`` gives the parameter itself; on a GPU a tensor that no optimizer sees."""

    def __init__(self):
        super().__init__()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.net = nn.Linear(6, 4)
        self.temperature = nn.Parameter(torch.ones(1)).to(device)  # FAULT: ParameterMovedToDevice

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x) / self.temperature, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ParameterWasReshaped(pl.LightningModule):
    """An operation on a parameter is no parameter."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.randn(6)).unsqueeze(0)  # FAULT: ParameterWasReshaped

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x) * self.scale, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class AuxiliaryHeadThatOnlyDecays(pl.LightningModule):
    """Its loss is multiplied by a weight of 0: weight decay moves it, and nothing else."""

    def __init__(self, aux_weight: float = 0.0):
        super().__init__()
        self.aux_weight = aux_weight
        self.trunk, self.head = nn.Linear(8, 6), nn.Linear(6, 3)
        self.aux = nn.Linear(6, 2)  # FAULT: AuxiliaryHeadThatOnlyDecays

    def training_step(self, batch, batch_idx):
        x, y = batch
        hidden = F.relu(self.trunk(x))
        loss = F.cross_entropy(self.head(hidden), y) + self.aux_weight * self.aux(hidden).pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.1)


EXPECTED = {
    "FrozenBackboneStatisticsDrift": {
        "fault": "frozen-bn-still-updates",
        "batch": "x: float[6,3,8,8], y: int[6]<3",
        "check": "frozen_parameters_stay_frozen",
        "severity": "warning",
        "words": ["running", "features.1", "eval()"],
    },
    "FrozenEncoderUnderNoGradDrifts": {
        "fault": "frozen-bn-still-updates",
        "batch": "{signal: float[6,2,12], age: float[6]}",
        "check": "frozen_parameters_stay_frozen",
        "severity": "warning",
        "words": ["running", "encoder.1", "eval()"],
    },
    "FreezesTheModuleAttribute": {
        "fault": "",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "frozen_parameters_stay_frozen",
        "severity": "error",
        "words": ["self.tower.requires_grad", "requires_grad_(False)"],
    },
    "FreezesWithTypo": {
        "fault": "",
        "batch": "words: int[5,7]<40, tags: int[5,7]<5",
        "check": "frozen_parameters_stay_frozen",
        "severity": "error",
        "words": ["require_grad", "embedding.weight"],
    },
    "FrozenLaterStillDecays": {
        "fault": "",
        "batch": "x: float[5,9], y: int[5]<3",
        "check": "frozen_parameters_stay_frozen",
        "severity": "error",
        "words": ["AdamW", "stem.weight", "weight decay"],
        "since": (2, 0),
    },
    "ForgottenFreeze": {
        "fault": "frozen-by-accident",
        "batch": "float[5,12]",
        "check": "frozen_parameters_stay_frozen",
        "severity": "advice",
        "words": ["2 of 4", "frozen"],
    },
    "FineTunesInEvaluationMode": {
        "fault": "submodule-in-eval-mode",
        "batch": "{embedding: float[5,16], label: int[5]<2}",
        "check": "modules_train_in_train_mode",
        "severity": "warning",
        "words": ["bert", "evaluation mode", ".train()"],
        "since": [2, 2],
    },
    "WholeModuleInEvaluationMode": {
        "fault": ["submodule-in-eval-mode", "eval-mode-in-training"],
        "batch": "digits: float[5,1,8,8], label: int[5]<10",
        "check": "modules_train_in_train_mode",
        "severity": "warning",
        "words": ["whole module", "evaluation mode"],
        "since": [2, 2],
    },
    "SamplesAndForgetsTrain": {
        "fault": "eval-mode-in-training",
        "batch": "float[5,7]",
        "check": "modules_train_in_train_mode",
        "severity": "warning",
        "words": ["1 of 2 epochs", "put back"],
        "since": [2, 2],
    },
    "ParameterMovedToDevice": {
        "fault": "parameter-dot-to",
        "batch": "x: float[5,6], y: int[5]<4",
        "check": "parameters_are_registered",
        "severity": "warning",
        "words": ["self.temperature", "nn.Parameter"],
    },
    "ParameterWasReshaped": {
        "fault": "parameter-dot-to",
        "batch": "x: float[5,6], y: float[5,6]",
        "check": "parameters_are_registered",
        "severity": "error",
        "words": ["self.scale", "nn.Parameter"],
    },
    "AuxiliaryHeadThatOnlyDecays": {
        "fault": "unused-parameter",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["aux.weight", "zero"],
    },
}
