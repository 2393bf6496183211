"""Puts a module and its optimizers back to how they were, so that no attempt leaks into the next.

What a module holds is followed through containers, arrays and plain objects, as far as it is the user's: a counter in
a dict of a dict would leak, too.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from lightning_conformance.lightning_api import IMPORT_NAMES

Undo = Callable[[], None]
NEVER_COPIED = {"_trainer", "trainer", "_fabric", "_jit_internal"}
_FOREIGN = {*IMPORT_NAMES, *sys.stdlib_module_names, "torch", "numpy", "builtins"}
_MANY = 10_000  # items of a container; it is data then, and they are not followed
_SAMPLE = 1024  # elements that are compared to see whether a tensor was written


class Snapshot:
    """The state of a module and its trainer at one moment.

    Args:
        module: The module, with its submodules.
        optimizers: Its optimizers, whose states are still empty.
        schedulers: Its learning-rate schedulers.
    """

    def __init__(self, module: nn.Module, optimizers: list[Any], schedulers: list[Any]) -> None:
        self._undos: list[Undo] = []
        # What was seen is held, so that no id is given away twice.
        self._seen: dict[int, Any] = {id(optimizer): optimizer for optimizer in optimizers}
        self._follow([module])
        for optimizer in optimizers:
            self._undos.append(_optimizer(optimizer))
        for scheduler in schedulers:
            self._undos.append(_bindings(scheduler))
        self._undos.append(process_state())

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undos:
            undo()

    def _follow(self, values: list[Any]) -> None:
        while values:
            value = values.pop()
            if id(value) not in self._seen:
                self._seen[id(value)] = value
                undo = _undo_of(value)
                if undo is not None:
                    self._undos.append(undo)
                values.extend(_held_by(value))


def _undo_of(value: Any) -> Undo | None:
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, list | dict | set | collections.deque | bytearray):
        return _container(value)
    if _is_array(value):
        return _array(value)
    return _bindings(value) if _is_followed(value) else None


def _held_by(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values()) if len(value) <= _MANY else ()
    if isinstance(value, list | tuple | set | collections.deque):
        return list(value) if len(value) <= _MANY else ()
    if _is_followed(value):
        return [held for name, held in vars(value).items() if name not in NEVER_COPIED]
    return ()


def _is_followed(value: Any) -> bool:
    """Whether it is a module, or an object of a class that is neither Python's nor a framework's."""
    if isinstance(value, LazyModuleMixin):
        return False  # its first call turns it into another class, for good
    if isinstance(value, nn.Module):
        return True
    is_plain = hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value)
    return is_plain and type(value).__module__.partition(".")[0] not in _FOREIGN


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _bindings(owner: Any) -> Undo:
    """The attributes of an object."""
    saved = {k: v for k, v in vars(owner).items() if k not in NEVER_COPIED}

    def undo() -> None:
        current = vars(owner)
        for name in [k for k in current if k not in saved and k not in NEVER_COPIED]:
            del current[name]
        current.update(saved)

    return undo


def _container(container: Any) -> Undo:
    content = list(container.items()) if isinstance(container, dict) else list(container)

    def undo() -> None:
        if isinstance(container, dict):
            # A class of the user's may check or convert what it is given; what it held is put back as it was.
            plain: Any = type(container) if isinstance(container, collections.OrderedDict) else dict
            plain.clear(container)
            for key, value in content:
                plain.__setitem__(container, key, value)
        else:
            container.clear()
            (container.update if isinstance(container, set) else container.extend)(content)

    return undo


def _array(array: Any) -> Undo:
    copy = array.copy()

    def undo() -> None:
        if array.flags.writeable:
            array[...] = copy

    return undo


def _tensor(tensor: torch.Tensor) -> Undo | None:
    """Values, dtype, gradient and ``requires_grad``; the copy back is spared where nothing was written."""
    if is_lazy(tensor) or tensor.is_inference():
        return None
    requires_grad, grad = tensor.requires_grad, tensor.grad if tensor.is_leaf else None
    data, copy, version = tensor.data, tensor.detach().clone(), tensor._version

    def undo() -> None:
        nonlocal version
        if tensor.is_leaf:
            tensor.grad = None
        if not _is_same_storage(tensor, data):
            tensor.data = data
        if tensor._version != version or _differs(tensor, copy):
            with torch.no_grad():
                tensor.detach().copy_(copy)
            version = tensor._version
        if tensor.is_leaf:
            tensor.requires_grad_(requires_grad)
            tensor.grad = grad

    return undo


def _is_same_storage(tensor: torch.Tensor, data: torch.Tensor) -> bool:
    if tensor.dtype != data.dtype or tensor.shape != data.shape:
        return False
    return tensor.layout is not torch.strided or tensor.data_ptr() == data.data_ptr()


def _differs(tensor: torch.Tensor, copy: torch.Tensor) -> bool:
    """Whether it was written past its version counter, through ``data``; told from some of its elements."""
    if tensor.layout is not torch.strided or tensor.is_meta or not tensor.is_contiguous():
        return False
    step = max(1, copy.numel() // _SAMPLE)
    return not torch.equal(tensor.detach().view(-1)[::step], copy.view(-1)[::step])


def _optimizer(optimizer: Any) -> Undo:
    groups = [dict(group) for group in optimizer.param_groups]
    parameters = [list(group["params"]) for group in groups]

    def undo() -> None:
        optimizer.state.clear()
        del optimizer.param_groups[len(groups) :]
        for group, saved, held in zip(optimizer.param_groups, groups, parameters, strict=False):
            group.update(saved)
            group["params"][:] = held

    return undo


def process_state() -> Undo:
    """Random states, torch's settings, environment variables and working directory."""
    numbers, tensors, arrays = random.getstate(), torch.get_rng_state(), numpy_state()
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    environment, folder = dict(os.environ), os.getcwd()
    handlers = _signal_handlers()

    def undo() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        random.setstate(numbers)
        torch.set_rng_state(tensors)
        set_numpy_state(arrays)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.use_deterministic_algorithms(deterministic, warn_only=only_warns)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        with contextlib.suppress(OSError):  # the folder may be gone
            if os.getcwd() == folder:
                return
        os.chdir(folder)

    return undo


def _signal_handlers() -> dict[int, Any]:
    """The handlers that Lightning, or a module, may set; the alarm is the deadline's."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCONT")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return {number: signal.getsignal(number) for number in numbers}


@contextlib.contextmanager
def process_as_before() -> Iterator[None]:
    """What one instance of the module does to the process is undone before the next is built."""
    undo = process_state()
    try:
        yield
    finally:
        undo()


def numpy_state() -> Any:
    """The state of NumPy's global generator; None where NumPy is not in use."""
    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy is not None else None


def set_numpy_state(state: Any) -> None:
    """Put back what :func:`numpy_state` gave."""
    if state is not None:
        sys.modules["numpy"].random.set_state(state)
