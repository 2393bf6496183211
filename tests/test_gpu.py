"""What needs a CUDA device."""

import pytest
import torch

from lightning_conformance import check_module

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


def test_auto_runs_on_the_gpu_too():
    report = check_module("examples/classifier.py:Classifier", batch="x: float[8,20], y: int[8]<3")
    assert {"cpu", "virtual", "cuda"} <= {recording.environment for recording in report.recordings}
    assert report.passed


def test_tensor_left_on_the_cpu_fails_on_the_gpu_only():
    import pytorch_lightning as pl

    class LeavesNoiseBehind(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(4, 2)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = torch.nn.functional.cross_entropy(self.net(x + torch.zeros(4)), y)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    report = check_module(LeavesNoiseBehind, batch="x: float[5,4], y: int[5]<2", raise_on_failure=False)
    assert report.verdict("training_completes", "cpu").outcome == "passed"
    assert report.verdict("training_completes", "cuda").outcome == "failed"
