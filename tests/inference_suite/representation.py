"""Representations: contrast, metric learning, teachers and students."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import nn

from inference_suite.expectations import batch_of


def small_backbone(out=8):
    return nn.Sequential(nn.Conv2d(3, out, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@batch_of("(float[B,3,?,?], float[B,3,?,?]), ?", example="(float[B,3,16,16], float[B,3,16,16]), int[B]<10")
class BootstrapYourOwnLatent(Adam):
    def __init__(self, tau=0.99):
        super().__init__()
        self.tau = tau
        self.online = nn.Sequential(small_backbone(), nn.Linear(8, 8), nn.BatchNorm1d(8))
        self.predictor = nn.Linear(8, 8)
        self.target = copy.deepcopy(self.online)
        for p in self.target.parameters():
            p.requires_grad = False

    def loss_fn(self, x1, x2):
        p = F.normalize(self.predictor(self.online(x1)), dim=-1)
        with torch.no_grad():
            z = F.normalize(self.target(x2), dim=-1)
        return 2 - 2 * (p * z).sum(dim=-1).mean()

    def training_step(self, batch, batch_idx):
        (img1, img2), _ = batch
        loss = self.loss_fn(img1, img2) + self.loss_fn(img2, img1)
        self.log("train_loss", loss)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        for online, target in zip(self.online.parameters(), self.target.parameters()):
            target.data.mul_(self.tau).add_(online.data, alpha=1 - self.tau)


@batch_of(
    "[float[B,3,?,?], ...], ?",
    "(float[B,3,?,?], float[B,3,?,?]), ?",
    example="[float[B,3,16,16], float[B,3,16,16]], int[B]<10",
)
class SimclrListOfViews(Adam):
    def __init__(self, temperature=0.5):
        super().__init__()
        self.temperature = temperature
        self.convnet = nn.Sequential(small_backbone(16), nn.Linear(16, 8))

    def training_step(self, batch, batch_idx):
        imgs, _ = batch
        imgs = torch.cat(imgs, dim=0)
        feats = self.convnet(imgs)
        cos_sim = F.cosine_similarity(feats[:, None, :], feats[None, :, :], dim=-1)
        self_mask = torch.eye(cos_sim.shape[0], dtype=torch.bool, device=cos_sim.device)
        cos_sim.masked_fill_(self_mask, -9e15)
        pos_mask = self_mask.roll(shifts=cos_sim.shape[0] // 2, dims=0)
        cos_sim = cos_sim / self.temperature
        nll = (-cos_sim[pos_mask] + torch.logsumexp(cos_sim, dim=-1)).mean()
        self.log("train_loss", nll)
        return nll


@batch_of(
    "float[B,1,28,28], float[B,1,28,28], float[B,1,28,28]",
    example="float[B,1,28,28], float[B,1,28,28], float[B,1,28,28]",
)
class TripletImages(Adam):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, x):
        return F.normalize(self.encoder(x.view(x.size(0), 1, 28, 28)), p=2, dim=1)

    def training_step(self, batch, batch_idx):
        anchor, positive, negative = batch
        anchor, positive, negative = self(anchor), self(positive), self(negative)
        loss = F.triplet_margin_loss(anchor, positive, negative, margin=0.2)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{anchor: float[B,20], positive: float[B,20], negative: float[B,20]}",
    example="{anchor: float[B,20], positive: float[B,20], negative: float[B,20]}",
)
class TripletByHand(Adam):
    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4))

    def training_step(self, batch, batch_idx):
        a, p, n = (self.embed(batch[key]) for key in ("anchor", "positive", "negative"))
        near, far = (a - p).pow(2).sum(1), (a - n).pow(2).sum(1)
        loss = torch.relu(near - far + 1.0).mean()
        self.log("train_loss", loss, on_epoch=True)
        return loss


@batch_of("float[B,3,?,?], int[B]<6", example="float[B,3,16,16], int[B]<6")
class Distillation(LightningModule):
    def __init__(self, temperature=4.0, alpha=0.7):
        super().__init__()
        self.temperature, self.alpha = temperature, alpha
        self.teacher = nn.Sequential(small_backbone(16), nn.Linear(16, 6))
        self.student = nn.Sequential(small_backbone(4), nn.Linear(4, 6))
        self.teacher.eval()
        self.teacher.requires_grad_(False)
        self.kl = nn.KLDivLoss(reduction="batchmean")

    def training_step(self, batch, batch_idx):
        x, y = batch
        with torch.no_grad():
            teacher_logits = self.teacher(x)
        logits = self.student(x)
        soft = self.kl(
            F.log_softmax(logits / self.temperature, dim=1), F.softmax(teacher_logits / self.temperature, dim=1)
        )
        loss = self.alpha * soft * self.temperature**2 + (1 - self.alpha) * F.cross_entropy(logits, y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.student.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


@batch_of("{image: float[B,3,?,?], text: int[B,T]<70}", example="{image: float[B,3,16,16], text: int[B,7]<70}")
class ImageTextContrast(Adam):
    def __init__(self):
        super().__init__()
        self.visual = nn.Sequential(small_backbone(), nn.Linear(8, 8))
        self.token_embedding = nn.Embedding(70, 12)
        self.text_projection = nn.Linear(12, 8)
        self.logit_scale = nn.Parameter(torch.ones([]) * 2.6)

    def training_step(self, batch, batch_idx):
        image, text = batch["image"], batch["text"]
        image_features = F.normalize(self.visual(image), dim=-1)
        text_features = F.normalize(self.text_projection(self.token_embedding(text).mean(dim=1)), dim=-1)
        logits = self.logit_scale.exp() * image_features @ text_features.t()
        labels = torch.arange(len(logits), device=self.device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,3,?,?], int[B]<12", example="float[B,3,16,16], int[B]<12")
class AngularMargin(Adam):
    def __init__(self, num_classes=12, s=16.0, m=0.3):
        super().__init__()
        self.s, self.m, self.num_classes = s, m, num_classes
        self.net = nn.Sequential(small_backbone(), nn.Linear(8, 6))
        self.weight = nn.Parameter(torch.randn(num_classes, 6))

    def training_step(self, batch, batch_idx):
        images, ids = batch
        cosine = F.linear(F.normalize(self.net(images)), F.normalize(self.weight))
        theta = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
        one_hot = torch.zeros_like(cosine)
        one_hot.scatter_(1, ids.view(-1, 1), 1.0)
        logits = self.s * torch.cos(theta + self.m * one_hot)
        loss = F.cross_entropy(logits, ids)
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,10], int|float[B]", "float[B,10], int|float[B,1]", example="float[B,10], int[B]<2")
class SupervisedContrast(Adam):
    """Positives are those with the same label."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 8))

    def training_step(self, batch, batch_idx):
        features, labels = batch
        z = F.normalize(self.encoder(features), dim=1)
        labels = labels.contiguous().view(-1, 1)
        mask = torch.eq(labels, labels.T).float()
        logits = z @ z.T / 0.1
        logits = logits - logits.max(dim=1, keepdim=True)[0].detach()
        away = 1 - torch.eye(len(z), device=z.device)
        log_prob = logits - torch.log((logits.exp() * away).sum(1, keepdim=True))
        mask = mask * away
        loss = -((mask * log_prob).sum(1) / mask.sum(1).clamp(min=1)).mean()
        self.log("train_loss", loss)
        return loss


@batch_of(
    "float[K,16], int[K]<5, float[Q,16], int[Q]<5",
    "float[K,16], int[K], float[Q,16], int[Q]<5",
    example=lambda: (
        torch.randn(10, 16), torch.arange(10) % 5, torch.randn(15, 16), torch.arange(15) % 5,
    ),
)  # fmt: skip
class PrototypicalNetwork(Adam):
    """An episode: a support set with every class in it, and queries."""

    def __init__(self, n_way=5):
        super().__init__()
        self.n_way = n_way
        self.net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))

    def training_step(self, batch, batch_idx):
        support, support_labels, query, query_labels = batch
        support_features, query_features = self.net(support), self.net(query)
        prototypes = torch.stack([support_features[support_labels == c].mean(dim=0) for c in range(self.n_way)])
        distances = torch.cdist(query_features, prototypes)
        loss = F.cross_entropy(-distances, query_labels)
        self.log("train_loss", loss, batch_size=query.size(0))
        return loss
