"""A regression on feature vectors, with a learning-rate schedule that follows the length of the run.

The one example written for the ``lightning`` package: it needs ``pip install lightning``, where the others
need ``pytorch-lightning``. The two are separate code bases; a project should import one of them only.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Regressor(L.LightningModule):
    """A multi-layer perceptron trained with the mean squared error.

    A batch is ``(x, y)``, both float: ``x`` of shape ``(batch, features)``, ``y`` ``(batch, targets)``.
    """

    def __init__(self, features: int = 10, hidden: int = 32, targets: int = 1, lr: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(features, hidden),
            nn.Tanh(),
            nn.Linear(hidden, targets),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        prediction = self(x)
        self.log("val_loss", F.mse_loss(prediction, y))
        self.log("val_mae", F.l1_loss(prediction, y))

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        # T_max counts optimizer steps, so the schedule must advance per step; the default is per epoch.
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
