"""Other precisions than float32: one object a precision, on the CPU, or on CUDA where only that has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lightning_conformance.environments.base import Cuda, Environment
from lightning_conformance.lightning_api import installed_releases, precision_word

# Lightning's plugin for whole modules in half precision.
_SINCE = {"bf16-true": (2, 1), "16-true": (2, 1)}
_LOW = {"bf16-mixed": "bfloat16", "bf16-true": "bfloat16", "16-mixed": "float16", "16-true": "float16"}


@dataclass(frozen=True)
class Precision(Environment):
    """One process on the CPU, in another precision than float32; named as the Trainer's argument names it.

    Args:
        automatic: Whether ``auto`` chooses it, where it is there.
    """

    own: tuple[str, ...] = ("completion", "precision")
    ordinary: bool = False
    automatic: bool = False

    @property
    def is_mixed(self) -> bool:
        """Whether parameters stay float32, and autocast chooses for each operation."""
        return self.name.endswith("-mixed")

    @property
    def low(self) -> str:
        """The dtype with fewer bits than float32 that is computed in; empty where there is none."""
        return _LOW.get(self.name, "")

    @property
    def whole(self) -> str:
        """The dtype that parameters, buffers and batches are converted to; empty where they stay as they are."""
        return "" if self.is_mixed else self.low or "float64"

    def unavailable(self) -> str | None:
        """Why this Lightning has no such precision."""
        since = _SINCE.get(self.name, (0, 0))
        old = next((f"{name} {version}" for name, version, release in installed_releases() if release < since), "")
        return f"Lightning has it since {since[0]}.{since[1]}; this is {old}" if old else None

    def in_auto(self) -> bool:
        """Where it costs little and says much."""
        return self.automatic and self.unavailable() is None

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Without oneDNN, which has no kernel for an LSTM in mixed precision."""
        import torch

        was = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(was and not self.low)
        try:
            yield
        finally:
            torch._C._set_mkldnn_enabled(was)

    def trainer_arguments(self) -> dict[str, Any]:
        """The CPU in this precision."""
        return {**super().trainer_arguments(), "precision": precision_word(self.name)}


@dataclass(frozen=True)
class CudaPrecision(Precision):
    """One process on the first CUDA device, in another precision than float32."""

    def unavailable(self) -> str | None:
        """Why no CUDA device can be used."""
        reason = Cuda().unavailable()
        return f"{reason}, and on the CPU Lightning makes bf16-mixed of it" if reason else super().unavailable()

    def trainer_arguments(self) -> dict[str, Any]:
        """The device in this precision."""
        return {**Cuda().trainer_arguments(), "precision": precision_word(self.name)}

    def device(self) -> Any:
        """``cuda:0``."""
        return Cuda().device()


PRECISIONS = (
    Precision("bf16-mixed", "the CPU under autocast: what GPUs train in", automatic=True),
    Precision("bf16-true", "the CPU, everything in bfloat16"),
    Precision("16-true", "the CPU, everything in float16"),
    Precision("64-true", "the CPU, everything in float64"),
    # In auto where CUDA is: nowhere else is there a loss scaler.
    CudaPrecision("16-mixed", "the first CUDA device under autocast to float16, with a loss scaler", automatic=True),
)
