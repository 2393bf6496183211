"""Gradients that look like a mistake and are none: divided by hand in manual mode, clipped in another way, in turns."""

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import nn


class Regression(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.Dropout(0.2), nn.Linear(9, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class ClipsEachGroup(Regression):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], gradient_clip_val or 1.0)


class ClipsHugeGradients(Regression):
    """Has a limit of its own, which is seldom reached."""

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val=1000.0, gradient_clip_algorithm="norm")


class ClipsLater(Regression):
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        if self.current_epoch > 5:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)


class LogsEffectiveBatch(Regression):
    """Reads the setting, and divides another thing by it."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("per_part", loss.detach() / self.trainer.accumulate_grad_batches, on_step=False, on_epoch=True)
        return loss


class InBatchContrast(L.LightningModule):
    """The loss of a batch is no mean over its samples."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        left, right = F.normalize(self.left(batch["left"])), F.normalize(self.right(batch["right"]))
        loss = F.cross_entropy(left @ right.T / 0.1, torch.arange(len(left), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ManualAccumulation(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.layer = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = F.mse_loss(self.layer(x), y)
        self.manual_backward(loss / 2)
        if (batch_idx + 1) % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Gan(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def losses(self, real, detach):
        fake = self.generator(torch.randn(len(real), 4, device=self.device))
        of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach() if detach else fake)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean(), F.softplus(-of_fake).mean()

    def configure_optimizers(self):
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4)
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4)
        return [opt_g, opt_d], []


class DetachesInTheDiscriminatorsTurn(Gan):
    def training_step(self, real, batch_idx):
        opt_g, opt_d = self.optimizers()
        _, g_loss = self.losses(real, detach=False)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        d_loss, _ = self.losses(real, detach=True)
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        self.log("train_loss", g_loss, on_step=False, on_epoch=True)


class ClearsWhatItDoesNotDetach(Gan):
    """Wasteful, and right."""

    def training_step(self, real, batch_idx):
        opt_g, opt_d = self.optimizers()
        d_loss, _ = self.losses(real, detach=False)
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        _, g_loss = self.losses(real, detach=False)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        self.log("train_loss", g_loss, on_step=False, on_epoch=True)


class OneLossTwoOptimizers(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.embedding = nn.Embedding(20, 5)
        self.head = nn.Linear(5, 3)

    def training_step(self, batch, batch_idx):
        sparse, dense = self.optimizers()
        sparse.zero_grad()
        dense.zero_grad()
        loss = F.cross_entropy(self.head(self.embedding(batch["token"]).mean(1)), batch["label"])
        self.manual_backward(loss)
        sparse.step()
        dense.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [
            torch.optim.Adam(self.embedding.parameters(), lr=1e-2),
            torch.optim.SGD(self.head.parameters(), lr=1e-1),
        ]


LEGITIMATE = {
    "ClipsEachGroup": {"batch": "x: float[6,7], y: float[6,1]", "since": (2, 0)},
    "ClipsHugeGradients": {"batch": "x: float[6,7], y: float[6,1]", "since": (2, 0)},
    "ClipsLater": {"batch": "x: float[6,7], y: float[6,1]", "since": (2, 0)},
    "LogsEffectiveBatch": {"batch": "x: float[6,7], y: float[6,1]"},
    "InBatchContrast": {"batch": "{left: float[6,5], right: float[6,6]}"},
    "ManualAccumulation": {"batch": "x: float[6,6], y: float[6,1]"},
    "DetachesInTheDiscriminatorsTurn": {"batch": "float[6,6]"},
    "ClearsWhatItDoesNotDetach": {"batch": "float[6,6]"},
    "OneLossTwoOptimizers": {"batch": "{token: int[6,7]<20, label: int[6]<3}"},
}
