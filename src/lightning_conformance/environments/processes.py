"""Several processes that train together: DDP over gloo on the CPU, by fork."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from lightning_conformance.environments.base import Environment


@dataclass(frozen=True)
class Ddp(Environment):
    """Two processes on the CPU, which average their gradients.

    Args:
        patience: Seconds without any progress after which the processes are said to wait for each other.
    """

    name: str = "ddp-2"
    summary: str = "two processes on the CPU that train together (DDP over gloo)"
    own: tuple[str, ...] = ("completion", "distributed")
    ordinary: bool = False
    ranks: int = 2
    patience: float = 10.0

    def unavailable(self) -> str | None:
        """Why no processes can be forked that train together."""
        import torch

        if not hasattr(os, "fork"):
            return "this system has no fork"
        if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
            return "this torch is built without torch.distributed and gloo"
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            # torch starts threads for an accelerator at the first backward pass, and refuses another one in a fork.
            return "a backward pass cannot be forked beside an accelerator; hide it (CUDA_VISIBLE_DEVICES=)"
        return None

    def trainer_arguments(self) -> dict[str, Any]:
        """Two processes, that were started already."""
        return {"accelerator": "cpu", "devices": self.ranks, "strategy": "ddp"}
