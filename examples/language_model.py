"""A small recurrent language model: predicts each token from the ones before it."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LanguageModel(pl.LightningModule):
    """Embedding, GRU and a linear layer, trained on the next token.

    A batch is ``{"tokens": tokens}``: integers in ``[0, vocabulary)``, of shape ``(batch, length)``.
    """

    def __init__(self, vocabulary: int = 64, width: int = 32, lr: float = 3e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.embedding = nn.Embedding(vocabulary, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each one: ``(batch, length)`` to ``(batch, length, vocabulary)``."""
        states, _ = self.gru(self.embedding(tokens))
        return self.head(states)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self._next_token_loss(batch["tokens"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        loss = self._next_token_loss(batch["tokens"])
        self.log("val_loss", loss, prog_bar=True)

    def _next_token_loss(self, tokens: Tensor) -> Tensor:
        logits = self(tokens[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
