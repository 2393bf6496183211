"""Every operation of torch, those that C++ calls too: marks go from operands to results, and mixtures are seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_conformance.environments.virtual_device.rules import Rule, rule_of
from lightning_conformance.environments.virtual_device.sides import SENTINEL, Mark, Side
from lightning_conformance.environments.virtual_device.state import DeviceState

Operand = tuple[int | str, torch.Tensor]


class OperationMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs each operation as it is, on the CPU."""

    def __init__(self, state: DeviceState) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.state = state

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the operands, run the operation, and mark what it returns."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            rule = rule_of(func)
            operands = list(_operands(args, kwargs))
            marks = [self.state.marks.of(tensor) for _, tensor in operands]
            sides = {mark.side for mark in marks}
            if rule.checked and Side.DEVICE in sides:
                self._look(rule, args, operands, marks, sides)
            returned = func(*args, **kwargs)
            if rule.name != "copy_":
                self._mark(rule, args, kwargs, marks, sides, returned)
        return returned

    def _look(self, rule: Rule, args: Any, operands: list[Operand], marks: list[Mark], sides: set[Side]) -> None:
        state = self.state
        if rule.waits or (rule.name == "index" and any(map(_is_mask_there, operands[1:], marks[1:]))):
            state.witness.waited(state.name_of(rule.name))
        for position, what in rule.must_be_on_host.items():
            for (place, _), mark in zip(operands, marks, strict=True):
                if place == position and mark.side is Side.DEVICE:
                    state.witness.wanted_host(state.name_of(rule.name), what)
        if Side.HOST not in sides or state.is_lenient:
            return
        for group in _groups(rule, args, operands, marks):
            on_device = next((tensor for _, tensor, mark in group if mark.side is Side.DEVICE), None)
            if on_device is None:
                continue
            in_the_way = [
                (tensor, mark)
                for position, tensor, mark in group
                if mark.side is Side.HOST and _is_in_the_way(rule, position, tensor)
            ]
            if in_the_way:
                # Of a layer's weight and bias, the weight.
                tensor, mark = max(in_the_way, key=lambda pair: pair[0].numel())
                state.witness.mixed(state.name_of(rule.name), on_device, tensor, mark.origin, mark.root)

    def _mark(self, rule: Rule, args: Any, kwargs: Any, marks: list[Mark], sides: set[Side], returned: Any) -> None:
        state = self.state
        for _, tensor in _operands((returned,), {}):
            if not state.marks.is_new(tensor):
                continue
            if kwargs.get("device") == SENTINEL:
                state.marks.put(tensor, Side.DEVICE)
            elif not marks or rule.name == "lift_fresh":
                state.mark_made(tensor, is_fresh=rule.name == "lift_fresh")
            elif rule.name == "_pack_padded_sequence" and tensor is returned[1]:
                state.marks.put(tensor, Side.HOST)
            elif Side.DEVICE in sides:
                state.marks.put(tensor, Side.DEVICE)
            elif Side.UNKNOWN in sides or rule.name == "set_" or state.is_lenient:
                state.marks.put(tensor, Side.UNKNOWN)
            else:
                known = next((mark for mark in marks if mark.origin is not None or mark.root is not None), marks[0])
                state.marks.put(tensor, Side.HOST, known.origin, known.root)


def _operands(args: Any, kwargs: Any) -> Iterator[Operand]:
    """The tensors among the arguments, each with the argument's position or name."""
    for position, value in enumerate(args):
        yield from ((position, tensor) for tensor in _tensors(value))
    for name, value in kwargs.items():
        yield from ((name, tensor) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _is_mask_there(operand: Operand, mark: Mark) -> bool:
    """Whether an index is a mask on the device: its elements are counted before anything can be taken."""
    return mark.side is Side.DEVICE and operand[1].dtype in (torch.bool, torch.uint8)


def _groups(rule: Rule, args: Any, operands: list[Operand], marks: list[Mark]) -> Iterator[list[Any]]:
    """The operands that must be on one device: all of them, or those at the same place of each list."""
    joined = [(position, tensor, mark) for (position, tensor), mark in zip(operands, marks, strict=True)]
    if not rule.lists:
        yield joined
        return
    length = max((len(value) for value in args if isinstance(value, (list, tuple))), default=0)
    by_list: dict[int | str, list[Any]] = {}
    for entry in joined:
        by_list.setdefault(entry[0], []).append(entry)
    for index in range(length):
        yield [entries[index] for entries in by_list.values() if len(entries) == length]


def _is_in_the_way(rule: Rule, position: int | str, tensor: torch.Tensor) -> bool:
    if position in rule.may_be_on_host:
        return False
    if rule.skips_empty and tensor.numel() == 0:
        return False
    return tensor.dim() > 0 or not rule.takes_scalars or position in rule.written
