"""Losses that authors write themselves: focal and dice, triplets of speakers, pooled graphs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from inference_unseen.registry import batch_of


class FocalDice(nn.Module):
    def __init__(self, alpha=0.8, gamma=2.0, smooth=1.0):
        super().__init__()
        self.alpha, self.gamma, self.smooth = alpha, gamma, smooth

    def forward(self, logits, targets):
        bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        focal = (self.alpha * (1 - torch.exp(-bce)) ** self.gamma * bce).mean()
        probs, flat = torch.sigmoid(logits).reshape(-1), targets.reshape(-1)
        intersection = (probs * flat).sum()
        dice = 1 - (2.0 * intersection + self.smooth) / (probs.sum() + flat.sum() + self.smooth)
        return focal + dice


@batch_of(
    "float[B,3,H,W], float[B,1,H,W] in 0..1, ?",
    example="float[B,3,16,16], float[B,1,16,16]<2, int[B]",
)
class LesionMasks(Adam):
    def __init__(self):
        super().__init__()
        self.down, self.bridge = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.head = nn.Conv2d(9, 1, 1)
        self.criterion = FocalDice()

    def forward(self, image):
        h = F.relu(self.bridge(F.relu(self.down(image))))
        h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(torch.cat([image, h], dim=1))

    def training_step(self, batch, batch_idx):
        image, mask, case_id = batch
        loss = self.criterion(self(image), mask)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return {"loss": loss}


@batch_of(
    "{anchor: float[B,24,?], positive: float[B,24,?], negative: float[B,24,?]}",
    example="{anchor: float[B,24,40], positive: float[B,24,40], negative: float[B,24,40]}",
)
class SpeakerTriplets(Adam):
    """Statistics pooling over the frames of mel features."""

    def __init__(self, n_mels=24, emb=8):
        super().__init__()
        self.frames = nn.Sequential(nn.Conv1d(n_mels, 12, 5, dilation=2), nn.ReLU(), nn.BatchNorm1d(12))
        self.embedding = nn.Linear(24, emb)
        self.loss_fn = nn.TripletMarginLoss(margin=0.2)

    def embed(self, mel):
        h = self.frames(mel)
        return F.normalize(self.embedding(torch.cat([h.mean(dim=2), h.std(dim=2)], dim=1)), dim=-1)

    def training_step(self, batch, batch_idx):
        a, p, n = (self.embed(batch[key]) for key in ("anchor", "positive", "negative"))
        loss = self.loss_fn(a, p, n)
        self.log("train/triplet", loss)
        return loss


@batch_of(
    "{adj: float[B,N,N], feat: float[B,N,5], target: float[B]}",
    "{adj: float[B,N,N], feat: float[B,N,5], target: float[B,1]}",
    example="{adj: float[B,9,9] in 0..1, feat: float[B,9,5], target: float[B]}",
)
class DenseGraphs(Adam):
    """Adjacency matrices of one size."""

    def __init__(self):
        super().__init__()
        self.w1, self.w2, self.readout = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        adj, x = batch["adj"], batch["feat"]
        degree = adj.sum(dim=-1, keepdim=True).clamp(min=1.0)
        x = F.relu(self.w1(torch.bmm(adj, x) / degree))
        x = F.relu(self.w2(torch.bmm(adj, x) / degree))
        y_hat = self.readout(x.mean(dim=1)).squeeze(-1)
        loss = F.huber_loss(y_hat, batch["target"].view(-1))
        self.log("train_loss", loss)
        return loss
