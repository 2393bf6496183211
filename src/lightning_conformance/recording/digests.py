"""Digests of a module's parameters and buffers, to see what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lightning_conformance.recording.facts import fingerprint

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Digests:
    """The values of a module's parameters and buffers at one time; states of metric objects are left out."""

    def __init__(self, module: Any) -> None:
        with torch.no_grad():
            self.parameters = {name: fingerprint(p) for name, p in module.named_parameters()}
            self.buffers = {name: fingerprint(b) for name, b in _buffers(module)}

    def changed_since(self, before: Digests) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of parameters and of buffers that were there before, with another value."""
        return _differing(before.parameters, self.parameters), _differing(before.buffers, self.buffers)


def _buffers(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for path, submodule in module.named_modules():
        if any(cls.__name__ == "Metric" for cls in type(submodule).__mro__):
            continue
        yield from submodule.named_buffers(prefix=path, recurse=False)


def _differing(one: dict[str, bytes | None], other: dict[str, bytes | None]) -> tuple[str, ...]:
    return tuple(name for name, digest in one.items() if name in other and other[name] != digest)
