"""Batches whose values stand in a relation to each other, through a whole run of modules that need it."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lightning_conformance import check_module


class Trains(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        loss, size = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Graphs(Trains):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def loss(self, batch):
        source, target = batch.edge_index
        assert "x" in batch and batch["x"] is batch.x
        batch.x = self.net(batch.x).relu()
        nodes = batch.x.index_add(0, target, batch.x[source])
        pooled = torch.zeros(batch.num_graphs, 8, device=self.device).index_add(0, batch.batch, nodes)
        assert len(batch.batch.unique()) == batch.num_graphs
        return F.cross_entropy(self.head(pooled), batch.y), batch.num_graphs


class Detection(Trains):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 4)

    def loss(self, batch):
        images, targets = batch
        assert len(images) == len(targets)
        losses = []
        for image, target in zip(images, targets, strict=True):
            boxes = target["boxes"]
            assert (boxes[:, 2:] > boxes[:, :2]).all() and len(boxes) == len(target["labels"])
            losses.append(F.l1_loss(self.net(image.mean(dim=(1, 2))).expand_as(boxes), boxes))
        return torch.stack(losses).mean(), len(images)


class Packed(Trains):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.GRU(3, 8, batch_first=True), nn.Linear(8, 1)

    def loss(self, batch):
        x, lengths, y = batch
        packed, _ = self.net(pack_padded_sequence(x, lengths.cpu(), batch_first=True))
        padded, _ = pad_packed_sequence(packed, batch_first=True)
        return F.mse_loss(self.head(padded).squeeze(-1), y), len(x)


class Attentive(Trains):
    def __init__(self):
        super().__init__()
        self.net = nn.MultiheadAttention(8, 2, batch_first=True)

    def loss(self, batch):
        x, is_padding, teacher = batch
        attended, _ = self.net(x, x, x, key_padding_mask=is_padding)
        kept = (~is_padding).unsqueeze(-1)
        pooled = (attended * kept).sum(dim=1) / kept.sum(dim=1)
        assert is_padding.any() and torch.allclose(teacher.sum(dim=1), torch.ones(len(x), device=self.device))
        return F.kl_div(pooled.log_softmax(dim=1), teacher, reduction="batchmean"), len(x)


GRAPHS = "Data(x: float[23,8], edge_index: int[2,53]<23, batch: int[23]<B rising, y: int[B]<2, num_graphs: B)"
DETECTION = "[float[3,8,8] in 0..1] * B, [{boxes: float[3,4] boxes, labels: int[3]<5}] * B"


@pytest.mark.parametrize(
    ("module", "batch"),
    [
        (Graphs, GRAPHS),
        (Detection, DETECTION),
        (Packed, "float[B,7,3], int[B] in 1..7 falling, float[B,7]"),
        (Attentive, "float[B,7,8], bool[B,7] suffix, float[B,8] simplex"),
    ],
)
def test_module_passes_with_batches_of_its_kind(module, batch):
    report = check_module(module, batch=batch, environment="cpu")
    assert [step.batch_size for step in report.recordings[0].steps] == [5, 5, 5, 3] * 2
    assert report.recordings[0].failure is None


def test_own_samples_are_counted_and_cut():
    def feed():
        images = [torch.rand(3, 8, 8) for _ in range(6)]
        boxes = [torch.rand(count, 4).cumsum(dim=1) + torch.arange(4) for count in (1, 2, 3, 1, 2, 3)]
        return images, [{"boxes": each, "labels": torch.ones(len(each), dtype=torch.long)} for each in boxes]

    report = check_module(Detection, batch=feed, environment="cpu")
    assert [step.batch_size for step in report.recordings[0].steps] == [6, 6, 6, 3] * 2
