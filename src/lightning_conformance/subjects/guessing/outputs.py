"""See which layer a guessed network's values go into, and that it takes as many as there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from lightning_conformance.subjects.guessing.slots import Path, WrongGuess

_MARK = "_lightning_guessed"


def marked(network: nn.Module, path: Path) -> nn.Module:
    """The network, which from now on marks what it gives."""
    setattr(network, _MARK, path)
    network.register_forward_hook(_mark)
    return network


def _mark(network: nn.Module, args: Any, output: Any) -> None:
    if type(output) is torch.Tensor:
        setattr(output, _MARK, getattr(network, _MARK))


@contextmanager
def checked_outputs() -> Iterator[None]:
    """While it lasts, a layer that takes another number of values than a guessed network gives ends the run.

    Raises:
        WrongGuess: From within the user's code.
    """
    handle = register_module_forward_pre_hook(_check)
    try:
        yield
    finally:
        handle.remove()


def _check(layer: nn.Module, args: tuple[Any, ...]) -> None:
    # Stand-ins of a search for batches must not be asked anything.
    path = getattr(args[0], _MARK, None) if args and type(args[0]) is torch.Tensor else None
    wanted = _wanted(layer) if path is not None else None
    if wanted is not None and args[0].dim() >= 2 and wanted != args[0].shape[_dimension(layer)]:
        raise WrongGuess(path, wanted)


def _wanted(layer: nn.Module) -> int | None:
    names = {nn.Linear: "in_features", nn.BatchNorm1d: "num_features", nn.Conv2d: "in_channels", nn.LSTM: "input_size"}
    names |= {nn.GRU: "input_size", nn.BatchNorm2d: "num_features"}
    if type(layer) is nn.LayerNorm and len(layer.normalized_shape) == 1:
        return int(layer.normalized_shape[0])
    name = names.get(type(layer))
    return int(getattr(layer, name)) if name else None


def _dimension(layer: nn.Module) -> int:
    return 1 if isinstance(layer, nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d) else -1
