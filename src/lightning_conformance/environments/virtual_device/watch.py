"""Pretend, for a while, that there is an accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lightning_conformance.environments.virtual_device.calls import CallMode
from lightning_conformance.environments.virtual_device.operations import OperationMode
from lightning_conformance.environments.virtual_device.sides import SENTINEL, Side, storage_of
from lightning_conformance.environments.virtual_device.state import DeviceState
from lightning_conformance.environments.virtual_device.witness import Witness


class VirtualDevice:
    """One run's pretend accelerator.

    Args:
        witness: Is told what an accelerator would not have.
    """

    def __init__(self, witness: Witness) -> None:
        self._state = DeviceState(witness)
        self._calls = CallMode(self._state)
        self._operations = OperationMode(self._state)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While this lasts, the calling thread's tensors are told apart."""
        with self._operations, self._calls, self._inside_backward(), self._loading():
            yield

    def side(self, tensor: torch.Tensor) -> Side:
        """On which side a tensor is."""
        with torch._C.DisableTorchFunction():
            return self._state.marks.of(tensor).side

    def leave_on_host(self, tensor: torch.Tensor) -> Any:
        """Note that a tensor of which nothing is known is on the host; its storage, by which it is known again."""
        with torch._C.DisableTorchFunction():
            if self._state.marks.of(tensor).side is Side.UNKNOWN:
                self._state.marks.put(tensor, Side.HOST)
            return storage_of(tensor)

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """``torch.load`` to the device: for each storage it asks a register who knows the location."""
        registry = torch.serialization._package_registry
        before = list(registry)

        def restore(storage: Any, location: str) -> Any:
            if location != str(SENTINEL):
                return None
            self._state.marks.put_storage(storage, Side.DEVICE)
            return storage

        torch.serialization.register_package(0, lambda storage: None, restore)
        try:
            yield
        finally:
            registry[:] = before

    @contextmanager
    def _inside_backward(self) -> Iterator[None]:
        """Backward passes run the user's code, too, and torch switches the mode off in ``tensor.backward``."""
        name, state = "_engine_run_backward", self._state
        original = getattr(torch.autograd, name, None)
        if original is None:
            yield
            return

        def run(*args: Any, **kwargs: Any) -> Any:
            if state.running is None:
                return original(*args, **kwargs)
            before, state.running = state.running, None
            try:
                with self._calls:
                    return original(*args, **kwargs)
            finally:
                state.running = before

        setattr(torch.autograd, name, run)
        try:
            yield
        finally:
            setattr(torch.autograd, name, original)
