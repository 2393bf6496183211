"""Candidates for a leaf's shape, from what a later operation expects of a tensor made from the leaf."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from lightning_conformance.subjects.inference.expectations import SIDE, TIME, Shape

COMMON_SIDES = (32, 28, 64, 16, 8, 14, 24, 36, 40, 48, 56, 84, 96, 100, 112, 128)
LARGE_SIDES = (160, 192, 224, 227, 256, 299)


def preimages(wanted: Shape, batch: int, is_reshaped: bool, current: Shape | None) -> Iterator[Shape]:
    """Leaf shapes that may turn into ``wanted``, the most plausible first, without repetition.

    Args:
        wanted: What the consumer would accept.
        batch: The batch size.
        is_reshaped: Whether something reshapes the leaf on the way.
        current: The leaf's shape so far, if it was known.
    """
    seen: set[Shape] = set()
    for shape in _all(wanted, batch, is_reshaped, current):
        if shape not in seen:
            seen.add(shape)
            yield shape


def _all(wanted: Shape, batch: int, is_reshaped: bool, current: Shape | None) -> Iterator[Shape]:
    if current is not None:
        if is_reshaped:
            yield from _other_sides(current)
        yield from _one_changed(current, wanted)
    if is_reshaped:
        if wanted[1:] == (1,):
            yield wanted[:1]
        yield from _batch_unfolded(wanted, batch)
        yield from _images(wanted, batch)
    yield wanted
    yield from _one_less(wanted)
    yield from _one_more(wanted)
    yield from _reordered(wanted)
    if wanted:
        yield (*wanted[:-1], 2 * wanted[-1])
    if len(wanted) == 4:
        yield from ((batch, SIDE, SIDE), (batch, SIDE * SIDE))
    if is_reshaped:
        yield from _factored(wanted, batch)


def _images(wanted: Shape, batch: int) -> Iterator[Shape]:
    """Images that flatten to so many features."""
    if len(wanted) != 2:
        return
    for channels in (1, 3):
        side = round((wanted[1] / channels) ** 0.5)
        if side > 3 and channels * side * side == wanted[1]:
            yield (batch, channels, side, side)
            yield (batch, side, side)


def _factored(wanted: Shape, batch: int) -> Iterator[Shape]:
    if len(wanted) != 2:
        return
    for first in range(2, min(wanted[1], 64)):
        if wanted[1] % first == 0:
            yield (batch, first, wanted[1] // first)


def _batch_unfolded(wanted: Shape, batch: int) -> Iterator[Shape]:
    """Targets of sequences are often flattened together with the batch dimension."""
    if len(wanted) == 1 and wanted[0] % batch == 0:
        rest = wanted[0] // batch
        if rest > 1:
            yield (batch, rest)
    elif len(wanted) == 2 and wanted[0] % batch == 0 and wanted[0] > batch:
        yield (batch, wanted[0] // batch, wanted[1])


def _one_less(wanted: Shape) -> Iterator[Shape]:
    for index in range(1, len(wanted)):
        if wanted[index] == 1:
            yield wanted[:index] + wanted[index + 1 :]


def _one_more(wanted: Shape) -> Iterator[Shape]:
    if not wanted:
        yield (1,)
        return
    yield (*wanted, 1)
    for size in (TIME, 1, 3):
        for index in range(1, len(wanted) + 1):
            yield (*wanted[:index], size, *wanted[index:])


def resized(current: Shape, sizes: tuple[int, ...]) -> Iterator[Shape]:
    """``current`` with one dimension of another size, or one dimension more; never the batch dimension."""
    for size in sizes:
        for index in range(len(current) - 1, 0, -1):
            if current[index] != size:
                yield (*current[:index], size, *current[index + 1 :])
    for size in sizes:
        for index in range(len(current), 0, -1):
            yield (*current[:index], size, *current[index:])


def _reordered(wanted: Shape) -> Iterator[Shape]:
    if 3 <= len(wanted) <= 5:
        for rest in itertools.permutations(wanted[1:]):
            yield (wanted[0], *rest)


def _other_sides(current: Shape) -> Iterator[Shape]:
    """All spatial sizes varied together, common ones first."""
    spatial = len(current) - 2
    if spatial < 1:
        return
    sides = (*COMMON_SIDES, *LARGE_SIDES) if spatial < 3 else (16, 32, 8, 24, 28, 64)
    more = tuple(range(4, 100)) if spatial < 3 else tuple(range(4, 34))
    for side in (*sides, *more):
        yield (*current[:2], *[side] * spatial)


def _one_changed(current: Shape, wanted: Shape) -> Iterator[Shape]:
    extra = {abs(w - c) for w in wanted for c in current} | set(wanted) | {2 * c for c in current}
    sizes = [s for s in (*sorted(extra), *range(1, 33)) if s > 0]
    for index in range(len(current) - 1, 0, -1):
        for size in sizes:
            yield (*current[:index], size, *current[index + 1 :])
