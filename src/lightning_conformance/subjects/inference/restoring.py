"""Puts a module and its optimizers back to how they were, so that no attempt leaks into the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

Undo = Callable[[], None]
NEVER_COPIED = {"_trainer", "trainer", "_fabric", "_jit_internal"}


class Snapshot:
    """The state of a module and its trainer at one moment.

    Args:
        module: The module, with its submodules.
        optimizers: Its optimizers, whose states are still empty.
        schedulers: Its learning-rate schedulers.
    """

    def __init__(self, module: nn.Module, optimizers: list[Any], schedulers: list[Any]) -> None:
        self._undos: list[Undo] = []
        for submodule in module.modules():
            if isinstance(submodule, LazyModuleMixin):
                continue  # its first call turns it into another class, for good
            self._undos.append(_attributes(submodule))
        for tensor in [*module.parameters(), *module.buffers()]:
            self._undos.append(_tensor(tensor))
        for optimizer in optimizers:
            self._undos.append(_optimizer(optimizer))
        for scheduler in schedulers:
            self._undos.append(_attributes(scheduler))
        self._undos.append(_random_state())

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undos:
            undo()


def _attributes(owner: Any) -> Undo:
    """Bindings, the content of plain containers, and tensors that are not registered."""
    saved = {k: v for k, v in vars(owner).items() if k not in NEVER_COPIED}
    containers = [(v, v.copy()) for v in saved.values() if type(v) in (list, dict, set) or _is_dict(v)]
    tensors = [_tensor(v) for v in saved.values() if isinstance(v, torch.Tensor)]

    def undo() -> None:
        current = vars(owner)
        for name in [k for k in current if k not in saved and k not in NEVER_COPIED]:
            del current[name]
        current.update(saved)
        for container, content in containers:
            _refill(container, content)
        for restore in tensors:
            restore()

    return undo


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and type(value).__module__ == "collections"


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


def _tensor(tensor: torch.Tensor) -> Undo:
    """Values, gradient and ``requires_grad``; the copy back is spared where nothing was written."""
    if is_lazy(tensor):
        return lambda: None
    requires_grad, grad = tensor.requires_grad, tensor.grad if tensor.is_leaf else None
    copy, version = tensor.detach().clone(), tensor._version

    def undo() -> None:
        nonlocal version
        if tensor._version != version:
            with torch.no_grad():
                tensor.detach().copy_(copy)
            version = tensor._version
        if tensor.is_leaf:
            tensor.grad = grad
            tensor.requires_grad_(requires_grad)

    return undo


def _optimizer(optimizer: Any) -> Undo:
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]

    def undo() -> None:
        optimizer.state.clear()
        for group, saved in zip(optimizer.param_groups, groups, strict=False):
            group.update(saved)

    return undo


def _random_state() -> Undo:
    import random

    numbers, tensors = random.getstate(), torch.get_rng_state()

    def undo() -> None:
        random.setstate(numbers)
        torch.set_rng_state(tensors)

    return undo
