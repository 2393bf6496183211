"""A strict pretend accelerator: everything is computed on the CPU, but devices are told apart as CUDA tells them.

Each storage carries a mark: on the device, or on the host. Two of torch's modes keep the marks: one sees every
operation, those in C++ and in backward passes too, one every call from Python, which is where devices are named.
"""

from __future__ import annotations

from lightning_conformance.environments.virtual_device.sides import SENTINEL, Side, storages_can_be_marked
from lightning_conformance.environments.virtual_device.watch import VirtualDevice
from lightning_conformance.environments.virtual_device.witness import Witness

__all__ = ["SENTINEL", "Side", "VirtualDevice", "Witness", "storages_can_be_marked"]
