"""Family 2: gradients that are divided twice, not clipped, or added to those of another part."""

import lightning.pytorch as L
import torch
import torch.nn.functional as F
from torch import nn


class Regression(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class DividesByAccumulation(Regression):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss / self.trainer.accumulate_grad_batches  # FAULT: DividesByAccumulation


class DividesInAHelper(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(40, 6)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 4)

    def compute_loss(self, logits, labels):
        steps = self.trainer.accumulate_grad_batches  # FAULT: DividesInAHelper
        return F.cross_entropy(logits, labels) / steps

    def training_step(self, batch, batch_idx):
        logits = self.head(self.norm(self.embed(batch["tokens"])))
        loss = self.compute_loss(logits, batch["label"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss}

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class SumsOverSamples(Regression):
    """Twice the learning rate with twice the batch."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y, reduction="sum")
        self.log("train_loss", loss / len(x), on_step=False, on_epoch=True)
        return loss  # FAULT: SumsOverSamples


class ClipsNothing(Regression):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_gradient_clipping(  # FAULT: ClipsNothing
        self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None
    ):
        norms = [p.grad.norm() for p in self.parameters() if p.grad is not None]
        self.log("grad_norm", torch.stack(norms).norm())


class Gan(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def configure_optimizers(self):
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4)
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4)
        return [opt_g, opt_d], []


def real_loss(logits):
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def fake_loss(logits):
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


class ForgetsDetach(Gan):
    def training_step(self, real, batch_idx):
        opt_g, opt_d = self.optimizers()
        opt_g.zero_grad()
        opt_d.zero_grad()
        noise = torch.randn(len(real), 4, device=self.device)
        fake = self.generator(noise)
        d_loss = real_loss(self.discriminator(real)) + fake_loss(self.discriminator(fake))
        self.manual_backward(d_loss)  # FAULT: ForgetsDetach
        opt_d.step()
        g_loss = real_loss(self.discriminator(self.generator(noise)))
        self.manual_backward(g_loss)
        opt_g.step()
        self.log_dict({"train_loss": g_loss, "d_loss": d_loss}, on_step=False, on_epoch=True)


EXPECTED = {
    "DividesByAccumulation": {
        "fault": "accumulate-double-division",
        "batch": "x: float[6,7], y: float[6,1]",
        "check": "accumulation_keeps_the_gradient",
        "severity": "error",
        "words": ["divides"],
        "since": None,
        "until": None,
    },
    "DividesInAHelper": {
        "fault": "accumulate-double-division",
        "batch": "{tokens: int[6,9]<40, label: int[6]<4}",
        "check": "accumulation_keeps_the_gradient",
        "severity": "error",
        "words": ["divides"],
        "since": None,
        "until": None,
    },
    "SumsOverSamples": {
        "fault": "accumulation-not-equivalent",
        "batch": "x: float[6,7], y: float[6,1]",
        "check": "accumulation_keeps_the_gradient",
        "severity": "advice",
        "words": ["sum"],
        "since": None,
        "until": None,
    },
    "ClipsNothing": {
        "fault": "gradient-clipping-noop",
        "batch": "x: float[6,7], y: float[6,1]",
        "check": "gradient_clipping_works",
        "severity": "error",
        "words": ["clip_gradients"],
        "since": (2, 0),
        "until": None,
    },
    "ForgetsDetach": {
        "fault": "gan-detach-forgotten",
        "batch": "float[6,6]",
        "check": "turns_do_not_mix_gradients",
        "severity": "warning",
        "words": ["detach"],
        "since": None,
        "until": None,
    },
}
