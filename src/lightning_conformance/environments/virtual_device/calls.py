"""Every call of a torch function from Python: devices are named, asked for, and moved to there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.utils.checkpoint
from torch.overrides import TorchFunctionMode

from lightning_conformance.environments.virtual_device.devices import Target, is_device, target_of
from lightning_conformance.environments.virtual_device.moving import move
from lightning_conformance.environments.virtual_device.sides import HOST, NEUTRAL, SENTINEL, Side
from lightning_conformance.environments.virtual_device.state import DeviceState

_T: Any = torch.Tensor
# It compares the devices of a first pass with those of a second, and asks for one of them where the mode is off.
_CHECKPOINT = torch.utils.checkpoint.__file__
_MAKERS = (
    *("zeros", "ones", "empty", "full", "eye", "scalar_tensor", "empty_strided", "empty_permuted"),
    *("arange", "range", "linspace", "logspace", "tril_indices", "triu_indices"),
    *("rand", "randn", "randint", "randperm"),
    *(f"{name}_window" for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")),
)
# They make tensors on the CPU where they are given no device.
MAKERS = frozenset(getattr(torch, name) for name in _MAKERS if hasattr(torch, name))
# They do so unless they are given a tensor.
_CONVERTERS = frozenset((torch.tensor, torch.as_tensor, torch.asarray, torch.normal))


class CallMode(TorchFunctionMode):
    """Answers what a tensor's device is, and carries out moves between the devices."""

    def __init__(self, state: DeviceState) -> None:
        super().__init__()
        self.state = state

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function, or what stands for it here."""
        kwargs = kwargs or {}
        special = _SPECIAL.get(func)
        if special is not None:
            return special(self, func, args, kwargs)
        if kwargs.get("device") is not None:
            return self._make_on(func, args, kwargs)
        returned = self.call(func, args, kwargs)
        if func in MAKERS:
            self.state.mark_tree(returned, Side.HOST, self.state.witness.origin())
        return returned

    def call(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a function of torch's, and remember which one while it runs."""
        state = self.state
        before, state.running = state.running, func
        try:
            return func(*args, **kwargs)
        finally:
            state.running = before

    def side(self, tensor: torch.Tensor) -> Side:
        """On which side a tensor is."""
        with torch._C.DisableTorchFunction():
            return self.state.marks.of(tensor).side

    def _make_on(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function that is given the device to make tensors on."""
        state, target = self.state, target_of(kwargs["device"], self.state.witness)
        made = self.call(func, args, {**kwargs, "device": target.device})
        if target.side is not None:
            state.mark_tree(made, target.side, state.witness.origin() if target.side is Side.HOST else None)
        return made

    def convert(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``as_tensor`` and the like: a tensor keeps its device unless one is given; anything else is made."""
        if not any(isinstance(value, _T) for value in (*args, *kwargs.values())):
            if kwargs.get("device") is not None:
                return self._make_on(func, args, kwargs)
            made = self.call(func, args, kwargs)
            self.state.mark_tree(made, Side.HOST, self.state.witness.origin())
            return made
        device = kwargs.get("device")
        converted = self.call(func, args, {name: value for name, value in kwargs.items() if name != "device"})
        return converted if device is None else self.move(converted, target_of(device, self.state.witness))

    def move(self, tensor: torch.Tensor, target: Target) -> torch.Tensor:
        """A tensor where a device is."""
        if target.side is None or not _is_plain(tensor):
            return tensor.to(target.device)
        before, state = self.side(tensor), self.state
        moved = move(tensor, state.marks, target.side)
        if target.side is Side.HOST and before is Side.DEVICE:
            state.witness.waited("cpu")
            state.marks.put(moved, Side.HOST, state.witness.origin())
        return moved

    def to(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.to``: to a device, a dtype, both, or to where another tensor is."""
        tensor, *rest = args
        given = dict(kwargs)
        if rest and isinstance(rest[0], _T):
            other = rest.pop(0)
            target, rest = Target(self.side(other), NEUTRAL), [other.dtype, *rest]
        elif (rest and is_device(rest[0])) or given.get("device") is not None:
            named = given.pop("device") if given.get("device") is not None else rest.pop(0)
            target = target_of(named, self.state.witness)
        else:
            return self.call(func, args, kwargs)
        if target.side is None or not _is_plain(tensor):
            return self.call(func, (tensor, target.device, *rest), given)
        dtype = rest[0] if rest else given.get("dtype")
        copies = given.get("copy") or rest[2:3] == [True] or given.get("memory_format") is not None
        if dtype is not None or copies:
            tensor = self.call(func, (tensor, *rest) if dtype is not None else (tensor,), given)
        return self.move(tensor, target)

    def type_as(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.type_as(other)``: the other's dtype, and its device."""
        other = args[1] if len(args) > 1 else kwargs["other"]
        return self.to(_T.to, (args[0], other), {})

    def type(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.type()``: the name of its type, by which another tensor may be moved to its device."""
        named = args[1] if len(args) > 1 else kwargs.get("dtype")
        if named is None and self.side(args[0]) is Side.DEVICE:
            return str(self.call(func, args, kwargs)).replace("torch.", "torch.cuda.")
        if isinstance(named, str) and named.startswith("torch.cuda."):
            converted = self.call(func, (args[0], named.replace("torch.cuda.", "torch.")), {})
            return self.move(converted, Target(Side.DEVICE, SENTINEL))
        return self.call(func, args, kwargs)

    def cpu(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.cpu()``."""
        return self.move(args[0], Target(Side.HOST, HOST))

    def cuda(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.cuda()``."""
        self.state.witness.named_device(".cuda()")
        return self.move(args[0], Target(Side.DEVICE, SENTINEL))

    def device(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.device``."""
        real = func(*args)
        if real.type != "cpu" or _asking_file() == _CHECKPOINT:
            return real
        return {Side.DEVICE: SENTINEL, Side.HOST: HOST}.get(self.side(args[0]), NEUTRAL)

    def is_cuda(self, func: Any, args: Any, kwargs: Any) -> bool:
        """``tensor.is_cuda``; torch's own code asks in order to call what is not here."""
        if self.state.witness.is_user(_asking_file()):
            return self.side(args[0]) is Side.DEVICE
        return bool(func(*args))

    def is_cpu(self, func: Any, args: Any, kwargs: Any) -> bool:
        """``tensor.is_cpu``."""
        if self.state.witness.is_user(_asking_file()):
            return self.side(args[0]) is not Side.DEVICE
        return bool(func(*args))

    def get_device(self, func: Any, args: Any, kwargs: Any) -> int:
        """``tensor.get_device()``: the device's number, or -1 for the CPU."""
        return 0 if self.side(args[0]) is Side.DEVICE else int(func(*args))

    def numpy(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.numpy()``, and NumPy's functions on a tensor, which take it from the CPU only."""
        if self.side(args[0]) is Side.DEVICE and not kwargs.get("force"):
            self.state.witness.wanted_host("numpy", "tensor")
        return self.call(func, args, kwargs)

    def tolist(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.tolist()``: reads the values."""
        if self.side(args[0]) is Side.DEVICE:
            self.state.witness.waited("tolist")
        return self.call(func, args, kwargs)

    def same_side(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What makes a tensor on the side of the one that it is called on."""
        if kwargs.get("device") is not None:
            return self._make_on(func, args, kwargs)
        made = self.call(func, args, kwargs)
        self.state.mark_tree(made, self.side(args[0]))
        return made

    def set_gradient(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``tensor.grad = gradient``: both must be on one side."""
        tensor, gradient = args
        if isinstance(gradient, _T):
            sides = {self.side(tensor): tensor, self.side(gradient): gradient}
            if Side.DEVICE in sides and Side.HOST in sides:
                mark = self.state.marks.of(sides[Side.HOST])
                self.state.witness.mixed("grad", sides[Side.DEVICE], sides[Side.HOST], mark.origin, mark.root)
        return func(*args, **kwargs)

    def parse_to(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The arguments of ``module.to``."""
        place = [target_of(value, self.state.witness).device if is_device(value) else value for value in args]
        named = kwargs.get("device")
        if named is not None:
            kwargs = {**kwargs, "device": target_of(named, self.state.witness).device}
        return func(*place, **kwargs)


def _asking_file() -> str:
    """The file of the code that asks, behind the modes."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__torch_function__" and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no functions of its own, as a lazy parameter and the user's subclasses have."""
    return type(tensor) in (torch.Tensor, torch.nn.Parameter)


_SPECIAL: dict[Any, Callable[[CallMode, Any, Any, Any], Any]] = {
    **dict.fromkeys(_CONVERTERS, CallMode.convert),
    _T.to: CallMode.to,
    _T.type_as: CallMode.type_as,
    _T.type: CallMode.type,
    _T.cpu: CallMode.cpu,
    _T.cuda: CallMode.cuda,
    _T.device.__get__: CallMode.device,
    _T.is_cuda.__get__: CallMode.is_cuda,
    _T.is_cpu.__get__: CallMode.is_cpu,
    _T.get_device: CallMode.get_device,
    _T.numpy: CallMode.numpy,
    _T.__array__: CallMode.numpy,
    _T.tolist: CallMode.tolist,
    _T.new_tensor: CallMode.same_side,
    _T.__deepcopy__: CallMode.same_side,
    _T.grad.__set__: CallMode.set_gradient,
    torch._C._nn._parse_to: CallMode.parse_to,
}
