"""Validation, test and prediction that look wrong, and are meant."""

import copy

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class MonteCarloDropout(pl.LightningModule):
    """Dropout stays on for an estimate of uncertainty; nothing else does."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.drop(torch.relu(self.norm(self.body(x)))))

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.drop.train()
        draws = torch.stack([self(batch[0]) for _ in range(4)])
        self.drop.eval()
        self.log("val_loss", F.mse_loss(draws.mean(0), batch[1]))
        self.log("val_spread", draws.std(0).mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AveragedWeightsForValidation(pl.LightningModule):
    """Weights are swapped for their average, and swapped back."""

    def __init__(self, decay: float = 0.9):
        super().__init__()
        self.decay = decay
        self.net = nn.Linear(4, 2)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.kept = None

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        for slow, fast in zip(self.average.parameters(), self.net.parameters()):
            slow.lerp_(fast.detach(), 1 - self.decay)

    def on_validation_start(self):
        self.kept = copy.deepcopy(self.net.state_dict())
        self.net.load_state_dict(self.average.state_dict())

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

    def on_validation_end(self):
        self.net.load_state_dict(self.kept)
        self.kept = None

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.1)


class DropoutFunctionByMode(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.second = nn.Linear(8, 2)

    def forward(self, x):
        hidden = F.dropout(torch.relu(self.first(x)), p=0.3, training=self.training)
        return self.second(F.dropout(hidden, 0.0))

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ForcesInEveryMode(pl.LightningModule):
    """Gradients while evaluating, out of inference mode."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forces(self, position):
        with torch.inference_mode(False), torch.enable_grad():
            position = position.clone().requires_grad_()
            return torch.autograd.grad(self.energy(position).sum(), position)[0].detach()

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.energy(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_force", self.forces(batch[0]).abs().mean())

    def test_step(self, batch, batch_idx):
        self.log("test_force", self.forces(batch[0]).abs().mean())

    def predict_step(self, batch, batch_idx):
        return self.forces(batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LossAtRandomTimes(pl.LightningModule):
    """A denoising loss is random by design, in validation too."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 16), nn.SiLU(), nn.Linear(16, 6))

    def loss(self, x):
        time = torch.rand(len(x), 1, device=x.device)
        noise = torch.randn_like(x)
        noisy = (1 - time) * x + time * noise
        return F.mse_loss(self.net(torch.cat([noisy, time], dim=1)), noise - x)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.shape[0])
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), batch_size=batch.shape[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AugmentsTrainingAlone(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        image, label = batch
        if self.trainer.training:
            image = image + 0.1 * torch.randn_like(image)
        return image, label

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class CountsItsValidations(pl.LightningModule):
    """A buffer that validation counts up."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        self.register_buffer("validations", torch.zeros((), dtype=torch.long))

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self.net(batch[0]), batch[1]))

    def on_validation_epoch_end(self):
        self.validations += 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class LogsWhenTheEpochIsOver(pl.LightningModule):
    """Predictions are gathered, and one number is logged at the end."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.right, self.seen = 0, 0

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.right += int((self.net(batch[0]).argmax(1) == batch[1]).sum())
        self.seen += len(batch[1])
        return None

    def on_validation_epoch_end(self):
        self.log("val_accuracy", self.right / max(1, self.seen))
        self.right, self.seen = 0, 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class PredictsFromInputsAlone(pl.LightningModule):
    """predict_step takes what training does not have: a batch without labels."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch["x"]), batch["y"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def predict_step(self, batch, batch_idx):
        return self(batch).softmax(dim=-1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


LEGITIMATE = {
    "MonteCarloDropout": {"batch": "x: float[8,6], y: float[8,1]"},
    "AveragedWeightsForValidation": {"batch": "x: float[8,4], y: int[8]<2"},
    "DropoutFunctionByMode": {"batch": "x: float[8,5], y: int[8]<2"},
    "ForcesInEveryMode": {"batch": "x: float[8,3], y: float[8,1]"},
    "LossAtRandomTimes": {"batch": "float[8,6]"},
    "AugmentsTrainingAlone": {"batch": "image: float[8,3,4,4], label: int[8]<4"},
    "CountsItsValidations": {"batch": "x: float[8,3], y: float[8,1]"},
    "LogsWhenTheEpochIsOver": {"batch": "x: float[8,4], y: int[8]<3"},
    "PredictsFromInputsAlone": {"batch": "{x: float[8,4], y: int[8]<3}"},
}
