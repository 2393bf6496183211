"""What code says when it names a device, and where that is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightning_conformance.environments.virtual_device.sides import HOST, NEUTRAL, SENTINEL, Side
from lightning_conformance.environments.virtual_device.witness import Witness

ACCELERATORS = ("cuda", "mps", "xpu", "hpu", "npu", "xla")


@dataclass(frozen=True)
class Target:
    """Where to make or move a tensor.

    Args:
        side: The side; None for a device on neither, such as ``meta``.
        device: What torch is given in place of the device that was named.
    """

    side: Side | None
    device: Any


def is_device(value: Any) -> bool:
    """Whether an argument names a device."""
    return isinstance(value, str) or type(value) is int or type(value).__name__ == "device"


def target_of(device: Any, witness: Witness) -> Target:
    """Where a device is, by its name, number or ``torch.device``."""
    if device is NEUTRAL:
        return Target(Side.UNKNOWN, NEUTRAL)
    if device is HOST:
        return Target(Side.HOST, HOST)
    if isinstance(device, int):
        return Target(Side.DEVICE, SENTINEL)
    kind, _, index = str(device).partition(":")
    if kind in ACCELERATORS:
        witness.named_device(str(device))
        return Target(Side.DEVICE, SENTINEL)
    if kind != "cpu":
        return Target(None, device)
    if index:
        return Target(Side.DEVICE, SENTINEL)
    return Target(Side.HOST if witness.means_host() else Side.UNKNOWN, NEUTRAL)
