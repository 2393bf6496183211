"""The LightningModule that the tests' own modules subclass, under either of its two package names."""

from __future__ import annotations

try:
    from lightning.pytorch import LightningModule
except ImportError:
    from pytorch_lightning import LightningModule

__all__ = ["LightningModule"]
