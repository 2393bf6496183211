"""Layers that behave differently in training and evaluation, and what is frozen."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lightning_conformance.lightning_api import is_mock_optimizer
from lightning_conformance.recording.events_parameters import FreezeWithoutEffect, FrozenMoved, LayerFacts
from lightning_conformance.recording.facts import fingerprint
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.optimizers import optimizer_parameters
from lightning_conformance.recording.places import assignments

_STATISTICS = ("running_mean", "running_var")
_Digests = tuple[bytes | None, ...]


@dataclass
class _Layer:
    name: str
    module: nn.Module
    parents: list[tuple[str, nn.Module]]
    statistics: _Digests
    weights: _Digests
    group: str = ""
    learns: bool = False
    trainable: bool = False
    trained: bool = False
    modes: dict[int, bool] = field(default_factory=dict)


class ModeWatch(Instrument):
    """Which layers run in which mode inside ``training_step``, and whether what is frozen moves."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._layers: dict[int, _Layer] = {}
        self._strangers: set[int] = set()
        self._before: list[tuple[Any, dict[str, bytes | None]]] = []
        self._moved: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the context ends."""
        handles = [
            register_module_forward_pre_hook(self._note_forward),
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _note_forward(self, submodule: nn.Module, args: Any) -> None:
        if not self.run.tape.in_training_step or not has_modes(submodule):
            return
        layer = self._layers.get(id(submodule)) or self._find(submodule)
        if layer is None:
            return
        layer.trained |= submodule.training
        layer.trainable |= any(p.requires_grad for p in submodule.parameters(recurse=False))
        if torch.is_grad_enabled():
            epoch = self.run.tape.epoch
            layer.modes[epoch] = layer.modes.get(epoch, False) or submodule.training
            if not submodule.training:
                layer.group, layer.learns = _group(layer)

    def _find(self, submodule: nn.Module) -> _Layer | None:
        """The layer, where the module under test holds it; layers may be created late."""
        if id(submodule) in self._strangers:
            return None
        modules = dict(self.run.module.named_modules())
        for name, module in modules.items():
            if has_modes(module) and id(module) not in self._layers:
                steps = name.split(".") if name else []
                parents = [(".".join(steps[:i]), modules[".".join(steps[:i])]) for i in range(len(steps))]
                self._layers[id(module)] = _Layer(name, module, parents, _statistics(module), _weights(module))
        found = self._layers.get(id(submodule))
        if found is None:
            self._strangers.add(id(submodule))
        return found

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if is_mock_optimizer(optimizer):
            return
        held = [p for p in optimizer_parameters(optimizer) if not p.requires_grad and p.grad is not None]
        if held:
            names = {id(p): name for name, p in self.run.module.named_parameters()}
            frozen = {names[id(p)]: fingerprint(p) for p in held if id(p) in names}
            self._before.append((optimizer, frozen))

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self._before or self._before[-1][0] is not optimizer:
            return
        _, frozen = self._before.pop()
        parameters = dict(self.run.module.named_parameters())
        moved = [n for n, value in frozen.items() if n in parameters and fingerprint(parameters[n]) != value]
        if new := [name for name in moved if name not in self._moved]:
            self._moved.update(new)
            self.run.tape.add(FrozenMoved(self.run.tape.now, type(optimizer).__name__, tuple(new)))

    def end(self, trainer: Any) -> None:
        """Write what each layer did, and the freezes that freeze nothing."""
        tape, places = self.run.tape, assignments(self.run.module)
        for layer in self._layers.values():
            has_weights = next(layer.module.parameters(recurse=False), None) is not None
            drifted = layer.trained and _statistics(layer.module) != layer.statistics
            tape.add(
                LayerFacts(
                    tape.now,
                    layer.name,
                    type(layer.module).__name__,
                    layer.group or layer.name,
                    bool(layer.statistics),
                    has_weights and not layer.trainable,
                    layer.learns,
                    tuple(sorted(layer.modes.items())),
                    drifted,
                    _weights(layer.module) != layer.weights,
                    places.get(layer.name.partition(".")[0]),
                )
            )
        for event in _freezes_without_effect(self.run.module, tape.now):
            tape.add(event)


def has_modes(module: nn.Module) -> bool:
    """Whether a layer does something else in evaluation mode."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    if isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
        return bool(module.dropout)
    return _keeps_statistics(module)


def _keeps_statistics(module: nn.Module) -> bool:
    buffers = vars(module).get("_buffers") or {}
    return any(buffers.get(name) is not None for name in _STATISTICS)


def _statistics(module: nn.Module) -> _Digests:
    buffers = vars(module).get("_buffers") or {}
    return tuple(fingerprint(buffers[name]) for name in _STATISTICS if buffers.get(name) is not None)


def _weights(module: nn.Module) -> _Digests:
    return tuple(fingerprint(p) for p in module.parameters(recurse=False))


def _group(layer: _Layer) -> tuple[str, bool]:
    """The outermost module around a layer that is in evaluation mode all the way down, and whether it learns."""
    name, module = layer.name, layer.module
    for parent_name, parent in reversed(layer.parents):
        if parent.training:
            break
        name, module = parent_name, parent
    return name or "self", any(p.requires_grad for p in module.parameters() if not is_lazy(p))


def _freezes_without_effect(root: nn.Module, now: Any) -> Iterator[FreezeWithoutEffect]:
    for name, module in root.named_modules():
        trainable = sum(p.requires_grad for p in module.parameters())
        if vars(module).get("requires_grad") is False and trainable:
            yield FreezeWithoutEffect(now, name, "requires_grad", trainable, True)
    for name, parameter in root.named_parameters():
        for attribute, value in vars(parameter).items():
            is_near = difflib.SequenceMatcher(None, attribute, "requires_grad").ratio() > 0.8
            if value is False and is_near and parameter.requires_grad:
                yield FreezeWithoutEffect(now, name, attribute, 1, False)
