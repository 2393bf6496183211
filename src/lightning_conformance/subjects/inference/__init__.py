"""Finds out what a batch looks like, from nothing but the module: it is tried out in a real Trainer."""

from __future__ import annotations

from lightning_conformance.subjects.inference.infer import infer_batch
from lightning_conformance.subjects.inference.outcome import Inference, ModuleOwnError

__all__ = ["Inference", "ModuleOwnError", "infer_batch"]
