"""The virtual accelerator: the CPU, where devices are told apart as CUDA tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_conformance.environments.virtual_device import VirtualDevice, Witness


@dataclass(frozen=True)
class Virtual:
    """One process on the CPU, where what is moved to the device is told from what is not."""

    name: str = "virtual"
    automatic: bool = False

    def unavailable(self) -> str | None:
        """Why this torch cannot tell the devices apart."""
        from lightning_conformance.environments.virtual_device import storages_can_be_marked

        return None if storages_can_be_marked() else "this torch does not keep the Python object of a storage"

    def trainer_arguments(self) -> dict[str, Any]:
        """One CPU process."""
        return {"accelerator": "cpu", "devices": 1}

    def device(self) -> Any:
        """``cpu``: outside of a watched run there is no other."""
        import torch

        return torch.device("cpu")

    def watched_by(self, witness: Witness) -> VirtualDevice:
        """One run's device; what a real one would not have goes to the witness."""
        from lightning_conformance.environments.virtual_device import VirtualDevice

        return VirtualDevice(witness)
