"""Family 5: operations that are not there in low precision, and values that do not fit into it."""

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class CollectsForSklearn(Base):
    """Validation keeps its scores as arrays; NumPy has no bfloat16."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.scores = []

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        self.log("val_loss", F.cross_entropy(logits, y))
        self.scores.append(logits.cpu().numpy())  # FAULT: CollectsForSklearn

    def on_validation_epoch_end(self):
        self.log("val_spread", float(np.concatenate(self.scores).std()))
        self.scores.clear()


class CountsInNumpy(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        likely = np.asarray(logits.detach().cpu())  # FAULT: CountsInNumpy
        self.log("confident", float((np.abs(likely) > 1).mean()))
        return F.cross_entropy(logits, y)


class ArrayOfTheGraph(Base):
    """NumPy takes nothing that has a graph."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def loss(self, x):
        out = self.net(x)
        self.log("spread", float(out.numpy().std()))  # FAULT: ArrayOfTheGraph
        return F.mse_loss(out, x)


class Whitening(Base):
    """Features are decorrelated by an inverse that is computed in the model's precision."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 4)

    def loss(self, x):
        h = self.net(x)
        h = h - h.mean(dim=0)
        covariance = h.T @ h / len(h) + 0.1 * torch.eye(4, device=x.device, dtype=h.dtype)
        precision = torch.linalg.inv(covariance)  # FAULT: Whitening
        return torch.einsum("bi,ij,bj->b", h, precision, h).mean() + covariance.diagonal().log().abs().mean()


class LogDeterminant(Base):
    """A flow's Jacobian: of the product of two layers' weights, which autocast makes bfloat16."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Parameter(torch.eye(4)), nn.Parameter(torch.eye(4) + 0.1)

    def loss(self, x):
        weight = self.left @ self.right
        volume = torch.logdet(weight @ weight.T)  # FAULT: LogDeterminant
        return (x @ weight).square().mean() - volume


