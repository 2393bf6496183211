"""A module whose own data cannot be had here is fed otherwise, and nothing is downloaded in secret."""

import textwrap

from lightning_conformance import check_module

MODULE = """
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class Downloads(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def prepare_data(self):
        raise OSError("no network")

    {loaders}

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""

LOADERS = """
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.load("data.pt"))
"""


def check(tmp_path, name, loaders="", **options):
    file = tmp_path / f"{name}.py"
    file.write_text(textwrap.dedent(MODULE).format(loaders=loaders.strip("\n").lstrip()))
    return check_module(f"{file}:Downloads", environment="cpu", **options)


def test_batch_is_inferred_where_prepare_data_fails(tmp_path):
    report = check(tmp_path, "prepares")
    assert report.passed
    assert report.recordings[0].batch_source == "inferred"
    assert any("no network" in note for note in report.recordings[0].notes)


def test_batch_is_inferred_where_own_loaders_fail(tmp_path):
    report = check(tmp_path, "loads", LOADERS)
    assert report.passed
    assert report.recordings[0].batch_source == "inferred"
    assert any("train_dataloader" in note and "no network" in note for note in report.recordings[0].notes)


def test_given_batch_needs_no_prepare_data(tmp_path):
    report = check(tmp_path, "given", batch="x: float[8,4], y: int[8]<2")
    assert report.passed
    assert any("prepare_data" in note for note in report.recordings[0].notes)
