"""Kernels that trust their caller: torch's modules check the arguments in Python, and a replay goes past that."""

from __future__ import annotations

from typing import Any

import torch

_KERNELS = torch._C._VariableFunctions
RECURRENT = {_KERNELS.lstm, _KERNELS.gru, _KERNELS.rnn_tanh, _KERNELS.rnn_relu}
PACK = _KERNELS._pack_padded_sequence


def is_safe(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether a kernel may be called with other arguments than those that the user's code gave it."""
    try:
        if func in RECURRENT:
            return _fits_state(args)
        if func is PACK:
            longest = args[0].shape[1 if args[2] else 0]
            return bool(args[1].dim() == 1 and args[1].max() <= longest)
    except (IndexError, AttributeError, TypeError, RuntimeError):
        return False
    return True


def _fits_state(args: tuple[Any, ...]) -> bool:
    data, state, weights = args[:3]
    if len(args) != 9 or not isinstance(weights, list | tuple):
        return False  # packed sequences: their batch sizes belong to the old data
    hidden = state[0] if isinstance(state, list | tuple) else state
    rows = data.shape[0 if args[8] else 1]
    return bool(data.dim() == 3 and hidden.shape[1] == rows and weights[0].shape[1] == data.shape[-1])
