"""A stand-in for an unknown part of the batch: how it is first used tells what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableSequence, Sequence
from typing import Any

import torch

from lightning_conformance.subjects.code_reading import read_items, read_unpacking
from lightning_conformance.subjects.code_reading.asking import asking_frame, classes_asked, is_optional_attribute
from lightning_conformance.subjects.code_reading.hints import annotation_of
from lightning_conformance.subjects.inference.drafts import Path
from lightning_conformance.subjects.inference.outcome import Private

DICT_METHODS = {"keys", "values", "items", "get", "pop", "setdefault", "update", "copy"}
TENSOR_ATTRIBUTES = frozenset(dir(torch.Tensor))
USUAL_LENGTHS = (2, 3, 1, 4)
OF_SEQUENCES = {torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack, torch.vstack}


def kind_of_class(cls: Any) -> str:
    """``tensor``, ``mapping``, ``list`` or ``tuple``; empty where a batch is seldom of that class."""
    if cls in (torch.Tensor, torch.FloatTensor, torch.LongTensor):
        return "tensor"
    if issubclass(dict, cls) and cls is not object:
        return "mapping"
    if cls in (list, MutableSequence):
        return "list"
    return "tuple" if cls in (tuple, Sequence) else ""


class Revealed(Private):
    """The first use of an unknown part.

    Args:
        path: Where it stands in the batch.
        how: ``tensor``, ``tuple``, ``stacked``, ``index``, ``slice``, ``key``, ``attribute``, ``length``, ``mapping``,
            ``call``, ``class`` or ``items``.
        names: The targets of a tuple, one alternative after the other; the key; the kinds asked for; what is
            done with each item.
        optional: Whether the code is prepared for the key or attribute not to be there.

    ``annotation`` is that of the parameter which the part was passed as; None where there is none.
    """

    def __init__(self, path: Path, how: str, names: Any = None, optional: bool = False) -> None:
        super().__init__(path, how, names)
        self.path, self.how, self.names, self.optional = path, how, names, optional
        self.annotation: Any = None


class Probe:
    """Raises :class:`Revealed` at the first use that tells its kind.

    Args:
        path: Where it stands in the batch.
        notify: Called with what is about to be raised, as the user's code may swallow anything.
        claims: What it says it is when it is asked: ``mapping``, ``list``, ``tuple``, or nothing yet.
        denied: What it says it is not.
    """

    __slots__ = ("_kit_claims", "_kit_denied", "_kit_notify", "_kit_path")

    def __init__(
        self,
        path: Path,
        notify: Callable[[Revealed], None],
        claims: str = "",
        denied: frozenset[str] = frozenset(),
    ) -> None:
        object.__setattr__(self, "_kit_path", path)
        object.__setattr__(self, "_kit_notify", notify)
        object.__setattr__(self, "_kit_claims", claims)
        object.__setattr__(self, "_kit_denied", denied)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` is answered, after it was found out what the code asks for."""
        frame = asking_frame(sys._getframe(1))
        if frame is None:
            return Probe
        asked = {kind: cls for cls in classes_asked(frame)[::-1] if (kind := kind_of_class(cls))}
        if self._kit_claims in asked:
            return asked[self._kit_claims]
        new = [kind for kind in asked if kind not in self._kit_denied]
        if new and not self._kit_claims:
            self._kit_reveal("class", new)
        return Probe

    def _kit_reveal(self, how: str, names: Any = None, optional: bool = False) -> Any:
        revealed = Revealed(self._kit_path, how, names, optional)
        revealed.annotation = annotation_of(self, sys._getframe(2))
        self._kit_notify(revealed)
        raise revealed

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Whatever torch is asked to do with it, it is a tensor."""
        reveal_probe((args, kwargs or {}), func)

    def __iter__(self) -> Any:
        frame = sys._getframe(1)
        items = read_items(frame)
        unpacking = read_unpacking(frame) if items is None else None
        if unpacking is not None:
            return self._kit_reveal("tuple", [unpacking.names])
        return self._kit_reveal("items", items)

    def __len__(self) -> int:
        self._kit_reveal("length")
        return 0

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._kit_reveal("key", key)
        if isinstance(key, int) and not isinstance(key, bool):
            return self._kit_reveal("index", key)
        if isinstance(key, slice):
            return self._kit_reveal("slice")
        return self._kit_reveal("tensor")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing that a spec can stand for is called."""
        return self._kit_reveal("call")

    def __contains__(self, key: Any) -> bool:
        self._kit_reveal("key" if isinstance(key, str) else "tensor", key, True)
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_kit")):
            raise AttributeError(name)
        if name in ("get", "pop", "setdefault"):
            return lambda key, *default: self._kit_reveal("key", key, name == "get" or bool(default))
        if name in DICT_METHODS:
            return self._kit_reveal("mapping")
        if name in TENSOR_ATTRIBUTES:
            return self._kit_reveal("tensor")
        return self._kit_reveal("attribute", name, is_optional_attribute(sys._getframe(1)))


def _used_as_tensor(self: Probe, *_: Any) -> Any:
    return self._kit_reveal("tensor")


for _name in (
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "pow", "rpow"),
    *("matmul", "rmatmul", "neg", "abs", "invert", "and", "or", "eq", "ne", "lt", "le", "gt", "ge"),
    *("bool", "float", "int", "setitem"),
):
    setattr(Probe, f"__{_name}__", _used_as_tensor)
Probe.__hash__ = object.__hash__  # type: ignore[method-assign]


def reveal_probe(arguments: tuple[Any, dict[str, Any]], func: Any = None) -> None:
    """Reveal the first probe inside a torch function's arguments; do nothing where there is none.

    It is a tensor, or several of them where the function takes a sequence of tensors.
    """
    sequence = next(iter([*arguments[0], *arguments[1].values()]), None)
    if func in OF_SEQUENCES and isinstance(sequence, Probe):
        sequence._kit_reveal("stacked" if func is torch.stack else "tuple", [(None,) * n for n in USUAL_LENGTHS])
    _reveal_tensor(arguments)


def _reveal_tensor(value: Any) -> None:
    if isinstance(value, Probe):
        value._kit_reveal("tensor")
    elif isinstance(value, dict):
        for item in value.values():
            _reveal_tensor(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _reveal_tensor(item)
