"""Modules that run in every precision, each near to something that does not."""

import math

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy


class Base(L.LightningModule):
    """What the modules have in common: one loss, logged, and Adam."""

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        # 1e-8, the default, is 0 in float16.
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-4)


class LossInFloat32(Base):
    """The softmax and the loss are exact, as large models have it; the layers are not."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3))

    def loss(self, batch):
        x, y = batch
        logits = self.net(x).float()
        return F.cross_entropy(logits, y, label_smoothing=0.1)


class AttentionInFloat32(Base):
    """Scores are masked and normalised in float32, and cast back."""

    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.qkv, self.norm, self.out = nn.Linear(width, 3 * width), nn.LayerNorm(width), nn.Linear(width, 20)

    def loss(self, batch):
        tokens = batch["tokens"]
        x = self.embed(tokens)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        scores = (q @ k.transpose(1, 2)).float() / math.sqrt(q.shape[-1])
        n = tokens.shape[1]
        later = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(later, -1e9).softmax(dim=-1).to(v.dtype)
        return F.cross_entropy(self.out(weights @ v).flatten(0, 1), tokens.flatten())


class MaskOfTheDtype(Base):
    """The mask is as small as the dtype allows."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 20)

    def loss(self, tokens):
        x = self.embed(tokens)
        n = tokens.shape[1]
        later = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        mask = torch.zeros(n, n, dtype=x.dtype, device=x.device).masked_fill(later, torch.finfo(x.dtype).min)
        scores = x @ x.transpose(1, 2)
        scores = scores.masked_fill(later, torch.finfo(scores.dtype).min)
        x = self.attend(x, x, x, attn_mask=mask, need_weights=False)[0] + scores.softmax(-1) @ x
        return F.cross_entropy(self.out(x).flatten(0, 1), tokens.flatten())


class PositionsCast(Base):
    """Sinusoids are computed in float32, because half precision cannot count, and cast to what they are added to."""

    def __init__(self, width=8, longest=64):
        super().__init__()
        at = torch.arange(longest, dtype=torch.float32)[:, None]
        rates = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
        self.register_buffer("table", torch.cat([(at * rates).sin(), (at * rates).cos()], dim=-1), persistent=False)
        self.embed = nn.Embedding(20, width)
        layer = nn.TransformerEncoderLayer(width, 2, 16, dropout=0.1, batch_first=True)
        self.encode, self.out = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), nn.Linear(width, 20)

    def rotary(self, x):
        angles = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return x * angles.cos()[:, None].to(x.dtype)

    def loss(self, tokens):
        x = self.embed(tokens)
        x = self.rotary(x + self.table[: x.shape[1]])
        return F.cross_entropy(self.out(self.encode(x)).flatten(0, 1), tokens.flatten())


class AggregatesInTheDtype(Base):
    """What messages are summed into has the dtype of the messages."""

    def __init__(self):
        super().__init__()
        self.message, self.out = nn.Linear(4, 8), nn.Linear(8, 1)

    def loss(self, batch):
        nodes, source, target = batch["nodes"], batch["source"], batch["target"]
        messages = self.message(nodes[source])
        summed = messages.new_zeros(len(nodes), 8).index_add_(0, target, messages)
        most = torch.zeros(len(nodes), 8, dtype=messages.dtype, device=nodes.device)
        most = most.scatter_reduce(0, target[:, None].expand_as(messages), messages, "amax")
        return (self.out(summed) + self.out(most)).square().mean()


class WritesIntoBuffers(Base):
    """A queue and a running mean: assignment of a slice casts, and an index is cast by hand."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)
        self.register_buffer("queue", torch.randn(32, 4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))

    def loss(self, batch):
        x, index = batch["x"], batch["index"]
        h = F.normalize(self.net(x), dim=-1)
        loss = F.cross_entropy(h @ self.queue.clone().T.to(h.dtype) / 0.1, index)
        with torch.no_grad():
            self.queue[: len(h)] = h
            self.queue[index] = h.to(self.queue.dtype)
            self.mean.lerp_(h.mean(0).to(self.mean.dtype), 0.1)
            self.mean.copy_(h.mean(0))
            self.total += loss.detach()
        return loss


class ExactWithoutAutocast(Base):
    """The Poisson rate is computed without autocast, from operands that are cast."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(6, 8), nn.Linear(8, 1)

    def loss(self, batch):
        x, y = batch
        h = torch.relu(self.backbone(x))
        with torch.autocast(device_type=x.device.type, enabled=False):
            rate = self.head(h.to(self.head.weight.dtype)).float().clamp(-5, 5).exp().squeeze(-1)
            probability = torch.sigmoid(h.float()).mean(dim=-1)
            return F.poisson_nll_loss(rate, y.float(), log_input=False) + F.binary_cross_entropy(
                probability, (y > 0).float()
            )


class SolvesInFloat32(Base):
    """Whitening: the inverse is there for float32 only, so its operand is cast, and the result cast back."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 4)

    def loss(self, x):
        h = self.net(x)
        with torch.autocast(device_type=h.device.type, enabled=False):
            centred = h.float() - h.float().mean(dim=0)
            covariance = centred.T @ centred / len(h) + 0.1 * torch.eye(4, device=h.device, dtype=centred.dtype)
            root = torch.linalg.cholesky(torch.linalg.inv(covariance))
        return ((h - h.mean(0)) @ root.to(h.dtype)).square().mean() + torch.logdet(covariance).abs()


class SpectrumInFloat32(Base):
    """A spectral loss: complex numbers come from float32."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv1d(1, 1, 5, padding=2)
        self.register_buffer("window", torch.hann_window(8), persistent=False)

    def loss(self, wave):
        out = self.net(wave)
        spectra = [torch.fft.rfft(each.float()).abs() for each in (out, wave)]
        window = self.window.float()
        short = [
            torch.stft(each.float().squeeze(1), 8, window=window, return_complex=True).abs() for each in (out, wave)
        ]
        return F.l1_loss(*spectra) + F.l1_loss(*short)


