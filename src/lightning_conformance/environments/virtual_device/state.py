"""What the two modes of the pretend accelerator share during one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lightning_conformance.environments.virtual_device.sides import Marks, Side
from lightning_conformance.environments.virtual_device.witness import Witness

# How what has no name of its own is written.
_WRITTEN = {
    **{f"__{name}__": name for name in ("bool", "int", "float", "index", "repr", "contains", "add", "mul", "sub")},
    **{f"__{name}__": name for name in ("radd", "rmul", "rsub", "iadd", "imul", "isub", "itruediv", "truediv")},
    "__getitem__": "tensor[...]",
    "__setitem__": "tensor[...] =",
}
# Where a mode is on, torch takes a way through them on which lengths and targets stay where they are.
_LENIENT = {"ctc_loss"}


class DeviceState:
    """The marks of one run, the torch function that is running, and who is told.

    Args:
        witness: Is told what an accelerator would not have.
    """

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.marks = Marks()
        self.running: Callable[..., Any] | None = None

    def name_of(self, operation: str) -> str:
        """What the user called, in which an operation runs."""
        name = getattr(self.running, "__name__", "") if self.running is not None else ""
        return (_WRITTEN.get(name, name) or operation).lstrip("_")

    @property
    def is_lenient(self) -> bool:
        """Whether what runs moves its operands itself, in a way that is not to be seen here."""
        return getattr(self.running, "__name__", "") in _LENIENT

    def mark_made(self, tensor: torch.Tensor, is_fresh: bool) -> None:
        """Mark a tensor that an operation made from nothing; what the function mode knows better, it says after.

        Code in C++ makes tensors for its own use, on the device of its operands, which here is the CPU.

        Args:
            is_fresh: Whether it holds values that Python or NumPy gave.
        """
        if self.running is None and (is_fresh or self.witness.makes_tensor()):
            self.marks.put(tensor, Side.HOST, self.witness.origin())
        else:
            self.marks.put(tensor, Side.UNKNOWN)

    def mark_tree(self, value: Any, side: Side, origin: Any = None) -> None:
        """Mark every tensor in a function's result."""
        if isinstance(value, torch.Tensor):
            with torch._C.DisableTorchFunction():
                self.marks.put(value, side, origin)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.mark_tree(item, side, origin)
