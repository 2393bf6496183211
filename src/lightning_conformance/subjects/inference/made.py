"""Tensors that the code makes with the sizes of a leaf: where the leaf changes, so do they."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

# Functions that take a size, and the place of its first number.
_MAKING = {
    **dict.fromkeys((torch.empty, torch.full, torch.ones, torch.rand, torch.randn, torch.zeros), 0),
    **dict.fromkeys(
        (
            torch.Tensor.new_empty,
            torch.Tensor.new_full,
            torch.Tensor.new_ones,
            torch.Tensor.new_zeros,
        ),
        1,
    ),
    torch.randint: 1,
}
_VARIADIC = {torch.empty, torch.ones, torch.rand, torch.randn, torch.zeros, torch.Tensor.new_ones}
_VARIADIC |= {torch.Tensor.new_empty, torch.Tensor.new_zeros}

Remade = Callable[[torch.Tensor], torch.Tensor]


def remaking(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], measured: torch.Tensor) -> Remade | None:
    """What makes the result of a call anew for another tensor in the place of the one whose shape gave the size.

    Args:
        func: The function that was called, with its ``args`` and ``kwargs``.
        measured: A tensor whose shape the code has read.

    Returns:
        None where the function takes no size, or one that has nothing of the shape but its first number, the batch
        size.
    """
    size, renewed = _size(func, args, kwargs)
    shape = tuple(int(n) for n in measured.shape)
    if size is None or renewed is None:
        return None
    if size == shape:
        renew = renewed

        def made_as(other: torch.Tensor) -> Any:
            new_args, new_kwargs = renew(tuple(other.shape))
            return func(*new_args, **new_kwargs)

        return made_as
    places = {i: shape.index(n) for i, n in enumerate(size) if n > 1 and n in shape[1:] and shape.index(n) > 0}
    if not places:
        return None
    renew_some, sizes = renewed, size

    def made_from(other: torch.Tensor) -> Any:
        new = tuple(int(other.shape[places[i]]) if i in places else n for i, n in enumerate(sizes))
        new_args, new_kwargs = renew_some(new)
        return func(*new_args, **new_kwargs)

    return made_from


def _size(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The size that a call gives, and what gives its arguments with another one; None twice where it has none."""
    first = _MAKING.get(func)
    if first is None:
        return None, None
    if _is_size(kwargs.get("size")):
        return tuple(kwargs["size"]), lambda new: (args, {**kwargs, "size": new})
    for at in range(first, len(args)):
        if _is_size(args[at]):
            return tuple(args[at]), lambda new: ((*args[:at], new, *args[at + 1 :]), kwargs)
    if func in _VARIADIC and len(args) > first and all(type(a) is int for a in args[first:]):
        return args[first:], lambda new: ((*args[:first], *new), kwargs)
    return None, None


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(type(n) is int for n in value)
