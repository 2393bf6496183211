"""On which side each storage is: what is known of it is kept on the storage itself, so that views share it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch


class Side(Enum):
    """Where a tensor would be on a machine with an accelerator. An unknown side is never held against anybody."""

    DEVICE = "device"
    HOST = "host"
    UNKNOWN = "unknown"


# Made with this device, a tensor is on the pretend accelerator; it differs from torch.device("cpu").
SENTINEL = torch.device("cpu", 0)
# Handed out as the devices of what is on the host, and of what is on an unknown side; told apart by identity.
HOST = torch.device("cpu")
NEUTRAL = torch.device("cpu")
_ATTRIBUTE = "_conformance_mark"


@dataclass(frozen=True)
class Mark:
    """What is known of one storage.

    Args:
        run: The run that it was seen in; marks of other runs mean nothing.
        origin: Where it was made, in the witness's words.
        root: The storage that its values came from, where that was there before the run.
    """

    run: Marks
    side: Side
    origin: Any = None
    root: Any = None


class Marks:
    """The marks of one run. Torch functions must be disabled, or unwatched, where it is asked."""

    def of(self, tensor: torch.Tensor) -> Mark:
        """What is known of a tensor.

        What was there before the run and never moved is on the host; so is what torch makes from NumPy's arrays.
        """
        storage = storage_of(tensor)
        mark = getattr(storage, _ATTRIBUTE, None)
        if mark is not None and mark.run is self:
            return mark  # type: ignore[no-any-return]
        if storage is None or tensor.grad_fn is not None or tensor.is_meta:
            return Mark(self, Side.UNKNOWN)
        return Mark(self, Side.HOST, root=storage)

    def is_new(self, tensor: torch.Tensor) -> bool:
        """Whether nothing was ever noted of the tensor's storage."""
        mark = getattr(storage_of(tensor), _ATTRIBUTE, None)
        return mark is None or mark.run is not self

    def put(self, tensor: torch.Tensor, side: Side, origin: Any = None, root: Any = None) -> None:
        """Note on which side a tensor's storage is."""
        self.put_storage(storage_of(tensor), side, origin, root)

    def put_storage(self, storage: Any, side: Side, origin: Any = None, root: Any = None) -> None:
        """Note on which side a storage is; nothing, where there is none."""
        if storage is not None:
            setattr(storage, _ATTRIBUTE, Mark(self, side, origin, root))


def storage_of(tensor: torch.Tensor) -> Any:
    """The storage that holds a tensor's values; None where it has none of its own."""
    if tensor.layout != torch.strided:
        try:
            tensor = tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()
        except (RuntimeError, NotImplementedError):
            return None
    try:
        return tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return None


def storages_can_be_marked() -> bool:
    """Whether this torch gives the same Python object for a storage each time that it is asked."""
    tensor = torch.empty(2)
    setattr(tensor.untyped_storage(), _ATTRIBUTE, True)
    return getattr(tensor[1:].untyped_storage(), _ATTRIBUTE, False) is True
