"""Kernels that trust their caller: torch's modules check the arguments in Python, and a replay goes past that."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

_KERNELS = torch._C._VariableFunctions
RECURRENT = {_KERNELS.lstm, _KERNELS.gru, _KERNELS.rnn_tanh, _KERNELS.rnn_relu}
PACK = _KERNELS._pack_padded_sequence
ALIGNMENTS = {F.ctc_loss, torch.ctc_loss}


def is_safe(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether a kernel may be called with other arguments than those that the user's code gave it."""
    try:
        if func in RECURRENT:
            return _fits_state(args)
        if func is PACK:
            longest = args[0].shape[1 if args[2] else 0]
            return bool(args[1].dim() == 1 and args[1].max() <= longest)
        if func in ALIGNMENTS:
            return _fits_alignment(*args[:4])
    except (IndexError, AttributeError, TypeError, RuntimeError):
        return False
    return True


def refuse_unsafe(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise before a kernel that would read or write past the ends of its operands.

    Raises:
        ValueError: The user's code would call it so, with a batch that the search drew.
    """
    if func in ALIGNMENTS:
        names = ("log_probs", "targets", "input_lengths", "target_lengths")
        operands = [*args[:4], *(kwargs[name] for name in names[len(args) :] if name in kwargs)]
        if len(operands) == 4 and not is_safe(func, tuple(operands)):
            raise ValueError("ctc_loss: a target or a length is out of range")


def _fits_alignment(scores: Any, targets: Any, times: Any, lengths: Any) -> bool:
    times, lengths = torch.as_tensor(times), torch.as_tensor(lengths)
    rows, longest = (scores.shape[1], scores.shape[0]) if scores.dim() == 3 else (1, scores.shape[0])
    if times.numel() != rows or lengths.numel() != rows or min(times.min(), lengths.min()) < 0:
        return False
    room = lengths.max() <= targets.shape[-1] if targets.dim() == 2 else lengths.sum() <= targets.numel()
    in_range = targets.min() >= 0 and targets.max() < scores.shape[-1]
    return bool(times.max() <= longest and room and in_range)


def _fits_state(args: tuple[Any, ...]) -> bool:
    data, state, weights = args[:3]
    if len(args) != 9 or not isinstance(weights, list | tuple):
        return False  # packed sequences: their batch sizes belong to the old data
    hidden = state[0] if isinstance(state, list | tuple) else state
    rows = data.shape[0 if args[8] else 1]
    return bool(data.dim() == 3 and hidden.shape[1] == rows and weights[0].shape[1] == data.shape[-1])
