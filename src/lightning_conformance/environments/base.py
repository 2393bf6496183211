"""Where a run takes place: one object a place, each of which says whether it is there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

# What shows in certain environments only.
SPECIAL = ("device", "precision", "distributed")


@dataclass(frozen=True)
class Environment:
    """A place to run a module in: accelerator, number of processes, precision.

    Args:
        name: Short name, as in node ids and options.
        summary: What it is, in a few words.
        own: Families of checks that need such a place.
        ordinary: Whether all families are judged that need no other place, even beside another environment.
        narrowed: Whether its own families alone are judged.
        asked: Whether the user named it; ``auto`` names none.
        ranks: Processes that train together.
    """

    name: str
    summary: str
    own: tuple[str, ...] = ()
    ordinary: bool = True
    narrowed: bool = False
    asked: bool = True
    ranks: int = 1

    def unavailable(self) -> str | None:
        """Why the environment is not there; None where it is."""
        return None

    def in_auto(self) -> bool:
        """Whether ``auto`` chooses it: each real one that is there, and each one that can be pretended."""
        return not self.ordinary or self.unavailable() is None

    def trainer_arguments(self) -> dict[str, Any]:
        """Arguments of the Trainer that make it run here."""
        return {"accelerator": "cpu", "devices": 1}

    def in_effect(self) -> AbstractContextManager[Any]:
        """What holds in the process while something runs here."""
        return nullcontext()

    def device(self) -> Any:
        """The ``torch.device`` that batches are moved to."""
        import torch

        return torch.device("cpu")

    def judges(self, family: str) -> bool:
        """Whether checks of a family are judged here."""
        return family in self.own or not (self.narrowed or family in SPECIAL)

    def beside(self) -> Environment:
        """This environment as it is next to an ordinary one, which judges what needs no special place."""
        return self if self.ordinary else replace(self, narrowed=True)


@dataclass(frozen=True)
class Cpu(Environment):
    """One process on the CPU, in float32."""

    name: str = "cpu"
    summary: str = "one process on the CPU"


@dataclass(frozen=True)
class Cuda(Environment):
    """One process on a CUDA device, the first by default."""

    name: str = "cuda"
    summary: str = "one process on the first CUDA device"
    own: tuple[str, ...] = ("device",)
    index: int = 0

    def unavailable(self) -> str | None:
        """Why no CUDA device can be used."""
        import torch

        if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
            return "this torch is built without CUDA"
        if not torch.cuda.is_available():
            return "torch sees no CUDA device"
        count = torch.cuda.device_count()
        return None if self.index < count else f"torch sees {count} CUDA {'device' if count == 1 else 'devices'}"

    def trainer_arguments(self) -> dict[str, Any]:
        """One process on the device."""
        return {"accelerator": "gpu", "devices": [self.index]}

    def device(self) -> Any:
        """``cuda:0``, or the other device."""
        import torch

        return torch.device("cuda", self.index)


@dataclass(frozen=True)
class Mps(Environment):
    """One process on Apple's GPU."""

    name: str = "mps"
    summary: str = "one process on Apple's GPU"
    own: tuple[str, ...] = ("device",)

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
