"""The plain attributes of a module, as something that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lightning_conformance.recording.facts import fingerprint

_DEPTH = 3


def plain_attributes(module: Any) -> dict[str, tuple[str, Any]]:
    """Kind and value of each public attribute that is no module, parameter or buffer: what no checkpoint keeps.

    Buffers that are not persistent are among them.
    """
    found = {}
    for path, submodule in module.named_modules():
        prefix = f"{path}." if path else ""
        values = {k: v for k, v in vars(submodule).items() if not k.startswith("_")}
        skipped = vars(submodule).get("_non_persistent_buffers_set") or ()
        values |= {k: b for k, b in (vars(submodule).get("_buffers") or {}).items() if k in skipped}
        for name, value in values.items():
            if name in ("training", "prepare_data_per_node", "allow_zero_length_dataloader_with_multiple_devices"):
                continue
            known = _value(value, 0)
            if known is not None:
                found[prefix + name] = (kind_of(value), known)
    return found


def kind_of(value: Any) -> str:
    """``tensor``, ``number`` or ``other``."""
    if isinstance(value, torch.Tensor):
        return "tensor"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"


def differing(one: Mapping[str, tuple[str, Any]], other: Mapping[str, tuple[str, Any]]) -> dict[str, str]:
    """Names and kinds of the attributes that both have, with other values."""
    return {name: kind for name, (kind, value) in one.items() if name in other and other[name][1] != value}


def _value(value: Any, depth: int) -> Any:
    """Something that tells whether two values are alike; None where that cannot be said."""
    if isinstance(value, torch.Tensor):
        with torch.no_grad():
            return ("tensor", tuple(value.shape), fingerprint(value))
    if isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, list | tuple) and depth < _DEPTH:
        return tuple(_value(each, depth + 1) for each in value)
    if type(value).__name__ == "deque" and depth < _DEPTH:
        return tuple(_value(each, depth + 1) for each in value)
    if isinstance(value, dict) and depth < _DEPTH:
        return tuple((repr(key), _value(each, depth + 1)) for key, each in value.items())
    return None
