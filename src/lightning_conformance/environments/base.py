"""Where a run takes place: one object a place, each of which says whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Environment(Protocol):
    """A place to run a module in: accelerator, number of processes, precision."""

    @property
    def name(self) -> str:
        """Short name, as in node ids and options."""
        ...

    @property
    def automatic(self) -> bool:
        """Whether ``auto`` chooses it where it is there."""
        ...

    def unavailable(self) -> str | None:
        """Why the environment is not there; None where it is."""
        ...

    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of the Trainer that make it run here."""
        ...

    def device(self) -> Any:
        """The ``torch.device`` that batches are moved to."""
        ...


@dataclass(frozen=True)
class Cpu:
    """One process on the CPU, in float32."""

    name: str = "cpu"
    automatic: bool = True

    def unavailable(self) -> str | None:
        """The CPU is always there."""
        return None

    def trainer_arguments(self) -> dict[str, Any]:
        """One CPU process."""
        return {"accelerator": "cpu", "devices": 1}

    def device(self) -> Any:
        """``cpu``."""
        import torch

        return torch.device("cpu")


@dataclass(frozen=True)
class Cuda:
    """One process on the first CUDA device."""

    name: str = "cuda"
    automatic: bool = True

    def unavailable(self) -> str | None:
        """Why no CUDA device can be used."""
        import torch

        if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
            return "this torch is built without CUDA"
        return None if torch.cuda.is_available() else "torch sees no CUDA device"

    def trainer_arguments(self) -> dict[str, Any]:
        """One process on device 0."""
        return {"accelerator": "gpu", "devices": [0]}

    def device(self) -> Any:
        """``cuda:0``."""
        import torch

        return torch.device("cuda", 0)


@dataclass(frozen=True)
class Mps:
    """One process on Apple's GPU."""

    name: str = "mps"
    automatic: bool = True

    def unavailable(self) -> str | None:
        """Why MPS cannot be used."""
        import torch

        return None if torch.backends.mps.is_available() else "torch sees no MPS device"

    def trainer_arguments(self) -> dict[str, Any]:
        """One process on the MPS device."""
        return {"accelerator": "mps", "devices": 1}

    def device(self) -> Any:
        """``mps:0``."""
        import torch

        return torch.device("mps", 0)
