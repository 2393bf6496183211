"""What a run does with devices, in an environment that tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightning_conformance.recording.events import Place, Seen

# A plain attribute, a layer that is not registered, the batch, a line that makes it, a global variable, or not known.
HostTensor = Literal["attribute", "layer", "batch", "made", "global", "unknown"]


@dataclass(frozen=True)
class DevicesToldApart(Seen):
    """The run takes place where a tensor on the accelerator is told from one on the CPU."""


@dataclass(frozen=True)
class DeviceMix(Seen):
    """An operation got a tensor on the accelerator and one on the CPU.

    Args:
        operation: For example ``cross_entropy``.
        device_tensor: Shape of the tensor on the accelerator.
        host_tensor: Shape of the tensor on the CPU.
        kind: What the tensor on the CPU is.
        name: How it is reached, for example ``self.weights``; empty where it has no name.
        made: The line that makes it, where that was seen.
        place: The line of the operation.
    """

    operation: str
    device_tensor: tuple[int, ...]
    host_tensor: tuple[int, ...]
    kind: HostTensor
    name: str = ""
    made: Place | None = None
    place: Place | None = None


@dataclass(frozen=True)
class HostTensorWanted(Seen):
    """An operation that takes only tensors on the CPU got one on the accelerator.

    Args:
        operation: For example ``numpy``.
        argument: What it got.
    """

    operation: str
    argument: str
    place: Place | None = None


@dataclass(frozen=True)
class DeviceNamed(Seen):
    """The code asks for one accelerator by name: ``.cuda()`` or ``cuda:0``."""

    text: str
    place: Place | None = None


@dataclass(frozen=True)
class HostWaited(Seen):
    """In the training steps, a line made the host wait for the accelerator to see a value.

    Args:
        operation: For example ``item``.
        times: How often, in all training steps.
        steps: The number of training steps.
    """

    operation: str
    times: int
    steps: int
    place: Place | None = None
