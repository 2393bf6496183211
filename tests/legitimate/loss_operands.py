"""Right: losses whose operands look wrong, and are what they should be."""

import lightning.pytorch as L
import torch
import torch.nn as nn
from torch.nn import functional as F


class PairwiseRanking(L.LightningModule):
    """Every score meets every other one on purpose: differences of all pairs."""

    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, x):
        return self.score(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        scores, relevance = self(batch["x"]), batch["relevance"]
        differences = scores.unsqueeze(1) - scores
        wanted = torch.sign(relevance.unsqueeze(1) - relevance)
        loss = F.softplus(-differences * wanted).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MatchesKernels(L.LightningModule):
    """The distance of two sets of numbers: each prediction is compared with each target, as it is written."""

    def __init__(self):
        super().__init__()
        self.generate = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        noise, real = batch
        fake = self.generate(noise)[:, 0]
        across = (fake[:, None] - real[None, :]).abs().mean()
        within = (fake[:, None] - fake[None, :]).abs().mean()
        loss = 2 * across - within
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OneTargetForAllQuantiles(L.LightningModule):
    """Quantiles of one target: the target is broadcast over the predictions."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 3)
        self.register_buffer("quantiles", torch.tensor([0.1, 0.5, 0.9]))

    def training_step(self, batch, batch_idx):
        x, y = batch
        error = y - self.net(x)
        loss = torch.maximum(self.quantiles * error, (self.quantiles - 1) * error).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class SoftTargets(L.LightningModule):
    """Distillation: the teacher's probabilities are the target, not the input."""

    def __init__(self, temperature: float = 2.0):
        super().__init__()
        self.temperature = temperature
        self.student = nn.Linear(9, 4)
        self.teacher = nn.Linear(9, 4).requires_grad_(False)

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.student(x)
        soft = F.softmax(self.teacher(x) / self.temperature, dim=-1)
        distilled = F.kl_div(F.log_softmax(scores / self.temperature, dim=-1), soft, reduction="batchmean")
        loss = F.cross_entropy(scores, y) + F.cross_entropy(scores, soft) + distilled
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.student.parameters(), lr=1e-3)


class AttentionBeforeTheScores(L.LightningModule):
    """A softmax inside the network is no softmax before the loss; probabilities are logged."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(6, 6), nn.Softmax(dim=-1))
        self.head = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.head(x * self.gate(x))
        loss = F.cross_entropy(scores, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("confidence", scores.softmax(-1).amax(-1).mean(), on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class MixtureOfProbabilities(L.LightningModule):
    """The logarithm of a mean of probabilities, given to ``nll_loss``."""

    def __init__(self):
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(7, 3) for _ in range(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        mixed = torch.stack([member(x).softmax(-1) for member in self.members]).mean(0)
        loss = F.nll_loss(mixed.clamp_min(1e-8).log(), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ProbabilitiesAndTheirEntropy(L.LightningModule):
    """``binary_cross_entropy`` takes probabilities."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 4), nn.Sigmoid())

    def training_step(self, batch, batch_idx):
        x, tags = batch
        probabilities = self.net(x)
        with torch.autocast(x.device.type, enabled=False):  # a GPU's autocast refuses the loss
            loss = nn.BCELoss()(probabilities.float(), tags.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SymmetricContrast(L.LightningModule):
    """Both directions of a square of similarities: the softmax over the batch is meant."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(8, 4), nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        left, right = F.normalize(self.image(batch["image"])), F.normalize(self.text(batch["text"]))
        similarity = left @ right.T / 0.1
        own = torch.arange(len(left), device=self.device)
        loss = (F.cross_entropy(similarity, own) + F.nll_loss(F.log_softmax(similarity, dim=0).T, own)) / 2
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class StopsAGradient(L.LightningModule):
    """A vector-quantised autoencoder: two terms, each with one side detached."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(10, 4), nn.Linear(4, 10)
        self.codebook = nn.Embedding(16, 4)

    def training_step(self, x, batch_idx):
        z = self.encode(x)
        code = self.codebook(torch.cdist(z, self.codebook.weight).argmin(-1))
        passed = z + (code - z).detach()
        commitment = F.mse_loss(z, code.detach()) + F.mse_loss(code, z.detach())
        loss = F.mse_loss(self.decode(passed), x) + 0.25 * commitment
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ScalesByDetachedNorm(L.LightningModule):
    """An adaptive weight that is computed without a graph multiplies a term that has one."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def training_step(self, x, batch_idx):
        output = self.net(x)
        fit, smooth = F.mse_loss(output, x), output.diff(dim=-1).abs().mean()
        with torch.no_grad():
            weight = fit / (smooth + 1e-6)
        loss = fit + 0.1 * weight * smooth
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


LEGITIMATE = {
    "PairwiseRanking": {"batch": "{x: float[5,6], relevance: float[5]}"},
    "MatchesKernels": {"batch": "noise: float[5,4], real: float[5]"},
    "OneTargetForAllQuantiles": {"batch": "x: float[5,5], y: float[5,1]"},
    "SoftTargets": {"batch": "x: float[5,9], y: int[5]<4"},
    "AttentionBeforeTheScores": {"batch": "x: float[5,6], y: int[5]<3"},
    "MixtureOfProbabilities": {"batch": "x: float[5,7], y: int[5]<3"},
    "ProbabilitiesAndTheirEntropy": {"batch": "x: float[5,8], tags: float[5,4] in 0..1"},
    "SymmetricContrast": {"batch": "{image: float[5,8], text: float[5,6]}"},
    "StopsAGradient": {"batch": "float[5,10]"},
    "ScalesByDetachedNorm": {"batch": "float[5,6]"},
}
