"""Autoencoders, GANs, diffusion, flows."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import nn

from inference_suite.expectations import batch_of


@batch_of("float[B,1,28,28], ?", example="float[B,1,28,28] in 0..1, int[B]<10")
class ConvolutionalVae(Adam):
    def __init__(self, latent_dim=4):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten()
        )
        self.fc_mu, self.fc_var = nn.Linear(16 * 7 * 7, latent_dim), nn.Linear(16 * 7 * 7, latent_dim)
        self.decoder_input = nn.Linear(latent_dim, 16 * 7 * 7)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1), nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 3, 2, 1, output_padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def training_step(self, batch, batch_idx):
        x, _ = batch
        h = self.encoder(x)
        mu, log_var = self.fc_mu(h), self.fc_var(h)
        std = torch.exp(log_var / 2)
        z = torch.distributions.Normal(mu, std).rsample()
        x_hat = self.decoder(self.decoder_input(z).view(-1, 16, 7, 7))
        recon_loss = F.mse_loss(x_hat, x, reduction="none").sum(dim=(1, 2, 3)).mean()
        kl = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        elbo = kl + recon_loss
        self.log_dict({"elbo": elbo, "kl": kl, "recon_loss": recon_loss})
        return elbo


@batch_of("float[B,3,16,16], ?", example="float[B,3,16,16], int[B]<10")
class WassersteinGan(LightningModule):
    def __init__(self, latent_dim=8):
        super().__init__()
        self.automatic_optimization = False
        self.latent_dim = latent_dim
        self.generator = nn.Sequential(nn.Linear(latent_dim, 3 * 16 * 16), nn.Tanh(), nn.Unflatten(1, (3, 16, 16)))
        self.critic = nn.Sequential(
            nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(16 * 4 * 4, 1),
        )  # fmt: skip

    def gradient_penalty(self, real, fake):
        alpha = torch.rand(real.size(0), 1, 1, 1, device=self.device)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        scores = self.critic(mixed)
        grads = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True, retain_graph=True)[0]
        return ((grads.view(grads.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()

    def training_step(self, batch, batch_idx):
        real, _ = batch
        opt_g, opt_c = self.optimizers()
        z = torch.randn(real.shape[0], self.latent_dim, device=self.device)
        self.toggle_optimizer(opt_c)
        fake = self.generator(z).detach()
        c_loss = self.critic(fake).mean() - self.critic(real).mean() + 10 * self.gradient_penalty(real, fake)
        opt_c.zero_grad()
        self.manual_backward(c_loss)
        opt_c.step()
        self.untoggle_optimizer(opt_c)
        self.toggle_optimizer(opt_g)
        g_loss = -self.critic(self.generator(z)).mean()
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        self.untoggle_optimizer(opt_g)
        self.log_dict({"g_loss": g_loss, "c_loss": c_loss}, prog_bar=True)

    def configure_optimizers(self):
        opt_g = torch.optim.RMSprop(self.generator.parameters(), lr=5e-5)
        return opt_g, torch.optim.RMSprop(self.critic.parameters(), lr=5e-5)


@batch_of(
    "float[B,1,28,28], int[B]<10",
    "float[B,28,28], int[B]<10",
    "float[B,784], int[B]<10",
    example="float[B,1,28,28], int[B]<10",
)
class ConditionalGan(LightningModule):
    def __init__(self, n_classes=10):
        super().__init__()
        self.automatic_optimization = False
        self.label_emb = nn.Embedding(n_classes, n_classes)
        self.generator = nn.Sequential(nn.Linear(16 + n_classes, 32), nn.ReLU(), nn.Linear(32, 784), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(784 + n_classes, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        self.loss = nn.BCEWithLogitsLoss()

    def discriminate(self, images, labels):
        flat = images.view(images.size(0), -1)
        return self.discriminator(torch.cat([flat, self.label_emb(labels)], dim=1))

    def training_step(self, batch, batch_idx):
        imgs, labels = batch
        g_opt, d_opt = self.optimizers()
        valid = torch.ones(imgs.size(0), 1, device=self.device)
        z = torch.randn(imgs.size(0), 16, device=self.device)
        gen_imgs = self.generator(torch.cat([z, self.label_emb(labels)], dim=1))
        g_loss = self.loss(self.discriminate(gen_imgs, labels), valid)
        g_opt.zero_grad()
        self.manual_backward(g_loss)
        g_opt.step()
        real_loss = self.loss(self.discriminate(imgs, labels), valid)
        fake_loss = self.loss(self.discriminate(gen_imgs.detach(), labels), torch.zeros_like(valid))
        d_loss = (real_loss + fake_loss) / 2
        d_opt.zero_grad()
        self.manual_backward(d_loss)
        d_opt.step()
        self.log("g_loss", g_loss)
        self.log("d_loss", d_loss)

    def configure_optimizers(self):
        g = torch.optim.Adam([*self.generator.parameters(), *self.label_emb.parameters()], lr=2e-4)
        return [g, torch.optim.Adam(self.discriminator.parameters(), lr=2e-4)]


@batch_of("{image: float[B,3,H,W], class_label: int[B]<5}", example="{image: float[B,3,16,16], class_label: int[B]<4}")
class ClassConditionalDiffusion(Adam):
    """Time steps are drawn; classes are dropped for guidance."""

    def __init__(self, num_steps=50, num_classes=4):
        super().__init__()
        self.num_steps, self.num_classes = num_steps, num_classes
        betas = torch.linspace(1e-4, 0.02, num_steps)
        self.register_buffer("alpha_bar", torch.cumprod(1 - betas, dim=0))
        self.class_emb = nn.Embedding(num_classes + 1, 16)
        self.time_mlp = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
        self.conv_in, self.conv_out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)

    @staticmethod
    def time_embedding(t, dim=16):
        freqs = torch.exp(-math.log(10000) * torch.arange(dim // 2, device=t.device) / (dim // 2))
        args = t[:, None].float() * freqs[None]
        return torch.cat([args.cos(), args.sin()], dim=-1)

    def forward(self, x, t, c):
        emb = self.time_mlp(self.time_embedding(t)) + self.class_emb(c)
        h = F.silu(self.norm(self.conv_in(x)) + emb[..., None, None])
        return self.conv_out(h)

    def training_step(self, batch, batch_idx):
        x, c = batch["image"], batch["class_label"]
        drop = torch.rand(c.shape, device=self.device) < 0.1
        c = torch.where(drop, torch.full_like(c, self.num_classes), c)
        t = torch.randint(0, self.num_steps, (x.size(0),), device=self.device)
        noise = torch.randn_like(x)
        a = self.alpha_bar[t].view(-1, 1, 1, 1)
        loss = F.mse_loss(self(a.sqrt() * x + (1 - a).sqrt() * noise, t, c), noise)
        self.log("train_loss", loss)
        return loss


@batch_of("(float[B,4],)", "float[B,4], ?", example="(float[B,4],)")
class CouplingFlow(Adam):
    def __init__(self, dim=4, layers=2):
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(dim // 2, 16), nn.ReLU(), nn.Linear(16, dim)) for _ in range(layers)
        )
        self.register_buffer("loc", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    @property
    def base_dist(self):
        return torch.distributions.Independent(torch.distributions.Normal(self.loc, self.scale), 1)

    def training_step(self, batch, batch_idx):
        x = batch[0]
        log_det = torch.zeros(x.shape[0], device=self.device)
        for net in self.nets:
            x1, x2 = x.chunk(2, dim=1)
            s, t = net(x1).chunk(2, dim=1)
            s = torch.tanh(s)
            x = torch.cat([x2 * s.exp() + t, x1], dim=1)
            log_det = log_det + s.sum(dim=1)
        loss = -(self.base_dist.log_prob(x) + log_det).mean()
        self.log("train_loss", loss, prog_bar=True)
        return loss


@batch_of("{A: float[B,3,H,W], B: float[B,3,H,W]}", example="{A: float[B,3,16,16], B: float[B,3,16,16]}")
class PairedTranslation(LightningModule):
    """As Pix2Pix: keys held in attributes, two optimizers."""

    def __init__(self, source_key="A", target_key="B"):
        super().__init__()
        self.automatic_optimization = False
        self.source_key, self.target_key = source_key, target_key
        self.gen = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1), nn.Tanh())
        self.disc = nn.Sequential(nn.Conv2d(6, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, 1, 1))
        self.adversarial, self.recon = nn.BCEWithLogitsLoss(), nn.L1Loss()

    def training_step(self, batch, batch_idx):
        real, condition = batch[self.target_key], batch[self.source_key]
        opt_d, opt_g = self.optimizers()
        fake = self.gen(condition)
        pred_fake = self.disc(torch.cat([condition, fake.detach()], 1))
        pred_real = self.disc(torch.cat([condition, real], 1))
        d_loss = 0.5 * (
            self.adversarial(pred_fake, torch.zeros_like(pred_fake))
            + self.adversarial(pred_real, torch.ones_like(pred_real))
        )
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        pred = self.disc(torch.cat([condition, fake], 1))
        g_loss = self.adversarial(pred, torch.ones_like(pred)) + 100 * self.recon(fake, real)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        self.log_dict({"PatchGAN Loss": d_loss, "Generator Loss": g_loss})

    def configure_optimizers(self):
        return [torch.optim.Adam(self.disc.parameters()), torch.optim.Adam(self.gen.parameters())]


@batch_of("float[B,1,H,W], ?", "float[B,1,?,?], ?", example="float[B,1,28,28] in 0..1, int[B]<10")
class VectorQuantized(Adam):
    def __init__(self, codes=16, dim=4):
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(1, dim, 4, stride=4), nn.ConvTranspose2d(dim, 1, 4, stride=4)
        self.codebook = nn.Embedding(codes, dim)

    def training_step(self, batch, batch_idx):
        images, *_ = batch
        z = self.encoder(images).permute(0, 2, 3, 1)
        flat = z.reshape(-1, z.shape[-1])
        index = torch.cdist(flat, self.codebook.weight).argmin(dim=1)
        quantized = self.codebook(index).view(z.shape)
        commitment = F.mse_loss(z, quantized.detach()) * 0.25 + F.mse_loss(quantized, z.detach())
        quantized = z + (quantized - z).detach()
        loss = F.mse_loss(self.decoder(quantized.permute(0, 3, 1, 2)), images) + commitment
        self.log("train_loss", loss)
        return loss
