"""What the message of an error tells of the leaf that had a part in it: sizes, positions, classes, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch.nn.functional as F

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.relations import is_lengths
from lightning_conformance.subjects.inference.shapes import resized
from lightning_conformance.subjects.inference.standing_in import current_spec, stand_in
from lightning_conformance.subjects.inference.tracing import Stop

LARGEST = 1024  # of the sizes that a message names
SIZES_TOLD = re.compile(r"(?<![\w.])\d{1,4}(?![\w.])|(?<=\dx)\d+|\d+(?=x\d)")  # 4, 1x11
POSITION = re.compile(r"index (\d+) is out of bounds(?: for dimension \d+ with size (\d+))?")
CLASSIFYING = {F.cross_entropy, F.nll_loss, F.multi_margin_loss}


def as_told(draft: Draft, path: Path, stop: Stop, batch: int) -> Iterator[TensorSpec]:
    """The sizes that the error's own message names, in the place of the leaf's."""
    if isinstance(stop.error, IndexError):
        return  # about ranks and positions, not sizes
    sizes = tuple(n for n in told_sizes(stop.error) if n != batch)[:6]
    known = current_spec(draft.at(path), batch)
    for shape in resized(tuple(int(d) for d in known.shape), sizes):
        yield replace(known, shape=shape)


def in_proportion(draft: Draft, path: Path, stop: Stop, batch: int) -> Iterator[TensorSpec]:
    """Sides larger or smaller by the ratio of two sizes that the error names: so many patches, and so many wanted.

    They cannot be replayed: where a shape is computed from the leaf's, the tape holds its numbers.
    """
    sizes = [n for n in told_sizes(stop.error) if n not in (1, batch)][:2]
    known = current_spec(draft.at(path), batch)
    shape = tuple(int(d) for d in known.shape)
    if len(sizes) < 2 or "must match" not in str(stop.error):
        return
    for got, wanted in (sizes, sizes[::-1]):
        # Steps of a series, or the sides of a picture.
        first, count = (1, 1) if len(shape) == 3 else (2, len(shape) - 2)
        sides = [side * (wanted / got) ** (1 / max(count, 1)) for side in shape[first : first + count]]
        if sides and all(abs(side - round(side)) < 1e-6 for side in sides):
            yield replace(known, shape=(*shape[:first], *map(round, sides), *shape[first + count :]))


def as_indexed(draft: Draft, path: Path, stop: Stop, batch: int) -> Iterator[TensorSpec]:
    """As many columns as a position needs, or dimensions as an operation asks for: no more than is known."""
    if not isinstance(stop.error, IndexError):
        return
    node, position = draft.at(path), POSITION.search(str(stop.error))
    known = current_spec(node, batch)
    shape = tuple(int(d) for d in known.shape)
    if position is not None:
        more = int(position[1]) + 1 - int(position[2] or 0)
        yield from (
            replace(known, shape=(*shape[:i], shape[i] + more, *shape[i + 1 :])) for i in reversed(range(1, len(shape)))
        )
        yield from (replace(known, shape=s) for s in resized(shape, (int(position[1]) + 1,)))
    elif node.spec is None:
        yield from (stand_in(rank, batch, node) for rank in range(len(shape) + 1, 6))


def classes_in(stop: Stop) -> int:
    """How many classes the scores have that an operation compares with classes; two where it does not."""
    scores = next((operand for operand, _ in stop.operands), None)
    if stop.func not in CLASSIFYING or scores is None or not scores.dim():
        return 2
    return int(scores.shape[min(1, scores.dim() - 1)])


def told_sizes(error: Exception) -> list[int]:
    """The numbers that an error's message names, where they may be sizes."""
    return list(dict.fromkeys(n for n in map(int, SIZES_TOLD.findall(str(error))) if 0 < n <= LARGEST))


def drafts_of_lengths(
    draft: Draft, error: Exception, batch: int, paths: Iterable[Path] | None = None
) -> Iterator[Draft]:
    """The drafts whose lengths, those at ``paths``, are as long as what they met, where the error names both sizes."""
    told = [size for size in told_sizes(error) if size > 1]  # nothing disagrees with a dimension of one
    for path, node in draft.leaves():
        is_meant = is_lengths(node) and (paths is None or path in paths)
        spec = current_spec(node, batch) if is_meant else None
        if spec is not None and spec.low in told:
            for size in told:
                if size not in (spec.low, batch):
                    yield draft.with_spec(path, replace(spec, low=size, high=size + 1))