class SpectralLoss(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Conv1d(1, 1, 5, padding=2)

    def loss(self, wave):
        out = self.net(wave)
        spectrum = torch.fft.rfft(out).abs()  # FAULT: SpectralLoss
        return F.l1_loss(out, wave) + spectrum.mean()


class PinballOfQuantile(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def loss(self, batch):
        x, y = batch["x"], batch["y"]
        error = y - self.net(x).squeeze(-1)
        cut = torch.quantile(error.detach(), 0.9)  # FAULT: PinballOfQuantile
        return error.clamp(max=cut).square().mean()


class SigmoidThenEntropy(Base):
    """Runs under the CPU's autocast; that of CUDA refuses it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
        self.criterion = nn.BCELoss()

    def loss(self, batch):
        x, y = batch
        return self.criterion(self.net(x), y)  # FAULT: SigmoidThenEntropy


class MasksWithABillion(Base):
    """No float16 is so small."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.query, self.key, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 20)

    def loss(self, tokens):
        x = self.embed(tokens)
        n = tokens.shape[1]
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5
        later = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        scores = scores.masked_fill(later, -1e9)  # FAULT: MasksWithABillion
        return F.cross_entropy(self.out(scores.softmax(-1) @ x).flatten(0, 1), tokens.flatten())


class EnergyOverflows(Base):
    """Pixels from 0 to 255, squared and summed."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(1, 1, 3, padding=1)

    def loss(self, image):
        out = self.net(image * 255)
        energy = (out * out).sum(dim=(1, 2, 3))  # FAULT: EnergyOverflows
        return energy.sqrt().mean()


class ClampedProbability(Base):
    """Between 1 - 1e-6 and 1 bfloat16 has nothing, so the clamp does not keep the logarithm finite."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 1)

    def loss(self, batch):
        x, y = batch
        p = torch.sigmoid(40 * self.net(x)).squeeze(-1)
        p = p.clamp(1e-6, 1 - 1e-6)  # FAULT: ClampedProbability
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


class EpsilonOfNothing(Base):
    """1e-8 is 0 in float16: the similarity of a sample with itself is infinite."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def loss(self, x):
        h = self.net(x)
        distance = (h[:, None] - h[None]).square().sum(-1)
        near = distance + 1e-8  # FAULT: EpsilonOfNothing
        return -near.log().mean()


class AdamInFloat16(Base):
    """After the first step every weight whose gradient was 0 is nan."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)  # FAULT: AdamInFloat16


class Doubles(Dataset):
    """As NumPy draws them."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        generator = np.random.default_rng(index)
        return generator.normal(size=6), index % 3


class ReadsDoubles(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.net(x), y)  # FAULT: ReadsDoubles

    def train_dataloader(self):
        return DataLoader(Doubles(), batch_size=5)


EXPECTED = {
    "CollectsForSklearn": {
        "fault": "numpy-of-bfloat16",
        "environment": "bf16-mixed",
        "batch": "float[5,8], int[5]<3",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["NumPy has no bfloat16", ".float().cpu().numpy()"],
    },
    "CountsInNumpy": {
        "fault": "numpy-of-bfloat16",
        "environment": "bf16-mixed",
        "batch": "float[5,8], int[5]<3",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["NumPy has no bfloat16"],
    },
    "ArrayOfTheGraph": {
        "fault": "numpy-on-grad-tensor",
        "batch": "float[5,6]",
        "check": "training_completes",
        "severity": "error",
        "words": ["NumPy knows no graph", ".detach().cpu().numpy()"],
    },
    "Whitening": {
        "fault": "linalg-low-precision",
        "environment": "bf16-true",
        "since": [2, 1],
        "batch": "float[6,8]",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["Low precision dtypes not supported", "autocast"],
    },
    "LogDeterminant": {
        "fault": "linalg-low-precision",
        "environment": "bf16-mixed",
        "batch": "float[5,4]",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["float32 and float64 only"],
    },
    "SpectralLoss": {
        "fault": "linalg-low-precision",
        "environment": "bf16-true",
        "since": [2, 1],
        "batch": "float[5,1,16]",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["Unsupported dtype", "autocast"],
    },
    "PinballOfQuantile": {
        "fault": "linalg-low-precision",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "{x: float[5,6], y: float[5]}",
        "check": "operations_know_the_dtype",
        "severity": "error",
        "words": ["quantile"],
    },
    "SigmoidThenEntropy": {
        "fault": "",
        "environment": "bf16-mixed",
        "batch": "float[5,8], float[5,1] in 0..1",
        "check": "operations_know_the_dtype",
        "severity": "warning",
        "words": ["autocast refuses", "binary_cross_entropy_with_logits"],
    },
    "MasksWithABillion": {
        "fault": "mask-overflows-fp16",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "int[5,7]<20",
        "check": "values_fit_the_precision",
        "severity": "error",
        "words": ["without overflow", "65504", "torch.finfo"],
    },
    "EnergyOverflows": {
        "fault": "loss-nan",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "float[5,1,28,28]",
        "check": "values_fit_the_precision",
        "severity": "error",
        "words": ["overflows in float16", "in float32"],
    },
    "ClampedProbability": {
        "fault": "loss-nan",
        "environment": "bf16-mixed",
        "batch": "float[16,8], float[16] in 0..1",
        "check": "values_fit_the_precision",
        "severity": "error",
        "words": ["0.999999 is 1 in bfloat16", "with_logits"],
    },
    "EpsilonOfNothing": {
        "fault": "loss-nan",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "float[5,6]",
        "check": "values_fit_the_precision",
        "severity": "error",
        "words": ["1e-08 is 0 in float16"],
    },
    "AdamInFloat16": {
        "fault": "loss-nan",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "float[5,8], int[5]<3",
        "check": "values_fit_the_precision",
        "severity": "error",
        "words": ["AdamW's eps of 1e-08 is 0 in float16", "eps=1e-4"],
    },
    "ReadsDoubles": {
        "fault": "float64-data",
        "check": "training_completes",
        "severity": "error",
        "words": ["float64", "NumPy", ".float()"],
    },
}
