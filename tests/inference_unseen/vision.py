"""Pictures: keypoints, normals, flow, ages, bags, bands, changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchmetrics
from inference_modules import Adam, LightningModule
from torch import Tensor, nn

from inference_unseen.registry import batch_of


def conv_block(c_in, c_out, stride=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


@batch_of(
    "float[B,1,?,?], int[B,?] in 1..36, int[B]",
    example="float[B,1,32,64], int[B,5] in 1..36, int[B] in 1..5",
)
class PlateReader(Adam):
    """OCR: columns of a picture as time steps, CTC."""

    def __init__(self, n_symbols=36):
        super().__init__()
        self.cnn = nn.Sequential(
            conv_block(1, 8),
            nn.MaxPool2d(2),
            conv_block(8, 16),
            nn.MaxPool2d(2),
            conv_block(16, 16),
            nn.MaxPool2d((8, 1)),
        )
        self.rnn = nn.LSTM(16, 12, bidirectional=True)
        self.fc = nn.Linear(24, n_symbols + 1)
        self.ctc_loss = nn.CTCLoss(blank=0, zero_infinity=True)

    def training_step(self, batch, batch_idx):
        images, targets, target_lengths = batch
        features = self.cnn(images)
        b, c, h, w = features.size()
        assert h == 1, "the height of conv must be 1"
        sequence = features.squeeze(2).permute(2, 0, 1)
        log_probs = self.fc(self.rnn(sequence)[0]).log_softmax(2)
        input_lengths = torch.full((b,), w, dtype=torch.long)
        loss = self.ctc_loss(log_probs, targets, input_lengths, target_lengths)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{image: float[B,3,?,?], keypoints: float[B,17,2], visibility: float|int|bool[B,17]<2}",
    example="{image: float[B,3,24,24], keypoints: float[B,17,2] in 0..1, visibility: float[B,17]<2}",
)
class HumanPose(LightningModule):
    def __init__(self, num_joints: int = 17, lr: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = nn.Sequential(conv_block(3, 8, 2), conv_block(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.regressor = nn.Linear(16, num_joints * 2)

    def forward(self, x):
        return self.regressor(self.backbone(x)).view(-1, self.hparams.num_joints, 2).sigmoid()

    def training_step(self, batch, batch_idx):
        pred = self(batch["image"])
        error = (pred - batch["keypoints"]).abs()
        vis = batch["visibility"].unsqueeze(-1)
        loss = (error * vis).sum() / vis.sum().clamp(min=1)
        self.log("train/loss", loss, sync_dist=True)
        return loss

    def configure_optimizers(self):
        opt = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        sched = torch.optim.lr_scheduler.MultiStepLR(opt, milestones=[170, 200], gamma=0.1)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "epoch"}}


@batch_of("float[B,13,?,?], int[B]<10", example="float[B,13,16,16], int[B]<10")
class MultiBandScenes(Adam):
    """All thirteen bands, with an index of vegetation added."""

    def __init__(self, bands=13, classes=10):
        super().__init__()
        self.stem = conv_block(bands + 1, 16)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1))
        self.head = nn.Linear(16, classes)
        self.train_acc = torchmetrics.Accuracy(task="multiclass", num_classes=classes, average="macro")
        self.example_input_array = torch.zeros(2, 13, 16, 16)

    def forward(self, x):
        nir, red = x[:, 7:8], x[:, 3:4]
        ndvi = (nir - red) / (nir.abs() + red.abs() + 1e-6)
        h = self.stem(torch.cat([x, ndvi], dim=1))
        h = h * torch.sigmoid(self.squeeze(h))
        return self.head(h.mean(dim=(-2, -1)))

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self(x)
        loss = F.cross_entropy(y_hat, y)
        self.log("train_loss", loss)
        self.train_acc(y_hat.softmax(dim=-1), y)
        self.log("train_acc", self.train_acc, on_step=False, on_epoch=True)
        return loss


@batch_of("float[B,3,H,W], float[B,3,H,W]", example="float[B,3,16,16], float[B,3,16,16]")
class SurfaceNormals(Adam):
    def __init__(self):
        super().__init__()
        self.enc, self.mid = conv_block(3, 8, 2), conv_block(8, 8)
        self.dec = nn.ConvTranspose2d(8, 8, 2, 2)
        self.out = nn.Conv2d(8, 3, 1)

    def training_step(self, batch, batch_idx):
        rgb, normals = batch
        pred = F.normalize(self.out(F.relu(self.dec(self.mid(self.enc(rgb))))), dim=1)
        target = F.normalize(normals, dim=1)
        loss = (1 - F.cosine_similarity(pred, target, dim=1)).mean()
        self.log("train_cos_loss", loss)
        return loss


@batch_of(
    "float[B,3,H,W], float[B,3,H,W], float[B,2,H,W], float|bool|int[B,H,W]",
    example="float[B,3,16,24], float[B,3,16,24], float[B,2,16,24], float[B,16,24]<2",
)
class OpticalFlow(Adam):
    def __init__(self, max_flow=400.0):
        super().__init__()
        self.max_flow = max_flow
        self.net = nn.Sequential(conv_block(6, 12), conv_block(12, 12), nn.Conv2d(12, 2, 3, padding=1))

    def training_step(self, batch, batch_idx):
        image1, image2, flow, valid = batch
        flow_pred = self.net(torch.cat([image1, image2], dim=1))
        mag = torch.sum(flow**2, dim=1).sqrt()
        valid = (valid >= 0.5) & (mag < self.max_flow)
        loss = (valid[:, None] * (flow_pred - flow).abs()).mean()
        epe = torch.sum((flow_pred - flow) ** 2, dim=1).sqrt().view(-1)[valid.view(-1)]
        self.log("loss", loss)
        self.log("epe", epe.mean())
        return loss


@batch_of("float[B,3,?,?], float|int[B]", example="float[B,3,20,20], float[B] in 1..99")
class AgeDistribution(Adam):
    """A label becomes a Gaussian over ages."""

    def __init__(self, sigma=2.0):
        super().__init__()
        self.sigma = sigma
        self.register_buffer("ages", torch.arange(0, 101).float())
        self.features = nn.Sequential(conv_block(3, 8, 2), conv_block(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(16, 101)

    def training_step(self, batch, batch_idx):
        img, age = batch
        age = age.float()
        log_prob = F.log_softmax(self.fc(self.features(img)), dim=1)
        target = torch.exp(-((self.ages[None] - age[:, None]) ** 2) / (2 * self.sigma**2))
        target = target / target.sum(dim=1, keepdim=True).clamp(min=1e-8)
        kl = F.kl_div(log_prob, target, reduction="batchmean")
        expected = (log_prob.exp() * self.ages).sum(dim=1)
        l1 = F.l1_loss(expected, age)
        self.log_dict({"kl": kl, "mae": l1})
        return kl + 0.1 * l1


@batch_of(
    "{image: float[B,3,?,?], targets: {colour: int[B]<7, shape: int[B]<4, defects: float[B,5] in 0..1}}",
    example="{image: float[B,3,16,16], targets: {colour: int[B]<7, shape: int[B]<4, defects: float[B,5]<2}}",
)
class SeveralHeads(Adam):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(conv_block(3, 8, 2), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.heads = nn.ModuleDict({"colour": nn.Linear(32, 7), "shape": nn.Linear(32, 4), "defects": nn.Linear(32, 5)})
        ce, bce = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
        self.losses = {"colour": ce, "shape": ce, "defects": bce}

    def training_step(self, batch, batch_idx):
        features = self.trunk(batch["image"])
        total = 0.0
        for name, head in self.heads.items():
            part = self.losses[name](head(features), batch["targets"][name])
            self.log(f"train/{name}_loss", part)
            total = total + part
        return total


@batch_of(
    "{A: float[B,3,H,W], B: float[B,3,H,W], label: int[B,H,W]<2}",
    example="{A: float[B,3,16,16], B: float[B,3,16,16], label: int[B,16,16]<2}",
)
class ChangeDetection(Adam):
    def __init__(self):
        super().__init__()
        self.siamese = nn.Sequential(conv_block(3, 8), conv_block(8, 8))
        self.classifier = nn.Conv2d(8, 2, 1)
        self.iou = torchmetrics.JaccardIndex(task="multiclass", num_classes=2)

    def training_step(self, batch, batch_idx):
        diff = torch.abs(self.siamese(batch["A"]) - self.siamese(batch["B"]))
        logits = self.classifier(diff)
        loss = F.cross_entropy(logits, batch["label"].long(), weight=torch.tensor([0.3, 0.7]))
        self.iou(logits.argmax(1), batch["label"])
        self.log("train_loss", loss)
        self.log("train_iou", self.iou)
        return {"loss": loss}


@batch_of(
    "float[B,?,32], float[B] in 0..1, ?",
    "float[B,?,32], float[B,1] in 0..1, ?",
    "float[B,?,32], int|bool[B]<2, ?",
    "float[B,?,32], int|bool[B,1]<2, ?",
    example="float[B,12,32], float[B]<2, int[B]",
)
class SlideBags(Adam):
    """Gated attention over the patches of a slide."""

    def __init__(self, size=32, hidden=16):
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(size, hidden), nn.ReLU())
        self.attention_v = nn.Sequential(nn.Linear(hidden, 8), nn.Tanh())
        self.attention_u = nn.Sequential(nn.Linear(hidden, 8), nn.Sigmoid())
        self.attention_w, self.cls = nn.Linear(8, 1), nn.Linear(hidden, 1)

    def training_step(self, batch, batch_idx):
        bag, label, slide_id = batch
        h = self.proj(bag)
        a = self.attention_w(self.attention_v(h) * self.attention_u(h))
        a = torch.softmax(a.transpose(2, 1), dim=-1)
        pooled = torch.bmm(a, h).squeeze(1)
        y_prob = torch.sigmoid(self.cls(pooled)).flatten().clamp(1e-5, 1 - 1e-5)
        y = label.float().flatten()
        loss = -(y * torch.log(y_prob) + (1 - y) * torch.log(1 - y_prob)).mean()
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,3,?,?], float[B,3,?,?]", example="float[B,3,16,24], float[B,3,24,24]")
class CrossViewRetrieval(Adam):
    """Street and air, soft-margin triplets inside the batch."""

    def __init__(self, gamma=10.0):
        super().__init__()
        self.gamma = gamma
        self.ground_net = nn.Sequential(conv_block(3, 8, 2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 8))
        self.aerial_net = nn.Sequential(conv_block(3, 8, 2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 8))

    def training_step(self, batch, batch_idx):
        g = F.normalize(self.ground_net(batch[0]), p=2, dim=1)
        s = F.normalize(self.aerial_net(batch[1]), p=2, dim=1)
        dist = 2 - 2 * torch.matmul(g, s.t())
        pos = torch.diagonal(dist)
        n = g.shape[0]
        triplet = torch.log1p(torch.exp((pos.unsqueeze(1) - dist) * self.gamma)).sum() / (n * (n - 1))
        self.log("train_loss", triplet)
        return triplet


@batch_of(
    "{image: float[B,1,D,H,W], label: float|int[B,1,D,H,W]<3}",
    example="{image: float[B,1,8,16,16], label: int[B,1,8,16,16]<3}",
)
class OrganSegmentation(Adam):
    def __init__(self, image_key: str = "image", label_key: str = "label", n_classes: int = 3):
        super().__init__()
        self.image_key, self.label_key, self.n_classes = image_key, label_key, n_classes
        self.down = nn.Sequential(nn.Conv3d(1, 6, 3, 2, 1), nn.InstanceNorm3d(6), nn.LeakyReLU())
        self.up, self.final = nn.ConvTranspose3d(6, 6, 2, 2), nn.Conv3d(6, n_classes, 1)

    def training_step(self, batch, batch_idx):
        images, labels = batch[self.image_key], batch[self.label_key]
        logits = self.final(self.up(self.down(images)))
        target = labels.squeeze(1).long()
        ce = F.cross_entropy(logits, target)
        onehot = F.one_hot(target, self.n_classes).permute(0, 4, 1, 2, 3).float()
        probs = logits.softmax(1)
        dims = (2, 3, 4)
        dice = (2 * (probs * onehot).sum(dims) + 1e-5) / (probs.sum(dims) + onehot.sum(dims) + 1e-5)
        loss = ce + 1 - dice.mean()
        self.log("train_loss", loss, batch_size=images.size(0))
        return loss


@batch_of("float[B,3,?,?], ?, ?", example="float[B,3,16,16], int[B]<2, int[B]")
class DeepSvdd(Adam):
    def __init__(self, rep_dim=6):
        super().__init__()
        self.register_buffer("center", torch.full((rep_dim,), 0.1))
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 4, 5, bias=False, padding=2), nn.LeakyReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(64, rep_dim, bias=False),
        )  # fmt: skip

    def training_step(self, batch: list[Tensor], batch_idx: int):
        inputs, _, _ = batch
        dist = torch.sum((self.encoder(inputs) - self.center) ** 2, dim=1)
        loss = torch.mean(dist)
        self.log("train_loss", loss)
        return loss
