"""Images and videos: classification and regression."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics
from inference_modules import Adam
from torch import nn

from inference_suite.expectations import batch_of


def conv_block(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


@batch_of("float[B,3,32,32], int[B]<10", example="float[B,3,32,32], int[B]<10")
class CifarWithMetrics(Adam):
    def __init__(self, lr=1e-3, num_classes=10):
        super().__init__()
        self.save_hyperparameters()
        self.features = nn.Sequential(
            conv_block(3, 8), nn.MaxPool2d(2), conv_block(8, 16), nn.MaxPool2d(2), conv_block(16, 16), nn.MaxPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 4 * 4, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, num_classes)
        )
        self.train_acc = torchmetrics.Accuracy(task="multiclass", num_classes=num_classes)
        self.val_acc = torchmetrics.Accuracy(task="multiclass", num_classes=num_classes)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))

    def training_step(self, batch, batch_idx):
        imgs, labels = batch
        preds = self(imgs)
        loss = F.cross_entropy(preds, labels)
        self.train_acc(preds.argmax(dim=-1), labels)
        self.log("train_acc", self.train_acc, on_step=False, on_epoch=True)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        imgs, labels = batch
        preds = self(imgs)
        self.val_acc(preds, labels)
        self.log("val_acc", self.val_acc, prog_bar=True)


@batch_of(
    "{pixel_values: float[B,3,32,32], labels: int[B]<5}", example="{pixel_values: float[B,3,32,32], labels: int[B]<5}"
)
class VisionTransformerFixedPatches(Adam):
    """Patches by reshaping; the positions fit 32x32 images only."""

    def __init__(self, patch=8, dim=24):
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, (32 // patch) ** 2 + 1, dim))
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(dim, 2, 48, batch_first=True), 1)
        self.head = nn.Linear(dim, 5)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    def forward(self, x):
        p = self.patch
        x = x.unflatten(3, (-1, p)).unflatten(2, (-1, p))
        x = x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        x = self.embed(x)
        x = torch.cat([self.cls_token.repeat(x.shape[0], 1, 1), x], dim=1) + self.pos_embed
        return self.head(self.blocks(x)[:, 0])

    def training_step(self, batch, batch_idx):
        loss = self.criterion(self(batch["pixel_values"]), batch["labels"])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss


@batch_of("float[B,1,28,28], int[B]<10", example="float[B,1,28,28], int[B]<10")
class MixupClassifier(Adam):
    def __init__(self, alpha=0.4):
        super().__init__()
        self.alpha = alpha
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(16 * 12 * 12, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(torch.flatten(self.dropout(x), 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        lam = np.random.beta(self.alpha, self.alpha)
        index = torch.randperm(x.size(0), device=x.device)
        mixed = lam * x + (1 - lam) * x[index]
        logits = self(mixed)
        loss = lam * F.cross_entropy(logits, y) + (1 - lam) * F.cross_entropy(logits, y[index])
        self.log("train_loss", loss)
        return loss


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=0.25):
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, inputs, targets):
        log_p = F.log_softmax(inputs, dim=-1)
        log_pt = log_p.gather(1, targets.view(-1, 1)).view(-1)
        pt = log_pt.exp()
        return (-self.alpha * (1 - pt) ** self.gamma * log_pt).mean()


@batch_of("float[B,3,?,?], int[B]<4", example="float[B,3,16,16], int[B]<4")
class FocalLossClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(conv_block(3, 8), nn.AdaptiveAvgPool2d((1, 1)))
        self.head = nn.Linear(8, 4)
        self.loss_fn = FocalLoss()

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        outputs = self.head(self.backbone(inputs).flatten(start_dim=1))
        loss = self.loss_fn(outputs, targets)
        self.log("loss", loss)
        return {"loss": loss, "preds": outputs.detach(), "targets": targets}


@batch_of("float[B,?,3,?,?], int[B]<6", example="float[B,4,3,16,16], int[B]<6")
class VideoFramesThenRecurrence(Adam):
    """Frames through a 2-D network, then a recurrence over time."""

    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.rnn = nn.GRU(8, 12, batch_first=True)
        self.fc = nn.Linear(12, 6)

    def forward(self, clip):
        b, t, c, h, w = clip.shape
        feats = self.cnn(clip.view(b * t, c, h, w)).view(b, t, -1)
        out, _ = self.rnn(feats)
        return self.fc(out.mean(dim=1))

    def training_step(self, batch, batch_idx):
        video, label = batch
        loss = F.cross_entropy(self(video), label)
        self.log("train_loss", loss, batch_size=video.shape[0])
        return loss


@batch_of("{video: float[B,3,?,?,?], label: int[B]<3}", example="{video: float[B,3,8,16,16], label: int[B]<3}")
class VideoConvolution3d(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(3, 6, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2)),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        )

    def training_step(self, batch, batch_idx):
        y_hat = self.net(batch["video"])
        loss = F.cross_entropy(y_hat, batch["label"])
        self.log("train_loss", loss.item())
        return loss


@batch_of(
    "{image: float[B,1,?,?], tabular: float[B,6], target: float[B]}",
    example="{image: float[B,1,16,16], tabular: float[B,6], target: float[B]}",
)
class ImageAndTabular(Adam):
    def __init__(self):
        super().__init__()
        self.image_encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.tabular_encoder = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.regressor = nn.Linear(12, 1)

    def forward(self, image, tabular):
        z = torch.cat([self.image_encoder(image), self.tabular_encoder(tabular)], dim=1)
        return self.regressor(z).squeeze(1)

    def training_step(self, batch, batch_idx):
        pred = self(batch["image"], batch["tabular"])
        loss = F.mse_loss(pred, batch["target"])
        self.log("train_loss", loss)
        return loss


@batch_of(
    "float[B,3,?,?], {color: int[B]<5, shape: int[B]<3, size: float[B]}",
    "float[B,3,?,?], {color: int[B]<5, shape: int[B]<3, size: float[B,1]}",
    example="float[B,3,16,16], {color: int[B]<5, shape: int[B]<3, size: float[B]}",
)
class MultiTaskTargets(Adam):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(conv_block(3, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.heads = nn.ModuleDict({"color": nn.Linear(8, 5), "shape": nn.Linear(8, 3), "size": nn.Linear(8, 1)})

    def forward(self, x):
        h = self.trunk(x)
        return {name: head(h) for name, head in self.heads.items()}

    def training_step(self, batch, batch_idx):
        images, targets = batch
        out = self(images)
        losses = {
            "color": F.cross_entropy(out["color"], targets["color"]),
            "shape": F.cross_entropy(out["shape"], targets["shape"]),
            "size": F.mse_loss(out["size"].view(-1), targets["size"].view(-1)),
        }
        self.log_dict({f"train/{name}": value for name, value in losses.items()})
        return sum(losses.values())


@batch_of("float[B,3,?,?], int[B]<5", "float[B,3,?,?], float[B]<5", example="float[B,3,16,16], int[B]<5")
class OrdinalRanks(Adam):
    """CORAL: a binary target for each threshold."""

    def __init__(self, num_classes=5):
        super().__init__()
        self.num_classes = num_classes
        self.features = nn.Sequential(conv_block(3, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(8, 1, bias=False)
        self.bias = nn.Parameter(torch.arange(num_classes - 1, 0, -1).float() / (num_classes - 1))

    def training_step(self, batch, batch_idx):
        features, true_labels = batch
        logits = self.fc(self.features(features)) + self.bias
        levels = (true_labels.unsqueeze(1) > torch.arange(self.num_classes - 1, device=self.device)).float()
        loss = F.binary_cross_entropy_with_logits(logits, levels)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "float[B,1,H,W], float[B,1,H,W], float|int[B]<2",
    "float[B,1,?,?], float[B,1,?,?], float|int[B]<2",
    example="float[B,1,28,28], float[B,1,28,28], float[B]<2",
)
class SiameseContrastive(Adam):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 5), nn.PReLU(), nn.MaxPool2d(2, 2), nn.Conv2d(4, 8, 5), nn.PReLU(), nn.AdaptiveAvgPool2d(2),
        )  # fmt: skip
        self.fc = nn.Linear(32, 2)

    def forward_once(self, x):
        return self.fc(self.net(x).view(x.size()[0], -1))

    def forward(self, x1, x2):
        return self.forward_once(x1), self.forward_once(x2)

    def training_step(self, batch, batch_idx):
        x0, x1, y = batch
        out0, out1 = self(x0, x1)
        distance = F.pairwise_distance(out0, out1)
        loss = torch.mean((1 - y) * distance.pow(2) + y * torch.clamp(self.margin - distance, min=0.0).pow(2))
        self.log("train_loss", loss)
        return loss
