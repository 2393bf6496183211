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

Size = Sequence[int]
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
    if func not in _MAKING:
        return None
    size, again = _sized(func, args, kwargs)
    shape = tuple(int(n) for n in measured.shape)
    # One number alone is more often the batch size than the shape of what has no other dimension yet.
    if tuple(size) == shape and (len(size) > 1 or isinstance(size, torch.Size)):

        def made_as(other: torch.Tensor) -> Any:
            return again(tuple(other.shape))

        return made_as
    places = {i: shape.index(n) for i, n in enumerate(size) if n > 1 and n in shape and shape.index(n) > 0}

    def made_from(other: torch.Tensor) -> Any:
        return again(tuple(int(other.shape[places[i]]) if i in places else n for i, n in enumerate(size)))

    return made_from if places else None


def _sized(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Size, Callable[[Size], Any]]:
    """The size that a call gives, empty where it gives none, and what makes the call with another one."""
    first = _MAKING[func]
    if _is_size(kwargs.get("size")):
        return kwargs["size"], lambda new: func(*args, **{**kwargs, "size": new})
    at = next((i for i in range(first, len(args)) if _is_size(args[i])), None)
    if at is not None:
        return args[at], lambda new: func(*args[:at], new, *args[at + 1 :], **kwargs)
    is_spread = func in _VARIADIC and all(type(a) is int for a in args[first:])
    return args[first:] if is_spread else (), lambda new: func(*args[:first], *new, **kwargs)


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(type(n) is int for n in value)
