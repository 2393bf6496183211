"""Family 8: what validation does to the module, and in which mode it runs."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class ValidatesInTrainMode(pl.LightningModule):
    """Copied from the training step, mode and all."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 4))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.body(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.train()  # FAULT: ValidatesInTrainMode
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.body(x), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class NeverSwitchesToEval(pl.LightningModule):
    """Lightning's switch is overridden, to spare a frozen encoder that is not there any more."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU())
        self.head = nn.Linear(4, 1)

    def on_validation_model_eval(self):  # FAULT: NeverSwitchesToEval
        pass

    def training_step(self, batch, batch_idx):
        signal, target = batch
        loss = F.l1_loss(self.head(self.encoder(signal).mean(-1)), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        signal, target = batch
        self.log("val_mae", F.l1_loss(self.head(self.encoder(signal).mean(-1)), target))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class DropoutFunctionAlwaysOn(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, tokens):
        hidden = self.embed(tokens).mean(dim=1)
        return self.out(F.dropout(hidden, 0.5))  # FAULT: DropoutFunctionAlwaysOn

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch["tokens"]), batch["label"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self(batch["tokens"]), batch["label"]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class NormFunctionAlwaysFits(pl.LightningModule):
    """Statistics are kept by hand, and fitted wherever the module runs."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(5, 6)
        self.out = nn.Linear(6, 1)
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))

    def forward(self, x):
        normal = F.batch_norm(self.lift(x), self.mean, self.var, training=True)  # FAULT: NormFunctionAlwaysFits
        return self.out(torch.relu(normal))

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class NormFittedToValidation(pl.LightningModule):
    """The norm is switched to training, since its statistics looked unstable at first."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, image):
        return self.head(torch.relu(self.norm(self.conv(image))).mean(dim=(2, 3)))

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self):
        self.norm.train()  # FAULT: NormFittedToValidation

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


class DecaysWhileValidating(pl.LightningModule):
    """A penalty by hand, in the wrong step."""

    def __init__(self):
        super().__init__()
        self.scorer = nn.Linear(7, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self.scorer(x).squeeze(-1), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.scorer.weight.data.mul_(0.9)  # FAULT: DecaysWhileValidating
        self.log("val_loss", F.binary_cross_entropy_with_logits(self.scorer(x).squeeze(-1), y))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class NormalisesWhileValidating(pl.LightningModule):
    """Prototypes are put back on the sphere, but only where somebody looks at them."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 4)
        self.prototypes = nn.Parameter(torch.randn(3, 4))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(-torch.cdist(self.encoder(x), self.prototypes), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.prototypes.div_(self.prototypes.norm(dim=1, keepdim=True))  # FAULT: NormalisesWhileValidating
        distance = torch.cdist(self.encoder(x), self.prototypes)
        self.log("val_acc", (distance.argmin(dim=1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class ReturnsTheValidationLoss(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.out(self.net(batch["x"])[0][:, -1]), batch["y"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):  # FAULT: ReturnsTheValidationLoss
        return F.mse_loss(self.out(self.net(batch["x"])[0][:, -1]), batch["y"])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class DifferentiatesInValidation(pl.LightningModule):
    """Forces are the slope of the energy: in validation there is no graph."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.energy(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, _ = batch
        x = x.clone().requires_grad_()
        forces = torch.autograd.grad(self.energy(x).sum(), x)[0]  # FAULT: DifferentiatesInValidation
        self.log("val_force", forces.norm(dim=1).mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ValidationReadsTrainingOutputs(pl.LightningModule):
    """Works once an epoch has been trained; the sanity check comes before."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.train_codes = []

    def training_step(self, batch, batch_idx):
        code = self.net(batch)
        self.train_codes.append(code.detach())
        loss = F.mse_loss(code, batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self.net(batch), batch))

    def on_validation_epoch_end(self):
        codes = torch.cat(self.train_codes)  # FAULT: ValidationReadsTrainingOutputs
        self.log("spread", codes.std())
        self.train_codes.clear()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class HeldOutAndNeverUsed(pl.LightningModule):
    """The data is there, the step is not."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        x = torch.randn(24, 3)
        self.data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.data, batch_size=4)

    def val_dataloader(self):  # FAULT: HeldOutAndNeverUsed
        return torch.utils.data.DataLoader(self.data, batch_size=8)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


EXPECTED = {
    "HeldOutAndNeverUsed": {
        "fault": "validation_step-missing",
        "check": "validation_has_step_and_data",
        "severity": "advice",
        "words": ["val_dataloader", "validation_step"],
    },
    "ValidatesInTrainMode": {
        "fault": "train-mode-in-validation",
        "check": "evaluation_runs_in_evaluation_mode",
        "severity": "error",
        "batch": "x: float[8,12], y: int[8]<4",
        "words": ["training mode", "body.2", ".train()"],
    },
    "NeverSwitchesToEval": {
        "fault": "train-mode-in-validation",
        "check": "evaluation_runs_in_evaluation_mode",
        "severity": "error",
        "batch": "signal: float[6,2,9], target: float[6,1]",
        "words": ["training mode", "on_validation_model_eval"],
    },
    "DropoutFunctionAlwaysOn": {
        "fault": "functional-dropout",
        "check": "evaluation_runs_in_evaluation_mode",
        "severity": "error",
        "batch": "{tokens: int[6,5]<40, label: int[6]<3}",
        "words": ["dropout", "training=self.training"],
    },
    "NormFunctionAlwaysFits": {
        "fault": "bn-updates-in-validation",
        "check": "evaluation_runs_in_evaluation_mode",
        "severity": "error",
        "batch": "x: float[8,5], y: float[8,1]",
        "words": ["batch_norm", "training=self.training"],
    },
    "NormFittedToValidation": {
        "fault": "bn-updates-in-validation",
        "check": "validation_is_read_only",
        "severity": "error",
        "batch": "image: float[6,3,8,8], y: int[6]<2",
        "words": ["running statistics", "norm", "validation"],
    },
    "DecaysWhileValidating": {
        "fault": "validation-changes-weights",
        "check": "validation_is_read_only",
        "severity": "error",
        "batch": "x: float[8,7], y: float[8] in 0..1",
        "words": ["scorer.weight", "validation"],
    },
    "NormalisesWhileValidating": {
        "fault": "validation-changes-weights",
        "check": "validation_is_read_only",
        "severity": "error",
        "batch": "x: float[8,6], y: int[8]<3",
        "words": ["prototypes", "validation"],
    },
    "ReturnsTheValidationLoss": {
        "fault": "val_loss-not-logged",
        "check": "validation_is_logged",
        "severity": "warning",
        "batch": "{x: float[5,6,3], y: float[5,1]}",
        "words": ["nothing was logged", "returned"],
    },
    "DifferentiatesInValidation": {
        "fault": "validation-needs-grad",
        "check": "training_completes",
        "severity": "error",
        "batch": "x: float[6,6], y: float[6,1]",
        "words": ["does not require grad", "validation", "enable_grad"],
    },
    "ValidationReadsTrainingOutputs": {
        "fault": "sanity-check-dependency",
        "check": "training_completes",
        "severity": "error",
        "batch": "float[6,4]",
        "words": ["sanity", "on_validation_epoch_end"],
    },
}
