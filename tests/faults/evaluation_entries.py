"""Family 8: entry points that fit never calls, and values that change from one evaluation to the next."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class GradientsUnderInferenceMode(pl.LightningModule):
    """Works in fit, where validation runs under no_grad, and fails in Trainer.validate."""

    def __init__(self):
        super().__init__()
        self.potential = nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        position, energy = batch
        loss = F.mse_loss(self.potential(position), energy)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        position, _ = batch
        with torch.enable_grad():
            position = position.requires_grad_()
            energy = self.potential(position).sum()
            force = torch.autograd.grad(energy, position)[0]  # FAULT: GradientsUnderInferenceMode
        self.log("val_force", force.abs().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class TestStepWasNeverRun(pl.LightningModule):
    """The attribute was renamed everywhere else."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 6)
        self.classifier = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.classifier(torch.relu(self.encoder(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch, batch_idx):
        x, y = batch
        logits = self.head(torch.relu(self.encoder(x)))  # FAULT: TestStepWasNeverRun
        self.log("test_acc", (logits.argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class PredictsNothing(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.huber_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def predict_step(self, batch, batch_idx):  # FAULT: PredictsNothing
        x, _ = batch
        self.net(x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class AugmentsValidationToo(pl.LightningModule):
    """The hook runs in every loop."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    def on_after_batch_transfer(self, batch, dataloader_idx):  # FAULT: AugmentsValidationToo
        image, label = batch
        return image + 0.3 * torch.randn_like(image), label

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.net(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        image, label = batch
        self.log("val_loss", F.cross_entropy(self.net(image), label))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


EXPECTED = {
    "GradientsUnderInferenceMode": {
        "fault": "validation-needs-grad-outside-fit",
        "check": "evaluation_runs_outside_fit",
        "severity": "error",
        "batch": "position: float[6,3], energy: float[6,1]",
        "words": ["Trainer.validate", "inference mode"],
    },
    "TestStepWasNeverRun": {
        "fault": "test-predict-never-run",
        "check": "evaluation_runs_outside_fit",
        "severity": "error",
        "batch": "x: float[6,10], y: int[6]<3",
        "words": ["Trainer.test", "head"],
    },
    "PredictsNothing": {
        "fault": "test-predict-never-run",
        "check": "evaluation_runs_outside_fit",
        "severity": "warning",
        "batch": "x: float[6,5], y: float[6,1]",
        "words": ["predict_step", "None"],
    },
    "AugmentsValidationToo": {
        "fault": "augmentation-in-validation",
        "check": "evaluation_is_repeatable",
        "severity": "warning",
        "batch": "image: float[6,1,8,8], label: int[6]<3",
        "words": ["val_loss", "hook"],
    },
}
