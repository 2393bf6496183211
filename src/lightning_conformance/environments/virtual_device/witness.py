"""Who is told of what a run does that an accelerator would not have."""

from __future__ import annotations

from typing import Any, Protocol

import torch


class Witness(Protocol):
    """Hears what happens on the pretend accelerator, while the user's frames are still on the stack."""

    def origin(self) -> Any:
        """The line that is making a tensor on the CPU; it is handed back when the tensor is in the way."""
        ...

    def means_host(self) -> bool:
        """Whether the line that names the CPU means the CPU, and not whatever device there is."""
        ...

    def makes_tensor(self) -> bool:
        """Whether the running line of the user's makes a tensor with a constructor such as ``torch.Tensor``."""
        ...

    def is_user(self, file: str) -> bool:
        """Whether a file holds the user's code."""
        ...

    def mixed(self, operation: str, on_device: torch.Tensor, on_host: torch.Tensor, origin: Any, root: Any) -> None:
        """An operation got tensors of both sides.

        Args:
            origin: Where the tensor on the CPU was made, where that was seen.
            root: The storage that its values came from, where it was there before the run.
        """
        ...

    def wanted_host(self, operation: str, what: str) -> None:
        """An operation that takes only what is on the CPU got a tensor from the device."""
        ...

    def named_device(self, text: str) -> None:
        """The code names an accelerator outright."""
        ...

    def waited(self, operation: str) -> None:
        """The host waits for the device, to see a value."""
        ...
