"""Up to Lightning 1.9, `optimizer_step` was told which optimizer it is, and more; 2.0 calls it with four arguments."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class Warmup(pl.LightningModule):
    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(10, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(
        self, epoch, batch_idx, optimizer, optimizer_idx, optimizer_closure, on_tpu=False, using_lbfgs=False
    ):
        # Warm up over three steps.
        for group in optimizer.param_groups:
            group["lr"] = self.hparams.lr * min(1.0, (self.trainer.global_step + 1) / 3)
        optimizer.step(closure=optimizer_closure)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
