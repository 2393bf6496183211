"""One loader or several: a DataLoader, a ``CombinedLoader``, or a dict or list of them, as the Trainer takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import DataLoader

from lightning_conformance.lightning_api import combined_loaders


def are_loaders(value: Any) -> bool:
    """Whether it is a loader, or a container of loaders alone."""
    if isinstance(value, DataLoader) or combined_loaders(value) is not None:
        return True
    items = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(items, list | tuple) and bool(items) and all(map(are_loaders, items))


def first_of(loaders: Any) -> Any:
    """The first batch that ``training_step`` gets: one of each loader, in the container of the loaders."""
    combined = combined_loaders(loaders)
    if combined is not None:
        held, is_sequential = combined
        return first_of(_flat(held)[0]) if is_sequential else first_of(held)
    if isinstance(loaders, Mapping):
        return {key: first_of(loader) for key, loader in loaders.items()}
    if isinstance(loaders, list | tuple):
        return [first_of(loader) for loader in loaders]
    return next(iter(loaders))


def _flat(loaders: Any) -> list[Any]:
    if isinstance(loaders, Mapping):
        loaders = list(loaders.values())
    return [leaf for each in loaders for leaf in _flat(each)] if isinstance(loaders, list | tuple) else [loaders]
