"""The virtual accelerator: the CPU, where devices are told apart as CUDA tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_conformance.environments.base import Environment

if TYPE_CHECKING:
    from lightning_conformance.environments.virtual_device import VirtualDevice, Witness


@dataclass(frozen=True)
class Virtual(Environment):
    """One process on the CPU, where what is moved to the device is told from what is not."""

    name: str = "virtual"
    summary: str = "a pretend accelerator: the CPU, where devices are told apart as CUDA tells them"
    own: tuple[str, ...] = ("completion", "device")
    ordinary: bool = False

    def unavailable(self) -> str | None:
        """Why this torch cannot tell the devices apart."""
        from lightning_conformance.environments.virtual_device import storages_can_be_marked

        return None if storages_can_be_marked() else "this torch does not keep the Python object of a storage"

    def watched_by(self, witness: Witness) -> VirtualDevice:
        """One run's device; what a real one would not have goes to the witness."""
        from lightning_conformance.environments.virtual_device import VirtualDevice

        return VirtualDevice(witness)
