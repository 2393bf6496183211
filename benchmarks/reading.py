"""Which parts of a batch a module never reads, found out by fits with something unusable in their place."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.plain import plain_trainer
from lightning_conformance.deadline import RunTimeout, deadline
from lightning_conformance.lightning_api import package_of
from lightning_conformance.subjects.batch_describe import fields_of

Path = tuple[Any, ...]


class Unusable:
    """Can be handed on, and nothing else."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a part of the batch is read: {name}")

    @classmethod
    def __torch_function__(cls, function: Any, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a part of the batch is read")


def fit(module: Any, batches: list[Any], seconds: float = 60.0) -> None:
    """Train for one step a batch, under a plain Trainer of the package that the module subclasses.

    Raises:
        Exception: Whatever the module or the Trainer raises.
    """
    package = package_of(module)
    assert package is not None
    logger = importlib.import_module(f"{package.name}.loggers.logger").DummyLogger()
    loader = DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder, deadline(seconds):
        trainer = plain_trainer(
            package,
            folder,
            max_epochs=1,
            logger=logger,
            enable_checkpointing=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        trainer.fit(module, train_dataloaders=loader)


def unread_parts(build: Callable[[], Any], batch: Callable[[], Any]) -> set[Path]:
    """Paths of the leaves without which a step runs as well; none where it does not even run with all of them."""
    if not _runs(build, batch()):
        return set()
    return {path for path in leaf_paths(batch()) if path and _runs(build, replaced(batch(), path, Unusable()))}


def _runs(build: Callable[[], Any], batch: Any) -> bool:
    try:
        fit(build(), [batch])
    except (Exception, RunTimeout, SystemExit):
        return False
    return True


def leaf_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to each leaf of a concrete batch: keys, attributes and positions."""
    parts = _parts(value)
    if not parts:
        yield path
    for key, part in parts or ():
        yield from leaf_paths(part, (*path, key))


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy of a concrete batch with another leaf."""
    if not path:
        return new
    key, *rest = path
    part = replaced(dict(_parts(value) or ())[key], tuple(rest), new)
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return value._replace(**{key: part})
    if isinstance(value, tuple):
        return (*value[:key], part, *value[key + 1 :])
    changed = copy.copy(value)
    if isinstance(value, Mapping | list):
        changed[key] = part  # type: ignore[index]
    else:
        object.__setattr__(changed, key, part)
    return changed


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, torch.Tensor):
        return None
    if isinstance(value, Mapping):
        return list(value.items())
    if (fields := fields_of(value)) is not None or dataclasses.is_dataclass(value):
        return fields
    return list(enumerate(value)) if isinstance(value, list | tuple) else None
