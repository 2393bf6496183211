"""What torch's modules, and torchmetrics' metrics, expect of their arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from lightning_conformance.subjects.inference.expectations import (
    SIDE,
    TIME,
    Context,
    Expectation,
    Found,
    Shape,
    exactly,
)


def _recurrent(module: Any, context: Context, args: Any) -> Found:
    b, size = context.batch, module.input_size
    first = (b, TIME, size)
    shapes = (first,) if module.batch_first else (first, (TIME, b, size))
    accepts: Callable[[Shape], bool] = lambda s: len(s) == 3 and s[-1] == size  # noqa: E731
    return [(args[0], Expectation(shapes, accepts))]


def _packed_recurrent(module: Any, context: Context, packed: PackedSequence) -> Found:
    """The data of packed sequences has lost its time dimension."""
    size = module.input_size
    accepts: Callable[[Shape], bool] = lambda s: len(s) == 2 and s[-1] == size  # noqa: E731
    # As many steps as there are, first of all: the lengths may be known.
    steps = (len(packed.batch_sizes), TIME)
    return [(packed.data, Expectation(tuple((context.batch, n, size) for n in steps), accepts))]


def _attention(module: Any, context: Context, args: Any) -> Found:
    attention = module if isinstance(module, nn.MultiheadAttention) else _inner_attention(module)
    if attention is None:
        return []
    b, size = context.batch, attention.embed_dim
    accepts: Callable[[Shape], bool] = lambda s: len(s) == 3 and s[-1] == size  # noqa: E731
    expectation = Expectation(((b, TIME, size),), accepts)
    return [(a, expectation) for a in args[:2] if isinstance(a, torch.Tensor)]


def _inner_attention(module: nn.Module) -> nn.MultiheadAttention | None:
    return next((m for m in module.modules() if isinstance(m, nn.MultiheadAttention)), None)


def _normalized(module: Any, context: Context, args: Any) -> Found:
    size, b = module.num_features, context.batch
    ranks = {nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.BatchNorm3d: (5,)}[type(module)]
    sides = {2: (), 3: (SIDE,), 4: (SIDE, SIDE), 5: (16, 16, 16)}
    shapes = tuple((b, size, *sides[rank]) for rank in ranks)
    return [(args[0], Expectation(shapes, lambda s: len(s) in ranks and s[1] == size))]


def _metric(module: Any, context: Context, args: Any) -> Found:
    """A metric of torchmetrics, called with prediction and target."""
    if len(args) < 2 or not all(isinstance(a, torch.Tensor) for a in args[:2]):
        return []
    scores, target = args[0], args[1]
    if context.is_unknown(scores) or not context.is_unknown(target):
        return []
    classes = getattr(module, "num_classes", None)
    is_classification = ".classification" in type(module).__module__
    if not is_classification:
        return [(target, exactly(tuple(scores.shape)))]
    shape = tuple(scores.shape)
    if classes and scores.dtype.is_floating_point and len(shape) > 1 and shape[1] == classes:
        shape = (shape[0], *shape[2:])
    return [(target, exactly(shape, kind="int", low=0, high=int(classes or context.classes(scores) or 2)))]


def expectations_of_module(module: nn.Module, context: Context, args: Any) -> Found:
    """What a module of torch or torchmetrics expects of its arguments; nothing of other modules."""
    if args and isinstance(args[0], PackedSequence) and isinstance(module, nn.RNNBase):
        return _packed_recurrent(module, context, args[0])
    if not args or not isinstance(args[0], torch.Tensor):
        return []
    if isinstance(module, nn.RNNBase):
        return _recurrent(module, context, args)
    if isinstance(module, nn.MultiheadAttention | nn.TransformerEncoderLayer | nn.TransformerEncoder):
        return _attention(module, context, args)
    if isinstance(module, nn.TransformerDecoder | nn.TransformerDecoderLayer | nn.Transformer):
        return _attention(module, context, args)
    if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d) and not args[0].is_sparse:
        return _normalized(module, context, args)
    if isinstance(module, nn.RNNCellBase):
        return [(args[0], exactly((context.batch, module.input_size)))]
    metrics = sys.modules.get("torchmetrics")
    return _metric(module, context, args) if metrics and isinstance(module, metrics.Metric) else []
