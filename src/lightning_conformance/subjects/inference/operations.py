"""What torch's operations expect of their operands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from lightning_conformance.subjects.inference.alignment import aligned, packed
from lightning_conformance.subjects.inference.expectations import (
    SIDE,
    TIME,
    Context,
    Expectation,
    Found,
    Shape,
    exactly,
)


def _features(size: int, batch: int, **more: Any) -> Expectation:
    """Any rank, ``size`` last, the batch dimension first."""
    shapes = ((batch, size), (batch, TIME, size), (batch, TIME, TIME + 2, size))
    return Expectation(shapes, lambda s: len(s) >= 1 and s[-1] == size, **more)


def _ndim_channels(size: int, spatial: int, batch: int) -> Expectation:
    side = {1: SIDE, 2: SIDE, 3: 16}[spatial]
    rank = spatial + 2
    return Expectation(((batch, size, *[side] * spatial),), lambda s: len(s) == rank and s[1] == size)


def _linear(context: Context, args: Any, kwargs: Any) -> Found:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    return [(_first(args, kwargs), _features(weight.shape[-1], context.batch))]


def _convolution(spatial: int, transposed: bool) -> Callable[..., Found]:
    def rule(context: Context, args: Any, kwargs: Any) -> Found:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
        channels = weight.shape[0] if transposed else weight.shape[1] * (groups if isinstance(groups, int) else 1)
        return [(_first(args, kwargs), _ndim_channels(channels, spatial, context.batch))]

    return rule


def _embedding(context: Context, args: Any, kwargs: Any) -> Found:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    b = context.batch
    shapes = ((b, TIME), (b,), (b, TIME, TIME + 2))
    count = int(weight.shape[0])
    expectation = Expectation(shapes, lambda s: True, "int", low=0, high=count, sequence=True)
    return [(_first(args, kwargs), expectation)]


def _bilinear(context: Context, args: Any, kwargs: Any) -> Found:
    weight = args[2] if len(args) > 2 else kwargs["weight"]
    return [(args[i], _features(weight.shape[i + 1], context.batch)) for i in (0, 1)]


def _layer_norm(context: Context, args: Any, kwargs: Any) -> Found:
    sizes = tuple(args[1] if len(args) > 1 else kwargs["normalized_shape"])
    shapes = ((context.batch, *sizes), (context.batch, TIME, *sizes))
    return [(_first(args, kwargs), Expectation(shapes, lambda s: s[-len(sizes) :] == sizes))]


def _matmul(context: Context, args: Any, kwargs: Any) -> Found:
    left, right = args[0], args[1] if len(args) > 1 else kwargs.get("other")
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor) or context.is_unknown(right):
        return []
    if context.has_leaf(right) or right.dim() < 2:
        return []
    return [(left, _features(right.shape[-2], context.batch))]


def _classes_target(context: Context, args: Any, kwargs: Any) -> Found:
    scores, target = _first(args, kwargs), args[1] if len(args) > 1 else kwargs.get("target")
    if not isinstance(target, torch.Tensor) or scores.dim() < 1 or context.is_unknown(scores):
        return []
    channel = 0 if scores.dim() == 1 else 1
    shape = tuple(scores.shape)
    indices = shape[:channel] + shape[channel + 1 :]
    limits = {"low": 0, "high": int(shape[channel])}
    if target.dtype.is_floating_point and tuple(target.shape) == shape and not context.is_unknown(target):
        return []
    return [(target, exactly(indices, kind="int", **limits))]


def _like_prediction(**limits: Any) -> Callable[..., Found]:
    def rule(context: Context, args: Any, kwargs: Any) -> Found:
        left, right = _first(args, kwargs), args[1] if len(args) > 1 else kwargs.get("target")
        return _same_shape(context, left, right, kind="float", **limits)

    return rule


def _same_shape(context: Context, left: Any, right: Any, **limits: Any) -> Found:
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return []
    if context.is_unknown(left) and not context.is_unknown(right):
        left, right = right, left
    if context.is_unknown(left):
        return []
    found = [(right, exactly(tuple(left.shape), **limits))]
    if context.has_leaf(left) and not context.is_unknown(right):
        found.append((left, exactly(tuple(right.shape), kind="any")))
    return found


def _elementwise(context: Context, args: Any, kwargs: Any, is_sum: bool = False) -> Found:
    """Arithmetic and comparisons: only a leaf that is not known yet is judged, by what it meets."""
    operands = [a for a in [*args, *kwargs.values()] if isinstance(a, torch.Tensor)]
    if len(operands) != 2:
        return []
    unknown = [o for o in operands if context.is_unknown(o)]
    known = [o for o in operands if not context.is_unknown(o) and o.dim() > 0]
    if len(unknown) != 1 or len(known) != 1:
        return []
    return [(unknown[0], _like_partner(context, known[0], is_sum))]


def _like_partner(context: Context, partner: torch.Tensor, is_sum: bool) -> Expectation:
    shape, is_whole = tuple(partner.shape), not (partner.is_floating_point() or partner.is_complex())
    if partner.dtype == torch.bool:
        return exactly(shape, kind="any", low=0, high=2, whole=True)
    if is_whole and len(shape) == 1 and not context.has_leaf(partner) and shape[0] not in (1, context.batch):
        # A row of numbers, an `arange` say, that each sample's own number is compared with.
        column: Shape = (context.batch, 1)
        full: Shape = (context.batch, *shape)
        high = int(partner.max()) + 1
        if is_sum:
            # Offsets into a table that all columns share: a number each.
            return Expectation((full,), lambda s: _broadcasts(s, shape), "int", low=0, high=high)
        accepts: Callable[[Shape], bool] = lambda s: s == column or _broadcasts(s, shape)  # noqa: E731
        return Expectation((column, full), accepts, "int", low=0, high=high)
    if is_whole:
        return exactly(shape, kind="int", low=0, high=context.classes(partner) or 2)
    is_of_samples = shape[0] == context.batch
    if is_of_samples and len(shape) == 4 and shape[2:] == (1, 1):
        # Dimensions that somebody put there for images to meet.
        return Expectation(((*shape[:2], SIDE, SIDE),), lambda s: _broadcasts(s, shape), weak=True)
    if context.has_leaf(partner) or (is_of_samples and partner.requires_grad):
        reduced = (shape, *((*shape[:i], *[1] * (len(shape) - i)) for i in range(len(shape) - 1, 0, -1)))
        return Expectation(reduced, lambda s: _broadcasts_to(s, shape), weak=True)
    full = (context.batch, *shape) if shape[0] != 1 or len(shape) < 2 else (context.batch, *shape[1:])
    full = tuple(SIDE if i > 1 and size == 1 and len(full) == 4 else size for i, size in enumerate(full))
    return Expectation((full,), lambda s: _broadcasts(s, shape), weak=True)


def _broadcasts(left: Shape, right: Shape) -> bool:
    try:
        return bool(tuple(torch.broadcast_shapes(left, right)) == left)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False


def _broadcasts_to(left: Shape, right: Shape) -> bool:
    return _broadcasts(right, left)


def _one_hot(context: Context, args: Any, kwargs: Any) -> Found:
    count = args[1] if len(args) > 1 else kwargs.get("num_classes", -1)
    high = int(count) if int(count) > 0 else 3
    shapes = ((context.batch,), (context.batch, TIME))
    return [(_first(args, kwargs), Expectation(shapes, lambda s: True, "int", low=0, high=high))]


def _joined(context: Context, args: Any, kwargs: Any) -> Found:
    """Concatenation: an unknown leaf is like its known neighbour."""
    parts = args[0] if args else kwargs["tensors"]
    if not isinstance(parts, list | tuple) or len(parts) < 2:
        return []
    known = [p for p in parts if not context.is_unknown(p)]
    unknown = [p for p in parts if context.is_unknown(p)]
    if not known or not unknown:
        return []
    shape = _as_joined(unknown[0], known[0], args, kwargs)
    accepts: Callable[[Shape], bool] = lambda s: len(s) == len(shape)  # noqa: E731
    if known[0].dtype.is_floating_point:
        return [(unknown[0], Expectation((shape,), accepts, weak=True))]
    return [(unknown[0], Expectation((shape,), accepts, "int", low=0, high=2, weak=True))]


def _as_joined(unknown: torch.Tensor, known: torch.Tensor, args: Any, kwargs: Any) -> Shape:
    """The shape of the neighbour; along the dimension of joining, that of the leaf will do."""
    dim, shape = _named(args, kwargs, 1, "dim"), tuple(known.shape)
    if (
        unknown.dim() != known.dim()
        or not isinstance(dim, int)
        or not -len(shape) <= dim < len(shape)
        or len(shape) < 2
    ):
        return shape
    dim %= len(shape)
    return (*shape[:dim], int(unknown.shape[dim]), *shape[dim + 1 :]) if dim else shape


def _indexed(context: Context, args: Any, kwargs: Any) -> Found:
    """A leaf used as an index of something else."""
    owner, index = args[0], args[1]
    parts = index if isinstance(index, tuple) else (index,)
    found: Found = []
    for position, part in enumerate(parts):
        if isinstance(part, torch.Tensor) and context.has_leaf(part) and position < owner.dim():
            shapes = ((context.batch,), (context.batch, TIME))
            high = int(owner.shape[position])
            if part.dtype != torch.bool:
                found.append((part, Expectation(shapes, lambda s: True, "int", low=0, high=high, index=True)))
            elif position == 0:
                found.append((part, _mask_of(tuple(owner.shape))))
    return found


def _reshaped(context: Context, args: Any, kwargs: Any) -> Found:
    """``view`` to sizes that are all named: the leaf likely has them, or is flat behind the batch dimension."""
    operand, sizes = args[0], args[1:] or (kwargs.get("shape", ()),)
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], list | tuple) else sizes
    if not context.is_unknown(operand) or len(sizes) < 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
        return []
    total = torch.Size(sizes).numel()
    # The sizes may be those of the stand-in itself.
    if sizes[0] != context.batch or (operand.dim() > 2 and operand.numel() == total):
        return []
    flat = (context.batch, total // context.batch)
    return [(operand, Expectation((tuple(sizes), flat), lambda s: torch.Size(s).numel() == total, "any"))]


def _mask_of(shape: Shape) -> Expectation:
    """A mask over the leading dimensions of ``shape``, both values present."""
    goals = tuple(shape[:rank] for rank in range(1, len(shape) + 1))
    return Expectation(goals, lambda s: s in goals, "any", low=0, high=2, whole=True)


def _masked(context: Context, args: Any, kwargs: Any) -> Found:
    owner, mask = args[0], _named(args, kwargs, 1, "mask")
    return _mask_like(context, mask, owner)


def _chosen(context: Context, args: Any, kwargs: Any) -> Found:
    """``torch.where(mask, this, that)``."""
    if len(args) < 3:
        return []
    others = [a for a in args[1:] if isinstance(a, torch.Tensor) and a.dim()]
    return _mask_like(context, args[0], others[0]) if others else []


def _mask_like(context: Context, mask: Any, owner: torch.Tensor) -> Found:
    if not isinstance(mask, torch.Tensor) or not context.is_unknown(mask) or context.is_unknown(owner):
        return []
    shape = tuple(owner.shape)
    goals = (shape, *((*shape[:i], *[1] * (len(shape) - i)) for i in range(len(shape) - 1, 0, -1)))
    accepts: Callable[[Shape], bool] = lambda s: _broadcasts(shape, s)  # noqa: E731
    return [(mask, Expectation(goals, accepts, "any", low=0, high=2, whole=True))]


def _gathered(context: Context, args: Any, kwargs: Any) -> Found:
    owner, dim, index = args[0], args[1] if len(args) > 1 else kwargs["dim"], _named(args, kwargs, 2, "index")
    if not isinstance(index, torch.Tensor) or not context.is_unknown(index) or not isinstance(dim, int):
        return []
    shape = list(owner.shape)
    high, shape[dim] = shape[dim], 1
    return [(index, Expectation((tuple(shape),), lambda s: len(s) == len(shape), "int", low=0, high=high))]


def _first(args: Any, kwargs: Any) -> torch.Tensor:
    found: torch.Tensor = args[0] if args else kwargs["input"]
    return found


def _named(args: Any, kwargs: Any, position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)


T = torch.Tensor
RULES: dict[Any, Callable[[Context, Any, Any], Found]] = {
    F.linear: _linear,
    F.bilinear: _bilinear,
    F.embedding: _embedding,
    F.embedding_bag: _embedding,
    F.layer_norm: _layer_norm,
    F.one_hot: _one_hot,
    F.cross_entropy: _classes_target,
    F.nll_loss: _classes_target,
    F.multi_margin_loss: _classes_target,
    F.binary_cross_entropy: _like_prediction(low=0, high=2, whole=True),
    F.binary_cross_entropy_with_logits: _like_prediction(low=0, high=2, whole=True),
    F.multilabel_soft_margin_loss: _like_prediction(low=0, high=2, whole=True),
    F.kl_div: _like_prediction(low=0.0, high=1.0),
    T.__getitem__: _indexed,
    T.__setitem__: _indexed,
    T.masked_fill: _masked,
    T.masked_fill_: _masked,
    torch.masked_fill: _masked,
    torch.where: _chosen,
    torch._C._VariableFunctions._pack_padded_sequence: packed,
    F.ctc_loss: aligned,
    torch.ctc_loss: aligned,
    torch.gather: _gathered,
    T.gather: _gathered,
    torch.cat: _joined,
    torch.stack: _joined,
    torch.concat: _joined,
}
RULES.update(dict.fromkeys([T.view, T.reshape, torch.reshape], _reshaped))
RULES.update(dict.fromkeys([torch.matmul, T.matmul, T.__matmul__, torch.mm, T.mm], _matmul))
RULES.update(
    dict.fromkeys(
        [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss, F.poisson_nll_loss,
         F.gaussian_nll_loss, F.cosine_similarity, F.triplet_margin_loss, F.pairwise_distance],
        _like_prediction(),
    )
)  # fmt: skip
BINARY = (
    *("add", "sub", "mul", "div", "true_divide", "pow", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "dot", "rsub"),
)
OPERATORS = (
    *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or"),
)
for _name in BINARY:
    RULES.update({getattr(owner, _name): _elementwise for owner in (torch, T) if hasattr(owner, _name)})
RULES.update({getattr(T, f"__{name}__"): _elementwise for name in OPERATORS})
SUMS = (torch.add, T.add, T.__add__, T.__radd__, torch.sub, T.sub, T.__sub__)
RULES.update(dict.fromkeys(SUMS, partial(_elementwise, is_sum=True)))
for _spatial in (1, 2, 3):
    RULES[getattr(torch, f"conv{_spatial}d")] = _convolution(_spatial, transposed=False)
    RULES[getattr(torch, f"conv_transpose{_spatial}d")] = _convolution(_spatial, transposed=True)


def expectations_of(func: Any, context: Context, args: Any, kwargs: Any) -> Found:
    """What an operation expects of its operands; nothing where it has no rule."""
    rule = RULES.get(func)
    if rule is None:
        return []
    try:
        return rule(context, args, kwargs)
    except (IndexError, KeyError, AttributeError, TypeError):
        return []
