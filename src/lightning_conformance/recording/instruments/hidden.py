"""Where a tensor hides that the loss reaches and the module does not know."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from lightning_conformance.recording.facts import Graph

_DEPTH = 3
# A data set or a vocabulary may be long; a container of layers is not.
_LENGTH = 1000
_LIGHTNINGS = ("_parameters", "_modules", "_trainer", "_fabric")
Wanted = Callable[[torch.Tensor], bool]


def find_attribute(module: Any, tensor: torch.Tensor) -> tuple[str, str]:
    """Path of a tensor among the module's plain attributes, and the type of the container that hides it."""
    return find_attribute_where(module, lambda other: other is tensor)


def find_attribute_where(module: Any, wanted: Wanted) -> tuple[str, str]:
    """Path of the tensor that is wanted among the module's plain attributes, and what hides it.

    The container is ``buffer`` for a buffer, and ``module`` for a layer that is an attribute and not registered.
    """
    for prefix, submodule in module.named_modules():
        for attribute, value in vars(submodule).items():
            if attribute in _LIGHTNINGS:
                continue
            if attribute == "_buffers":
                name = next((name for name, buffer in value.items() if buffer is not None and wanted(buffer)), None)
                path, attribute, container = ("" if name else None), name or "", "buffer"
            else:
                path = _search(value, wanted, 0)
                container = "module" if isinstance(value, torch.nn.Module) else type(value).__name__
            if path is not None:
                owner = f"self.{prefix}." if prefix else "self."
                return f"{owner}{attribute}{path}", container
    return "", ""


def find_computed(module: Any, tensor: torch.Tensor) -> str:
    """Path of an attribute that is no leaf, and was computed from the tensor; empty if there is none."""
    for prefix, submodule in module.named_modules():
        for attribute, value in vars(submodule).items():
            if isinstance(value, torch.Tensor) and value.grad_fn is not None and id(tensor) in Graph(value).leaves:
                return f"self.{prefix}.{attribute}" if prefix else f"self.{attribute}"
    return ""


def find_global(functions: Iterable[Any], tensor: torch.Tensor) -> str:
    """How one of the functions writes a tensor that it reaches through a global variable; empty if none does."""
    return find_global_where(functions, lambda other: other is tensor)


def find_global_where(functions: Iterable[Any], wanted: Wanted) -> str:
    """How one of the functions writes the tensor that is wanted; empty if none reaches it through a global."""
    for function in functions:
        code, variables = getattr(function, "__code__", None), getattr(function, "__globals__", {})
        for name in code.co_names if code else ():
            if isinstance(value := variables.get(name), (torch.nn.Module, torch.Tensor)):
                path = _search(value, wanted, 0)
                if path is not None:
                    return f"{name}{path}"
    return ""


def _search(value: Any, wanted: Wanted, depth: int) -> str | None:
    if isinstance(value, torch.Tensor):
        return "" if wanted(value) else None
    if isinstance(value, torch.nn.Module):
        return next((f".{name}" for name, tensor in _tensors_of(value) if wanted(tensor)), None)
    if depth > _DEPTH:
        return None
    for key, item in islice(_items(value), _LENGTH):
        path = _search(item, wanted, depth + 1)
        if path is not None:
            return f"{key}{path}"
    return None


def _tensors_of(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a module and those inside it: parameters, buffers, and plain attributes, as metrics have them."""
    yield from module.named_parameters()
    yield from module.named_buffers()
    for prefix, submodule in module.named_modules():
        for name, value in vars(submodule).items():
            if isinstance(value, torch.Tensor):
                yield (f"{prefix}.{name}" if prefix else name), value


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with how it is written."""
    if inspect.ismethod(value):
        yield "", value.__self__
    elif inspect.isfunction(value):
        yield from (("", cell.cell_contents) for cell in value.__closure__ or ())
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif _is_plain_object(value):
        yield from ((f".{name}", item) for name, item in vars(value).items())


def _is_plain_object(value: Any) -> bool:
    """An object of a class of the user's: no tensor, no class, nothing of torch's or Lightning's."""
    package = type(value).__module__.partition(".")[0]
    return (
        hasattr(value, "__dict__")
        and not isinstance(value, (type, torch.Tensor))
        and package not in ("torch", "lightning", "pytorch_lightning", "lightning_fabric", "builtins")
    )
