"""A generative adversarial network: two optimizers that take turns, hence manual optimization."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GAN(pl.LightningModule):
    """A generator and a discriminator of flattened images, with the non-saturating loss.

    A batch is ``(images, labels)``: ``images`` float of shape ``(batch, pixels)`` or any shape that flattens
    to it, such as ``(batch, 1, 28, 28)``; the labels are not used.
    """

    def __init__(self, pixels: int = 784, latent: int = 16, hidden: int = 64, lr: float = 2e-4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, pixels),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, _ = batch
        noise = torch.randn(len(images), self.hparams.latent, device=images.device, dtype=images.dtype)
        optimizer_g, optimizer_d = self.optimizers()

        # Toggling freezes the other player, whose gradients would otherwise be computed as well.
        with optimizer_g.toggle_model():
            g_loss = self._generator_loss(noise)
            self._step(optimizer_g, g_loss)
        with optimizer_d.toggle_model():
            d_loss = self._discriminator_loss(images, noise)
            self._step(optimizer_d, d_loss)

        losses = {"g_loss": g_loss, "d_loss": d_loss, "train_loss": g_loss + d_loss}
        self.log_dict(losses, on_step=False, on_epoch=True)

    def _generator_loss(self, noise: Tensor) -> Tensor:
        verdict = self.discriminator(self(noise))
        return F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))

    def _discriminator_loss(self, images: Tensor, noise: Tensor) -> Tensor:
        on_real = self.discriminator(images)
        on_fake = self.discriminator(self(noise).detach())
        real_loss = F.binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
        fake_loss = F.binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))
        return (real_loss + fake_loss) / 2

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        lr, betas = self.hparams.lr, (0.5, 0.999)
        return [
            torch.optim.Adam(self.generator.parameters(), lr=lr, betas=betas),
            torch.optim.Adam(self.discriminator.parameters(), lr=lr, betas=betas),
        ]
