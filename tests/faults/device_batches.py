"""Family 5: batches that are still on the CPU when the step gets them."""

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return torch.randn(6), index % 3


class Base(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        return F.cross_entropy(self.net(batch.x), batch.y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=5)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def train_dataloader(self):
        return DataLoader(Rows(), batch_size=5, collate_fn=self.collate)


class Batch:
    def __init__(self, rows):
        self.x = torch.stack([x for x, _ in rows])
        self.y = torch.tensor([y for _, y in rows])


class BatchOfAClass(Base):
    """Lightning does not know the class, and hands it on as it is."""

    def loss(self, batch):
        logits = self.net(batch.x)  # FAULT: BatchOfAClass
        return F.cross_entropy(logits, batch.y)

    def collate(self, rows):
        return Batch(rows)


class BatchInSlots(Base):
    """The object is one of a dict's values."""

    class Sample:
        def __init__(self, x):
            self.parts = {"x": x}

    def loss(self, batch):
        out = self.net(batch["sample"].parts["x"])  # FAULT: BatchInSlots
        return F.cross_entropy(out, batch["y"])

    def collate(self, rows):
        batch = Batch(rows)
        return {"sample": self.Sample(batch.x), "y": batch.y}


class TransferMovesNothing(Base):
    def transfer_batch_to_device(self, batch, device, dataloader_idx):  # FAULT: TransferMovesNothing
        return batch

    def collate(self, rows):
        return Batch(rows)


class TransferForgetsTheLabels(Base):
    def transfer_batch_to_device(self, batch, device, dataloader_idx):  # FAULT: TransferForgetsTheLabels
        batch.x = batch.x.to(device)
        return batch

    def collate(self, rows):
        return Batch(rows)


class ToForgetsTheLabels(Base):
    """The batch's own ``to`` moves a part."""

    class Batch(Batch):
        def to(self, device, **kwargs):
            self.x = self.x.to(device)
            return self

    def loss(self, batch):
        return F.cross_entropy(self.net(batch.x), batch.y)  # FAULT: ToForgetsTheLabels

    def collate(self, rows):
        return self.Batch(rows)


EXPECTED = {
    "BatchOfAClass": {
        "fault": "custom-batch-not-moved",
        "environment": "virtual",
        "check": "batch_is_moved_to_device",
        "severity": "error",
        "words": ["batch.x", "def to(self"],
    },
    "BatchInSlots": {
        "fault": "custom-batch-not-moved",
        "environment": "virtual",
        "check": "batch_is_moved_to_device",
        "severity": "error",
        "words": ["batch['sample'].parts['x']"],
    },
    "TransferMovesNothing": {
        "fault": "custom-batch-not-moved",
        "environment": "virtual",
        "check": "batch_is_moved_to_device",
        "severity": "error",
        "words": ["batch.x", "super().transfer_batch_to_device"],
    },
    "TransferForgetsTheLabels": {
        "fault": "custom-batch-not-moved",
        "environment": "virtual",
        "check": "batch_is_moved_to_device",
        "severity": "error",
        "words": ["batch.y", "transfer_batch_to_device"],
    },
    "ToForgetsTheLabels": {
        "fault": "custom-batch-not-moved",
        "environment": "virtual",
        "check": "batch_is_moved_to_device",
        "severity": "error",
        "words": ["batch.y"],
    },
}
