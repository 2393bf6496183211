"""Representations and what is generated: queues, twins, masks, style, worlds, experts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import Tensor, nn

from inference_unseen.registry import batch_of


def small_encoder(dim):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, dim)
    )


@batch_of(
    "(float[B,3,?,?], float[B,3,?,?]), ?",
    example="(float[B,3,16,16], float[B,3,16,16]), int[B]",
)
class MocoQueue(LightningModule):
    def __init__(self, dim=8, queue_size=64, momentum=0.99, temperature=0.07):
        super().__init__()
        self.save_hyperparameters()
        self.encoder_q, self.encoder_k = small_encoder(dim), small_encoder(dim)
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            k.data.copy_(q.data)
            k.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(dim, queue_size), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def _update_key_encoder(self):
        em = self.hparams.momentum
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            k.data = k.data * em + q.data * (1.0 - em)

    @torch.no_grad()
    def _dequeue_and_enqueue(self, keys):
        ptr = int(self.queue_ptr)
        size = min(keys.shape[0], self.hparams.queue_size - ptr)
        self.queue[:, ptr : ptr + size] = keys.T[:, :size]
        self.queue_ptr[0] = (ptr + size) % self.hparams.queue_size

    def training_step(self, batch, batch_idx):
        (img_1, img_2), _ = batch
        q = F.normalize(self.encoder_q(img_1), dim=1)
        with torch.no_grad():
            self._update_key_encoder()
            k = F.normalize(self.encoder_k(img_2), dim=1)
        l_pos = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", [q, self.queue.clone().detach()])
        logits = torch.cat([l_pos, l_neg], dim=1) / self.hparams.temperature
        loss = F.cross_entropy(logits, torch.zeros(logits.shape[0], dtype=torch.long, device=self.device))
        self._dequeue_and_enqueue(k)
        self.log_dict({"train_loss": loss})
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.encoder_q.parameters(), 0.03, momentum=0.9, weight_decay=1e-4)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)]


@batch_of(
    "[float[B,3,?,?], float[B,3,?,?]], ?, ?",
    example="[float[B,3,16,16], float[B,3,16,16]], int[B], int[B]",
)
class SimSiamOfThree(Adam):
    def __init__(self):
        super().__init__()
        self.backbone = small_encoder(8)
        self.projection = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16))
        self.prediction = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16))
        self.criterion = nn.CosineSimilarity(dim=1)

    def forward(self, x):
        z = self.projection(self.backbone(x))
        return z.detach(), self.prediction(z)

    def training_step(self, batch, batch_idx):
        (x0, x1), _, fnames = batch
        z0, p0 = self.forward(x0)
        z1, p1 = self.forward(x1)
        loss = -0.5 * (self.criterion(z0, p1).mean() + self.criterion(z1, p0).mean())
        self.log("train_loss_ssl", loss)
        return loss


@batch_of(
    "[float[B,3,?,?], ...], ?",
    example="[float[B,3,24,24], float[B,3,24,24], float[B,3,12,12], float[B,3,12,12]], int[B]",
)
class MultiCropTeacher(Adam):
    """The first two crops go through the teacher, all of them through the student."""

    def __init__(self, n_global=2):
        super().__init__()
        self.n_global = n_global
        self.student, self.teacher = small_encoder(12), small_encoder(12)
        self.teacher.requires_grad_(False)
        self.register_buffer("center", torch.zeros(1, 12))

    def training_step(self, batch, batch_idx):
        crops, _ = batch
        with torch.no_grad():
            targets = [F.softmax((self.teacher(c) - self.center) / 0.04, dim=-1) for c in crops[: self.n_global]]
        outputs = [F.log_softmax(self.student(c) / 0.1, dim=-1) for c in crops]
        terms = [-(t * o).sum(-1).mean() for i, t in enumerate(targets) for j, o in enumerate(outputs) if i != j]
        loss = sum(terms) / len(terms)
        self.log("train/loss", loss, batch_size=len(crops[0]))
        return loss

    def on_train_batch_end(self, *args):
        with torch.no_grad():
            for s, t in zip(self.student.parameters(), self.teacher.parameters()):
                t.mul_(0.99).add_(s, alpha=0.01)


@batch_of("float[B,3,?,?]", "(float[B,3,?,?],)", "float[B,3,?,?], ?", example="float[B,3,16,16]")
class MaskedAutoencoder(Adam):
    def __init__(self, patch=4, dim=16, ratio=0.75):
        super().__init__()
        self.p, self.ratio = patch, ratio
        self.embed, self.decode = nn.Linear(3 * patch * patch, dim), nn.Linear(dim, 3 * patch * patch)
        self.pos, self.mask_token = nn.Parameter(torch.randn(1, 16, dim)), nn.Parameter(torch.zeros(1, 1, dim))
        self.enc = nn.TransformerEncoderLayer(dim, 2, 32, batch_first=True)

    def patchify(self, imgs):
        n, c, h, w = imgs.shape
        x = imgs.reshape(n, c, h // self.p, self.p, w // self.p, self.p)
        return torch.einsum("nchpwq->nhwpqc", x).reshape(n, -1, c * self.p * self.p)

    def training_step(self, batch, batch_idx):
        imgs = batch[0] if isinstance(batch, (tuple, list)) else batch
        patches = self.patchify(imgs)
        tokens = self.embed(patches) + self.pos
        hidden = torch.rand(tokens.shape[:2], device=tokens.device) < self.ratio
        tokens = torch.where(hidden.unsqueeze(-1), self.mask_token, tokens)
        loss = ((self.decode(self.enc(tokens)) - patches) ** 2).mean(-1)
        loss = (loss * hidden).sum() / hidden.sum().clamp(min=1)
        self.log("train_loss", loss)
        return loss


@dataclass
class Captioned:
    image: Tensor
    caption: Tensor


@batch_of(
    "Captioned(image: float[B,3,?,?], caption: int[B,?]<90)",
    example=lambda: Captioned(torch.randn(5, 3, 16, 16), torch.randint(0, 90, (5, 7))),
)
class SigmoidImageText(Adam):
    """Pairs of pictures and captions, a sigmoid for each pair."""

    def __init__(self):
        super().__init__()
        self.visual, self.token, self.text = small_encoder(12), nn.Embedding(90, 12), nn.Linear(12, 12)
        self.t_prime, self.bias = nn.Parameter(torch.tensor(2.3)), nn.Parameter(torch.tensor(-10.0))

    def training_step(self, batch: Captioned, batch_idx: int) -> Tensor:
        zimg = F.normalize(self.visual(batch.image), dim=-1)
        ztxt = F.normalize(self.text(self.token(batch.caption).mean(1)), dim=-1)
        logits = zimg @ ztxt.T * self.t_prime.exp() + self.bias
        labels = 2 * torch.eye(len(zimg), device=self.device) - 1
        loss = -F.logsigmoid(labels * logits).sum() / len(zimg)
        self.log("train_loss", loss, batch_size=len(zimg))
        return loss


@batch_of("float[B,3,?,?], ?", "(float[B,3,?,?],)", example="float[B,3,16,16], int[B]")
class StyleTransfer(Adam):
    """Gram matrices of a fixed style."""

    def __init__(self, style_weight=10.0):
        super().__init__()
        self.style_weight = style_weight
        self.transform = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)
        )
        self.vgg = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()).requires_grad_(False)
        self.register_buffer("style_gram", torch.rand(6, 6))

    @staticmethod
    def gram(y):
        b, ch, h, w = y.size()
        features = y.view(b, ch, w * h)
        return features.bmm(features.transpose(1, 2)) / (ch * h * w)

    def training_step(self, train_batch, batch_idx):
        x = train_batch[0]
        y = self.transform(x)
        f_x, f_y = self.vgg(x), self.vgg(y)
        content = F.mse_loss(f_y, f_x)
        style = F.mse_loss(self.gram(f_y), self.style_gram.expand(len(x), -1, -1))
        tv = (y[..., 1:] - y[..., :-1]).abs().mean() + (y[..., 1:, :] - y[..., :-1, :]).abs().mean()
        loss = content + self.style_weight * style + 1e-4 * tv
        self.log("loss", loss, batch_size=len(x))
        return loss


@batch_of("{img: float[B,1,16,16]}", "{img: float[B,256]}", example="{img: float[B,1,16,16]}")
class HingeGan(LightningModule):
    """The discriminator learns more often than the generator."""

    def __init__(self, z_dim: int = 8, n_critic: int = 2):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.G = nn.Sequential(
            nn.Linear(z_dim, 32), nn.ReLU(), nn.Linear(32, 256), nn.Tanh(), nn.Unflatten(1, (1, 16, 16))
        )
        self.D = nn.Sequential(
            nn.Flatten(), nn.utils.spectral_norm(nn.Linear(256, 16)), nn.LeakyReLU(), nn.Linear(16, 1)
        )

    def training_step(self, batch, batch_idx):
        real = batch["img"]
        g_opt, d_opt = self.optimizers()
        z = torch.randn(real.size(0), self.hparams.z_dim).type_as(real)
        d_loss = F.relu(1.0 - self.D(real)).mean() + F.relu(1.0 + self.D(self.G(z).detach())).mean()
        d_opt.zero_grad()
        self.manual_backward(d_loss)
        d_opt.step()
        self.log("d_loss", d_loss, prog_bar=True)
        if (batch_idx + 1) % self.hparams.n_critic == 0:
            g_loss = -self.D(self.G(z)).mean()
            g_opt.zero_grad()
            self.manual_backward(g_loss)
            g_opt.step()
            self.log("g_loss", g_loss, prog_bar=True)

    def configure_optimizers(self):
        g = torch.optim.Adam(self.G.parameters(), lr=1e-4, betas=(0.0, 0.9))
        d = torch.optim.Adam(self.D.parameters(), lr=4e-4, betas=(0.0, 0.9))
        return [g, d], []


@batch_of(
    "{observation: float[B,T,6], action: float[B,T,2], reward: float[B,T]}",
    example="{observation: float[B,9,6], action: float[B,9,2], reward: float[B,9]}",
)
class WorldModel(Adam):
    """Latents roll on with the actions."""

    def __init__(self, obs=6, act=2, latent=10):
        super().__init__()
        self.latent = latent
        self.encoder, self.cell = nn.Linear(obs, 8), nn.GRUCell(8 + act, latent)
        self.decoder, self.reward_head = nn.Linear(latent, obs), nn.Linear(latent, 1)

    def training_step(self, batch, batch_idx):
        obs, action, reward = batch["observation"], batch["action"], batch["reward"]
        h = obs.new_zeros(obs.shape[0], self.latent)
        recon_loss, reward_loss = 0.0, 0.0
        for t in range(obs.shape[1] - 1):
            h = self.cell(torch.cat([self.encoder(obs[:, t]), action[:, t]], dim=-1), h)
            recon_loss += F.mse_loss(self.decoder(h), obs[:, t + 1])
            reward_loss += F.mse_loss(self.reward_head(h).squeeze(-1), reward[:, t + 1])
        loss = recon_loss + reward_loss
        self.log_dict({"recon": recon_loss, "reward": reward_loss, "train_loss": loss})
        return loss


@batch_of(
    "float[B,K,1], float[B,K,1], float[B,Q,1], float[B,Q,1]",
    example="float[B,5,1], float[B,5,1], float[B,8,1], float[B,8,1]",
)
class FewShotMaml(LightningModule):
    """A gradient step for each task, then the outer loss."""

    def __init__(self, inner_lr=0.01):
        super().__init__()
        self.automatic_optimization = False
        self.inner_lr = inner_lr
        self.model = nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        support_x, support_y, query_x, query_y = batch
        opt = self.optimizers()
        outer = 0.0
        for sx, sy, qx, qy in zip(support_x, support_y, query_x, query_y):
            params = dict(self.model.named_parameters())
            inner = F.mse_loss(torch.func.functional_call(self.model, params, (sx,)), sy)
            grads = torch.autograd.grad(inner, list(params.values()), create_graph=True)
            fast = {name: p - self.inner_lr * g for (name, p), g in zip(params.items(), grads)}
            outer = outer + F.mse_loss(torch.func.functional_call(self.model, fast, (qx,)), qy)
        outer = outer / len(support_x)
        opt.zero_grad()
        self.manual_backward(outer)
        opt.step()
        self.log("outer_loss", outer)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@batch_of("float[B,3,?,?]", example="float[B,3,16,16]")
class BlindDenoiser(Adam):
    """Only clean pictures come; the noise is ours."""

    def __init__(self):
        super().__init__()
        self.dncnn = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def training_step(self, clean, batch_idx):
        sigma = torch.empty(clean.shape[0], 1, 1, 1, device=clean.device).uniform_(0, 55 / 255)
        noise = torch.randn_like(clean) * sigma
        loss = F.mse_loss(self.dncnn(clean + noise), noise)
        psnr = -10 * torch.log10(F.mse_loss(clean + noise - self.dncnn(clean + noise), clean).detach())
        self.log("train_loss", loss)
        self.log("train_psnr", psnr)
        return loss