class CountsInFloat64(Base):
    """Metrics accumulate in float64, or in Python; arrays are made from float32."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.accuracy, self.mean = MulticlassAccuracy(3), MeanMetric()
        self.seen, self.scores = 0.0, []

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.accuracy.update(logits.float(), y)
        self.mean.update(loss.double())
        self.seen += float(loss.detach().double())
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.scores.append(self.net(x).float().cpu().numpy().astype(np.float64))

    def on_validation_epoch_end(self):
        self.log("val_spread", float(np.concatenate(self.scores).std()))
        self.scores.clear()

    def on_train_epoch_end(self):
        self.log("accuracy", self.accuracy.compute())
        self.log("mean", self.mean.compute().float())
        self.accuracy.reset()
        self.mean.reset()


class LossInFloat64(Base):
    """A mixture's likelihood, computed in float64 on purpose: the network's output is cast."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 9)
        self.register_buffer("offsets", torch.linspace(-1, 1, 3))

    def loss(self, batch):
        x, y = batch
        weight, mean, scale = self.net(x).double().chunk(3, dim=-1)
        mean, scale = mean + self.offsets.double(), F.softplus(scale) + 1e-3
        density = torch.distributions.Normal(mean, scale).log_prob(y.double()[:, None])
        return -torch.logsumexp(weight.log_softmax(-1) + density, dim=-1).mean().to(x.dtype)


class StatesLikeTheInput(Base):
    """Recurrent layers: the first state is of the input's dtype, or is left out; a cell is stepped by hand."""

    def __init__(self, hidden=6):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(4, hidden, batch_first=True), nn.GRU(hidden, hidden, batch_first=True)
        self.cell, self.out = nn.GRUCell(hidden, hidden), nn.Linear(hidden, 1)

    def loss(self, batch):
        x, y = batch["x"], batch["y"]
        first = torch.zeros(1, len(x), 6, dtype=x.dtype, device=x.device)
        states, _ = self.lstm(x, (first, torch.zeros_like(first)))
        states, _ = self.gru(states)
        hidden = states[:, 0]
        for step in range(1, states.shape[1]):
            hidden = self.cell(states[:, step], hidden)
        return F.mse_loss(self.out(hidden).squeeze(-1), y)


class ImagesOfBytes(Base):
    """Pixels come as bytes, and become what the module computes in."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
        self.register_buffer("pixel_mean", torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1))

    def loss(self, batch):
        image, label = batch["image"], batch["label"]
        image = image.to(self.dtype) / 255 - self.pixel_mean
        target = F.one_hot(label, 3).to(image.dtype)
        return F.binary_cross_entropy_with_logits(self.net(image), target)


class Timesteps(Base):
    """Diffusion: the schedule is made in float64, kept in float32, and gathered into the dtype of the images."""

    def __init__(self, steps=50):
        super().__init__()
        betas = torch.from_numpy(np.linspace(1e-4, 0.02, steps))
        self.register_buffer("kept", torch.cumprod(1 - betas, dim=0).float())
        self.net = nn.Sequential(nn.Linear(7, 16), nn.SiLU(), nn.Linear(16, 6))

    def loss(self, x):
        t = torch.randint(0, len(self.kept), (len(x),), device=x.device)
        kept = self.kept[t].to(x.dtype)[:, None]
        noise = torch.randn_like(x)
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * noise
        return F.mse_loss(self.net(torch.cat([noisy, t[:, None].to(x.dtype) / 50], dim=-1)), noise)


class RightWithinRange(Base):
    """Logarithms and exponentials that stay within what bfloat16 and float16 have."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 1)

    def loss(self, batch):
        x, y = batch
        logits = self.net(x).squeeze(-1)
        p = torch.sigmoid(logits.float()).clamp(1e-6, 1 - 1e-6)
        focal = -(y * (1 - p) ** 2 * p.log() + (1 - y) * p**2 * (1 - p).log())
        return focal.mean() + F.binary_cross_entropy_with_logits(logits, y) + torch.log(logits.square() + 1e-3).mean()


LEGITIMATE = {
    "LossInFloat32": {"batch": "float[5,8], int[5]<3"},
    "AttentionInFloat32": {"batch": "{tokens: int[5,7]<20}"},
    "MaskOfTheDtype": {"batch": "int[5,7]<20"},
    "PositionsCast": {"batch": "int[5,7]<20"},
    "AggregatesInTheDtype": {"batch": "{nodes: float[9,4], source: int[12]<9, target: int[12]<9}"},
    "WritesIntoBuffers": {"batch": "{x: float[5,6], index: int[5]<32}"},
    "ExactWithoutAutocast": {"batch": "float[5,6], int[5]<4"},
    "SolvesInFloat32": {"batch": "float[6,8]"},
    "SpectrumInFloat32": {"batch": "float[5,1,16]"},
    "CountsInFloat64": {"batch": "float[5,8], int[5]<3"},
    "LossInFloat64": {"batch": "float[5,4], float[5]"},
    "StatesLikeTheInput": {"batch": "{x: float[5,7,4], y: float[5]}"},
    "ImagesOfBytes": {"batch": "{image: uint8[5,3,8,8]<256, label: int[5]<3}"},
    "Timesteps": {"batch": "float[5,6]"},
    "RightWithinRange": {"batch": "float[16,8], float[16] in 0..1"},
}
