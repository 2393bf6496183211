"""What counts of an environment that nobody named: in half precision a warning, on several processes advice."""

import pytest

from lightning_conformance import check_module

MODULES = """
import pytorch_lightning as pl
import torch
from torch import nn


class Silent(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.unused = nn.Linear(3, 1), nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        loss = self.net(batch).square().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Speaks(Silent):
    def training_step(self, batch, batch_idx):
        loss = self.net(batch).square().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss
"""


def levels(target, check, place, environment, batch):
    report = check_module(target, batch=batch, environment=environment, select=[check], raise_on_failure=False)
    verdict = report.verdict(check, place)
    return verdict.outcome, {finding.severity for finding in verdict.findings}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [("auto", ("passed", {"warning"})), (["cpu", "bf16-mixed"], ("failed", {"error"}))],
    ids=["auto", "named"],
)
def test_half_precision(environment, expected):
    from suite_cases import cases

    case = next(c for c in cases("faults", "EXPECTED") if c.name == "AggregatesIntoFloat32")
    batch = case.expected["batch"]
    assert levels(case.target, "dtypes_fit_together", "bf16-mixed", environment, batch) == expected


@pytest.mark.parametrize(
    ("name", "environment", "expected"),
    [
        ("Silent", "auto", ("passed", {"advice"})),
        ("Speaks", "auto", ("failed", {"error"})),
        ("Silent", ["cpu", "ddp-2"], ("failed", {"error"})),
    ],
)
def test_several_processes(name, environment, expected, tmp_path):
    file = tmp_path / "spoken.py"
    file.write_text(MODULES, "utf-8")
    check = "parameters_are_used_on_every_rank"
    assert levels(f"{file}:{name}", check, "ddp-2", environment, "float[4,3]") == expected
