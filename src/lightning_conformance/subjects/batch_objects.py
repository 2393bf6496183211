"""Objects with attributes that hold a batch, as graph libraries and named tuples have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch


class BatchObject:
    """A batch whose parts are attributes, keys, and what it unpacks into.

    Attributes may be set, changed and added. ``to`` and its like change the object in place, as graph
    libraries do it, and return it.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        vars(self).update(parts)

    def keys(self) -> list[str]:
        """The names of its parts."""
        return list(vars(self))

    def values(self) -> list[Any]:
        """Its parts."""
        return list(vars(self).values())

    def items(self) -> list[tuple[str, Any]]:
        """Names and parts."""
        return list(vars(self).items())

    def get(self, key: str, default: Any = None) -> Any:
        """A part, or ``default``."""
        return vars(self).get(key, default)

    def __getitem__(self, key: str | int | slice) -> Any:
        parts = vars(self)
        return parts[key] if isinstance(key, str) else tuple(parts.values())[key]

    def __setitem__(self, key: str, value: Any) -> None:
        vars(self)[key] = value

    def __delitem__(self, key: str) -> None:
        del vars(self)[key]

    def __contains__(self, key: object) -> bool:
        return key in vars(self)

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(vars(self).values()))

    def __len__(self) -> int:
        return len(vars(self))

    def to(self, *args: Any, **kwargs: Any) -> BatchObject:
        """Every tensor in it moved, as ``Tensor.to`` moves one."""
        return self._changed(lambda tensor: tensor.to(*args, **kwargs))

    def cpu(self) -> BatchObject:
        """Every tensor in it moved to the CPU."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> BatchObject:
        """Every tensor in it moved to a GPU."""
        return self._changed(lambda tensor: tensor.cuda(*args, **kwargs))

    def clone(self) -> BatchObject:
        """A copy with tensors of its own."""
        return make_object(type(self).__name__, vars(self))._changed(torch.clone)

    def _changed(self, function: Callable[[torch.Tensor], torch.Tensor]) -> BatchObject:
        for key, value in vars(self).items():
            vars(self)[key] = _applied(value, function)
        return self

    def _asdict(self) -> dict[str, Any]:
        return dict(vars(self))

    def _replace(self, **parts: Any) -> BatchObject:
        return make_object(type(self).__name__, {**vars(self), **parts})

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made at run time, so that pickle cannot find it by its name.
        return make_object, (type(self).__name__, dict(vars(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


def make_object(type_name: str, parts: Mapping[str, Any]) -> BatchObject:
    """An object of a class called ``type_name``; equal names give one class."""
    found: BatchObject = _class_called(type_name)(parts)
    return found


@lru_cache
def _class_called(type_name: str) -> type[BatchObject]:
    return type(type_name, (BatchObject,), {"__module__": __name__, "__doc__": BatchObject.__doc__})


def _applied(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, BatchObject):
        return make_object(type(value).__name__, {k: _applied(v, function) for k, v in value.items()})
    if isinstance(value, dict):
        return {k: _applied(v, function) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_applied(v, function) for v in value)
    return value
