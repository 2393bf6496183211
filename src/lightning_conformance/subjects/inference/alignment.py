"""What operations on sequences of different lengths expect of targets and lengths."""

from __future__ import annotations

from typing import Any

import torch

from lightning_conformance.subjects.inference.expectations import Context, Expectation, Found, exactly

_LABELS = 3
_OPERANDS = ("log_probs", "targets", "input_lengths", "target_lengths")


def packed(context: Context, args: Any, kwargs: Any) -> Found:
    """Lengths of padded sequences."""
    padded, lengths, is_batch_first = args[0], args[1], args[2]
    longest = int(padded.shape[1 if is_batch_first else 0])
    return [(lengths, exactly((context.batch,), kind="int", low=1, high=longest + 1))]


def aligned(context: Context, args: Any, kwargs: Any) -> Found:
    """Connectionist temporal classification: ``log_probs`` of (time, batch, classes), targets and both lengths."""
    named = {**dict(zip(_OPERANDS, args, strict=False)), **kwargs}
    scores, targets, times, lengths = (named[name] for name in _OPERANDS)
    if context.is_unknown(scores) or scores.dim() != 3:
        return []
    longest, rows, classes = scores.shape
    labels = max(1, min(_LABELS, (longest - 1) // 2))
    is_padded = lambda s: len(s) == 2 and s[0] == rows  # noqa: E731
    found = [(targets, Expectation(((rows, labels),), is_padded, "int", low=1, high=classes))]
    width = int(targets.shape[-1])
    # Each length leaves room for its labels, with a blank between any two.
    shortest = min(longest, 2 * labels + 1)
    found.append((times, exactly((rows,), kind="int", low=shortest, high=longest + 1)))
    found.append((lengths, exactly((rows,), kind="int", low=1, high=width + 1)))
    return [(operand, expected) for operand, expected in found if isinstance(operand, torch.Tensor)]
