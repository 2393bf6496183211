"""Parameters that are frozen, shared, lazy, rarely used or slow to start, all on purpose."""

import copy
import random

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.utils.checkpoint import checkpoint


class FrozenBackboneUnderNoGrad(pl.LightningModule):
    """Frozen, kept in evaluation mode, run without a graph; the optimizer filters."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.backbone.requires_grad_(False).eval()
        self.head = nn.Linear(4, 3)

    def train(self, mode: bool = True):
        super().train(mode)
        self.backbone.eval()
        return self

    def training_step(self, batch, batch_idx):
        image, label = batch
        with torch.no_grad():
            features = self.backbone(image).flatten(1)
        loss = F.cross_entropy(self.head(features), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return AdamW((p for p in self.parameters() if p.requires_grad), lr=1e-3)


class FrozenEmbeddingInGraph(pl.LightningModule):
    """Frozen and still given to the optimizer; gradients flow past it."""

    def __init__(self):
        super().__init__()
        self.prompt = nn.Parameter(torch.zeros(2, 6))
        self.embed = nn.Embedding.from_pretrained(torch.randn(30, 6), freeze=True)
        self.mixer = nn.Linear(6, 6)
        self.mixer.requires_grad_(False)
        self.out = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        tokens, label = batch
        prompt = self.prompt.expand(len(tokens), -1, -1)
        hidden = torch.tanh(self.mixer(torch.cat([prompt, self.embed(tokens)], dim=1))).mean(dim=1)
        loss = F.cross_entropy(self.out(hidden), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class MeanTeacher(pl.LightningModule):
    """The teacher moves by exponential averaging, not by gradients."""

    def __init__(self, decay: float = 0.9):
        super().__init__()
        self.decay = decay
        self.student = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False).eval()

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.student(x)
        with torch.no_grad():
            target = self.teacher(x + 0.1 * torch.randn_like(x)).softmax(dim=-1)
        loss = F.cross_entropy(logits, y) + F.kl_div(logits.log_softmax(-1), target, reduction="batchmean")
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_batch_end(self, *args):
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters()):
            slow.data.lerp_(fast.data, 1 - self.decay)

    def configure_optimizers(self):
        return SGD(self.student.parameters(), lr=0.05)


class MomentumContrast(pl.LightningModule):
    """A key encoder by momentum, and a queue of negatives in a buffer."""

    def __init__(self, dim: int = 4, queue: int = 16):
        super().__init__()
        self.encoder_q = nn.Linear(10, dim)
        self.encoder_k = nn.Linear(10, dim)
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
            k.data.copy_(q.data)
            k.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(queue, dim), dim=-1))

    def training_step(self, batch, batch_idx):
        view_a, view_b = batch
        q = F.normalize(self.encoder_q(view_a), dim=-1)
        with torch.no_grad():
            for p_q, p_k in zip(self.encoder_q.parameters(), self.encoder_k.parameters()):
                p_k.mul_(0.99).add_(p_q, alpha=0.01)
            k = F.normalize(self.encoder_k(view_b), dim=-1)
        logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ self.queue.clone().T], dim=1) / 0.2
        loss = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=self.device))
        self.queue = torch.cat([k, self.queue])[: len(self.queue)]
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.encoder_q.parameters(), lr=0.03)


class TeacherHiddenInList(pl.LightningModule):
    """A plain list keeps the frozen teacher out of the checkpoint, deliberately."""

    def __init__(self):
        super().__init__()
        self.student = nn.Linear(9, 3)
        teacher = nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 3))
        teacher.requires_grad_(False)
        self._teacher = [teacher.eval()]

    def training_step(self, x, batch_idx):
        target = self._teacher[0].to(x.device)(x).softmax(dim=-1)
        loss = F.cross_entropy(self.student(x), target)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-2)


class ListAliasesRegisteredLayers(pl.LightningModule):
    """A plain list of layers that are attributes as well."""

    def __init__(self, depth: int = 3):
        super().__init__()
        for i in range(depth):
            setattr(self, f"layer_{i}", nn.Linear(6, 6))
        self.layers = [getattr(self, f"layer_{i}") for i in range(depth)]
        self.by_name = {"first": self.layer_0, "last": self.layers[-1]}

    def training_step(self, x, batch_idx):
        out = x
        for layer in self.layers:
            out = torch.tanh(layer(out))
        loss = F.mse_loss(out, x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class TiedWeights(pl.LightningModule):
    """Input and output embeddings are one tensor."""

    def __init__(self, vocabulary: int = 25, dim: int = 8):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.lm_head = nn.Linear(dim, vocabulary, bias=False)
        self.lm_head.weight = self.embed.weight

    def training_step(self, batch, batch_idx):
        states, _ = self.gru(self.embed(batch[:, :-1]))
        loss = F.cross_entropy(self.lm_head(states).flatten(0, 1), batch[:, 1:].flatten())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return AdamW(self.parameters(), lr=1e-3)


class LazyLayers(pl.LightningModule):
    """Shapes are unknown until the first batch, and the optimizer has the placeholders."""

    def __init__(self):
        super().__init__()
        self.conv = nn.LazyConv1d(4, 3)
        self.fc = nn.LazyLinear(2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.fc(torch.relu(self.conv(x)).flatten(1)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class LowRankAdapter(pl.LightningModule):
    """One factor starts at zero, so the other has a zero gradient in the first step."""

    def __init__(self, rank: int = 2):
        super().__init__()
        self.base = nn.Linear(8, 3)
        self.base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, 8) * 0.1)
        self.lora_b = nn.Parameter(torch.zeros(3, rank))

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.base(x) + x @ self.lora_a.T @ self.lora_b.T
        loss = F.cross_entropy(logits, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD([self.lora_a, self.lora_b], lr=0.5)


class StochasticDepth(pl.LightningModule):
    """Each block is left out of some batches altogether."""

    def __init__(self, drop: float = 0.3):
        super().__init__()
        self.drop = drop
        self.stem = nn.Linear(7, 6)
        self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = self.stem(x)
        for block in self.blocks:
            if random.random() >= self.drop:
                x = x + torch.tanh(block(x))
        loss = F.cross_entropy(self.head(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class MixtureOfExperts(pl.LightningModule):
    """Top-1 routing: in a small batch an expert may go without a sample."""

    def __init__(self, experts: int = 2):
        super().__init__()
        self.router = nn.Linear(8, experts)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))
        self.out = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        gate, choice = self.router(x).softmax(dim=-1).max(dim=-1)
        mixed = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = (choice == index).nonzero()[:, 0]
            if len(rows):
                mixed = mixed.index_copy(0, rows, expert(x[rows]))
        loss = F.mse_loss(self.out(mixed * gate[:, None]), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class CheckpointedReentrant(pl.LightningModule):
    """Reentrant checkpointing runs a backward pass inside the backward pass."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(10, 8)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        hidden = checkpoint(self.block, self.stem(x), use_reentrant=True)
        loss = F.cross_entropy(self.head(hidden), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class CheckpointedNotReentrant(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))

    def training_step(self, x, batch_idx):
        out = x
        for block in self.blocks:
            out = torch.tanh(checkpoint(block, out, use_reentrant=False))
        loss = F.smooth_l1_loss(out, x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class SparseEmbeddingRows(pl.LightningModule):
    """Sparse gradients, and a table of which most rows are never looked up."""

    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(500, 4, sparse=True)
        self.bias = nn.Parameter(torch.zeros(4))

    def training_step(self, batch, batch_idx):
        ids, label = batch
        loss = F.cross_entropy(self.table(ids) + self.bias, label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.5)


class OnlySparseGradients(pl.LightningModule):
    """Every gradient is sparse."""

    def __init__(self):
        super().__init__()
        self.users = nn.Embedding(40, 4, sparse=True)
        self.items = nn.Embedding(50, 4, sparse=True)

    def training_step(self, batch, batch_idx):
        user, item, rating = batch
        loss = F.mse_loss((self.users(user) * self.items(item)).sum(1), rating)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SparseAdam(list(self.parameters()), lr=1e-2)


class ComplexFilter(pl.LightningModule):
    """A complex parameter in the frequency domain."""

    def __init__(self, length: int = 12):
        super().__init__()
        self.filter = nn.Parameter(torch.ones(length // 2 + 1, dtype=torch.complex64))

    def training_step(self, batch, batch_idx):
        noisy, clean = batch
        restored = torch.fft.irfft(torch.fft.rfft(noisy) * self.filter, n=noisy.size(-1))
        loss = F.mse_loss(restored, clean)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class ParametersInContainers(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(6, 6) * 0.1) for _ in range(2)])
        self.named = nn.ParameterDict({"scale": nn.Parameter(torch.ones(6)), "shift": nn.Parameter(torch.zeros(6))})

    def training_step(self, x, batch_idx):
        out = x
        for weight in self.weights:
            out = torch.relu(out @ weight)
        loss = F.mse_loss(out * self.named["scale"] + self.named["shift"], x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class UncertaintyWeighted(pl.LightningModule):
    """Learned log-variances weigh two losses; parameter groups without decay."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(8, 6)
        self.depth = nn.Linear(6, 1)
        self.kind = nn.Linear(6, 3)
        self.log_variance = nn.Parameter(torch.zeros(2))

    def training_step(self, batch, batch_idx):
        features = torch.relu(self.trunk(batch["x"]))
        losses = torch.stack(
            [
                F.mse_loss(self.depth(features), batch["depth"]),
                F.cross_entropy(self.kind(features), batch["kind"]),
            ]
        )
        loss = (torch.exp(-self.log_variance) * losses + self.log_variance).sum()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        plain = [p for p in self.parameters() if p.ndim < 2]
        decayed = [p for p in self.parameters() if p.ndim >= 2]
        return AdamW([{"params": decayed}, {"params": plain, "weight_decay": 0.0}], lr=1e-3)


class BiasBeforeBatchNorm(pl.LightningModule):
    """Batch normalisation takes the mean away again: the bias before it has next to no gradient."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.fc = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        signal, label = batch
        loss = F.cross_entropy(self.fc(torch.relu(self.norm(self.conv(signal))).mean(dim=-1)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.01)


class RankingBias(pl.LightningModule):
    """A score's bias cancels in a difference of scores: its gradient is exactly zero."""

    def __init__(self):
        super().__init__()
        self.scorer = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        better, worse = batch
        loss = F.softplus(self.scorer(worse) - self.scorer(better)).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class UnfreezesWithNewGroup(pl.LightningModule):
    """Thaws its backbone in the second epoch and tells the optimizer."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(7, 6)
        self.backbone.requires_grad_(False)
        self.head = nn.Linear(6, 2)

    def on_train_epoch_start(self):
        if self.current_epoch == 1:
            self.backbone.requires_grad_(True)
            self.trainer.optimizers[0].add_param_group({"params": self.backbone.parameters(), "lr": 1e-3})

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.head(torch.tanh(self.backbone(x))), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(filter(lambda p: p.requires_grad, self.parameters()), lr=0.1)


LEGITIMATE = {
    "FrozenBackboneUnderNoGrad": {"batch": "image: float[5,1,8,8], label: int[5]<3"},
    "FrozenEmbeddingInGraph": {"batch": "tokens: int[5,8]<30, label: int[5]<4"},
    "MeanTeacher": {"batch": "x: float[5,8], y: int[5]<2"},
    "MomentumContrast": {"batch": "view_a: float[5,10], view_b: float[5,10]"},
    "TeacherHiddenInList": {"batch": "float[5,9]"},
    "ListAliasesRegisteredLayers": {"batch": "float[5,6]"},
    "TiedWeights": {"batch": "int[5,9]<25"},
    "LazyLayers": {"batch": "x: float[5,2,9], y: int[5]<2"},
    "LowRankAdapter": {"batch": "x: float[5,8], y: int[5]<3"},
    "StochasticDepth": {"batch": "x: float[5,7], y: int[5]<2"},
    "MixtureOfExperts": {"batch": "x: float[5,8], y: float[5,1]"},
    "CheckpointedReentrant": {"batch": "x: float[5,10], y: int[5]<3"},
    "CheckpointedNotReentrant": {"batch": "float[5,6]"},
    "SparseEmbeddingRows": {"batch": "ids: int[5,6]<500, label: int[5]<4"},
    "OnlySparseGradients": {"batch": "user: int[5]<40, item: int[5]<50, rating: float[5]"},
    "ComplexFilter": {"batch": "noisy: float[5,12], clean: float[5,12]"},
    "ParametersInContainers": {"batch": "float[5,6]"},
    "UncertaintyWeighted": {"batch": "{x: float[5,8], depth: float[5,1], kind: int[5]<3}"},
    "BiasBeforeBatchNorm": {"batch": "signal: float[5,2,9], label: int[5]<2"},
    "RankingBias": {"batch": "better: float[5,6], worse: float[5,6]"},
    "UnfreezesWithNewGroup": {"batch": "x: float[5,7], y: int[5]<2", "on_ranks": ["ranks_stay_equal"]},
}
