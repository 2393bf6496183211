"""Segmentation, detection and other targets for each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from inference_suite.expectations import batch_of


def double_conv(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True),
    )  # fmt: skip


@batch_of("{image: float[B,1,H,W], mask: int[B,H,W]<4}", example="{image: float[B,1,32,32], mask: int[B,32,32]<4}")
class UnetOfFourLevels(Adam):
    """Sides have to be multiples of 16; the keys are held in attributes."""

    def __init__(self, in_channels=1, n_classes=4, image_key="image", mask_key="mask"):
        super().__init__()
        self.image_key, self.mask_key = image_key, mask_key
        widths = [4, 4, 8, 8, 8]
        self.downs = nn.ModuleList([double_conv(i, o) for i, o in zip([in_channels, *widths[:-1]], widths)])
        self.ups = nn.ModuleList([nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in zip(widths[:0:-1], widths[-2::-1])])
        self.convs = nn.ModuleList([double_conv(2 * o, o) for o in widths[-2::-1]])
        self.out = nn.Conv2d(widths[0], n_classes, 1)

    def forward(self, x):
        skips = []
        for i, down in enumerate(self.downs):
            x = down(x)
            if i < len(self.downs) - 1:
                skips.append(x)
                x = F.max_pool2d(x, 2)
        for up, conv, skip in zip(self.ups, self.convs, reversed(skips)):
            x = conv(torch.cat([skip, up(x)], dim=1))
        return self.out(x)

    def training_step(self, batch, batch_idx):
        images, masks = batch[self.image_key], batch[self.mask_key]
        loss = F.cross_entropy(self(images), masks)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{image: float[B,1,?,?,?], label: float|int|bool[B,1,?,?,?]<2}",
    example="{image: float[B,1,16,16,16], label: float[B,1,16,16,16]<2}",
)
class DiceOnVolumes(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.LeakyReLU(), nn.Conv3d(4, 1, 1)
        )

    @staticmethod
    def dice_loss(pred, target, smooth=1e-5):
        pred, target = torch.sigmoid(pred).flatten(1), target.flatten(1)
        intersection = (pred * target).sum(1)
        return 1 - ((2 * intersection + smooth) / (pred.sum(1) + target.sum(1) + smooth)).mean()

    def training_step(self, batch, batch_idx):
        inputs, labels = batch["image"], batch["label"]
        output = self.net(inputs)
        loss = self.dice_loss(output, labels)
        self.log("train_loss", loss, on_epoch=True)
        return loss


@batch_of("float[B,3,H,W], int[B,H,W]<3", "float[B,3,H,W], int[B,1,H,W]<3", example="float[B,3,16,16], int[B,16,16]<3")
class DiceAndEntropyOneHot(Adam):
    def __init__(self, num_classes=3):
        super().__init__()
        self.num_classes = num_classes
        self.model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, num_classes, 1))

    def training_step(self, batch, batch_idx):
        img, mask = batch
        if mask.dim() == 4:
            mask = mask.squeeze(1)
        logits = self.model(img)
        one_hot = F.one_hot(mask.long(), self.num_classes).permute(0, 3, 1, 2).float()
        probs = logits.softmax(dim=1)
        inter = (probs * one_hot).sum(dim=(2, 3))
        dice = 1 - (2 * inter / (probs.sum(dim=(2, 3)) + one_hot.sum(dim=(2, 3)) + 1e-6)).mean()
        loss = dice + F.cross_entropy(logits, mask.long())
        self.log("train/loss", loss)
        return loss


@batch_of(
    "[float[3,H,W], ...], [{boxes: float[N,4], labels: int[N]<3}, ...]",
    example="[float[3,16,16], float[3,16,20]], "
    "[{boxes: float[2,4], labels: int[2]<3}, {boxes: float[3,4], labels: int[3]<3}]",
)
class DetectorOverZip(Adam):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.box_head, self.class_head = nn.Linear(8, 4), nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        losses = []
        for image, target in zip(*batch):
            feats = self.backbone(image.unsqueeze(0))
            count = target["labels"].shape[0]
            boxes = self.box_head(feats).expand(count, 4)
            scores = self.class_head(feats).expand(count, 3)
            losses.append(F.smooth_l1_loss(boxes, target["boxes"]) + F.cross_entropy(scores, target["labels"]))
        loss = torch.stack(losses).mean()
        self.log("train_loss", loss, batch_size=len(losses))
        return loss


@batch_of(
    "[float[3,H,W], ...], [{boxes: float[N,4], labels: int[N]<4}, ...]",
    example="[float[3,16,16], float[3,16,20]], "
    "[{boxes: float[2,4], labels: int[2]<4}, {boxes: float[3,4], labels: int[3]<4}]",
)
class DetectorOfDictLosses(Adam):
    """As torchvision's detectors are called: lists in, a dict of losses out."""

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(3, 6, 3, padding=1)
            self.boxes, self.classes = nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, images, targets):
            pooled = torch.stack([self.body(img[None]).mean(dim=(2, 3))[0] for img in images])
            index = torch.cat([torch.full((len(t["boxes"]),), i) for i, t in enumerate(targets)])
            found = pooled[index]
            return {
                "loss_box_reg": F.l1_loss(self.boxes(found), torch.cat([t["boxes"] for t in targets])),
                "loss_classifier": F.cross_entropy(self.classes(found), torch.cat([t["labels"] for t in targets])),
            }

    def __init__(self):
        super().__init__()
        self.model = self.Detector()

    def training_step(self, batch, batch_idx):
        images, targets = batch
        images = list(image.to(self.device) for image in images)
        targets = [{k: v for k, v in t.items()} for t in targets]
        loss_dict = self.model(images, targets)
        loss = sum(value for value in loss_dict.values())
        self.log("train_loss", loss, batch_size=len(images))
        return loss


@batch_of(
    "[{image: float[3,H,W], label: int[]<5}, ...]",
    "[{image: float[3,H,W], label: int[1]<5}, ...]",
    example="[{image: float[3,16,16], label: int[]<5}, {image: float[3,16,16], label: int[]<5}]",
)
class ListOfSamples(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def training_step(self, batch, batch_idx):
        images = torch.stack([sample["image"] for sample in batch])
        labels = torch.stack([sample["label"] for sample in batch]).view(-1)
        loss = F.cross_entropy(self.net(images), labels)
        self.log("train_loss", loss, batch_size=len(batch))
        return loss


@batch_of("{img: float[B,3,?,?], heatmap: float[B,6,?,?]}", example="{img: float[B,3,32,32], heatmap: float[B,6,8,8]}")
class KeypointHeatmaps(Adam):
    def __init__(self, joints=6):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.final = nn.Conv2d(8, joints, 1)
        self.criterion = nn.MSELoss(reduction="none")

    def training_step(self, batch, batch_idx):
        pred = self.final(self.stem(batch["img"]))
        loss = self.criterion(pred, batch["heatmap"]).mean(dim=(2, 3)).sum(dim=1).mean()
        self.log("train_loss", loss)
        return loss


@batch_of(
    "float[B,3,H,W], float[B,1,H,W]", "float[B,3,H,W], float[B,H,W]", example="float[B,3,16,16], float[B,1,16,16]"
)
class DepthWhereValid(Adam):
    """Pixels without depth are masked out."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 3, padding=1)
        self.decoder = nn.Conv2d(8, 1, 3, padding=1)

    def training_step(self, batch, batch_idx):
        rgb, depth = batch
        pred = self.decoder(F.elu(self.encoder(rgb))).view_as(depth)
        valid = depth > 0.001
        loss = F.l1_loss(pred[valid], depth[valid])
        self.log("train/l1", loss)
        return loss
