"""Whether two batch specs are the same in structure, rank and dtype.

What is expected is the description of a hand-made batch, or a pattern. That is a batch spec in the notation, in which

* ``?`` is anything, a part of the batch or a size;
* a capital letter other than ``B`` is a size that is the same wherever it stands, in ranges, too;
* ``float|int`` is either dtype;
* ``[float[3,H,W], ...]`` is a list of any length, each item with sizes of its own;
* a range holds the values that may occur.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lightning_conformance.subjects.batch_nodes import (
    DEFAULT_BATCH_SIZE,
    DictSpec,
    ListSpec,
    LiteralSpec,
    Node,
    ObjectSpec,
    RepeatSpec,
    TensorSpec,
    TupleSpec,
    leaves,
)
from lightning_conformance.subjects.batch_spec import parse_batch_spec
from lightning_conformance.subjects.batch_values import whole_range

Path: TypeAlias = "tuple[str | int, ...]"

ANYTHING = LiteralSpec("?")
MORE = LiteralSpec("...")
# Sizes that stand for a pattern's letters, `?` being the first; apart, so that a limit is not taken for a neighbour.
_FIRST, _APART = 10_000_000, 10
_LETTERS = "?ACDEFGHIJKLMNOPQRSTUVWXYZ"


def disagreements(expected: Node, found: Node, free: Collection[Path] = ()) -> list[str]:
    """How ``found`` differs from the description of a concrete batch, in structure, rank or dtype.

    Args:
        expected: The description of the concrete batch.
        found: The spec to judge.
        free: Paths of the leaves that the module never reads: they may be anything, and absent.

    Returns:
        One sentence for each difference.
    """
    return _Comparison(frozenset(free), has_samples=not _is_stacked(expected)).compare(expected, found, ())


def pattern_disagreements(patterns: Iterable[str], found: Node, exact: bool = True) -> list[str]:
    """How ``found`` differs from that of several patterns to which it comes closest.

    Args:
        patterns: Each of them is right.
        found: The spec to judge.
        exact: Whether sizes and ranges count, too.
    """
    texts = (text for pattern in patterns for text in _each_dtype(pattern))
    expected = (parse_batch_spec(_numbered(text)).root for text in texts)
    return min((_Comparison(frozenset(), exact).compare(node, found, ()) for node in expected), key=len)


def _each_dtype(pattern: str) -> Iterable[str]:
    parts = re.split(r"((?:\w+\|)+\w+)(?=\[)", pattern)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return map("".join, itertools.product(*choices))


def _numbered(pattern: str) -> str:
    """The pattern in the notation proper: letters and ``?`` as sizes, wildcards as literals."""

    def number(match: re.Match[str]) -> str:
        return str(_FIRST + _APART * _LETTERS.index(match[0]))

    def sizes(match: re.Match[str]) -> str:
        return re.sub(r"[?AC-Z]", number, match[0])

    text = re.sub(r"(?<=bool)(\[[^\[\]]*\])<2", r"\1", pattern)  # the notation has no range for it
    text = re.sub(r"(?<=\w)\[[^\[\]]*\]", sizes, text)
    text = re.sub(r"(?<=<)[AC-Z]\b|(?<=\.\.)[AC-Z]\b", number, text)
    return text.replace("?", "'?'").replace(", ...]", ", '...']")


@dataclass
class _Comparison:
    free: frozenset[Path]
    exact: bool = False
    has_samples: bool = False
    sizes: dict[int, Any] = field(default_factory=dict)

    def compare(self, expected: Node, found: Node, path: Path) -> list[str]:
        if isinstance(expected, RepeatSpec):
            expected = ListSpec((expected.item, MORE))
        if isinstance(found, RepeatSpec):
            found = ListSpec((found.item,))
        if self._is_free(expected, path):
            return []
        if isinstance(expected, TensorSpec):
            return self._tensors(expected, found, path)
        if isinstance(expected, DictSpec | ObjectSpec):
            return self._by_key(expected, found, path)
        if isinstance(expected, TupleSpec | ListSpec):
            return self._by_position(expected, found, path)
        same = type(found) is type(expected) and (
            not isinstance(expected, LiteralSpec) or type(found.value) is type(expected.value)  # type: ignore[union-attr]
        )
        return [] if same else [_differ(expected, found, path)]

    def _is_free(self, expected: Node, path: Path) -> bool:
        """Whether nothing below ``expected`` is ever read."""
        below = dict(_leaf_paths(expected, path))
        return bool(below) and all(at in self.free or leaf == ANYTHING for at, leaf in below.items())

    def _by_key(self, expected: DictSpec | ObjectSpec, found: Node, path: Path) -> list[str]:
        if isinstance(expected, ObjectSpec) and isinstance(found, TupleSpec | ListSpec):
            # A named tuple may be read by position.
            positions = TupleSpec(tuple(child for _, child in expected.items))
            free = {(*path, i, *at[len(path) + 1 :]) for i, (key, _) in enumerate(expected.items)
                    for at in self.free if at[: len(path) + 1] == (*path, key)}  # fmt: skip
            other = _Comparison(frozenset(free), self.exact, self.has_samples, self.sizes)
            return other._by_position(positions, found, path)
        if not isinstance(found, DictSpec | ObjectSpec):
            return [_differ(expected, found, path)]
        there = dict(found.items)
        result = []
        for key, child in expected.items:
            if key in there:
                result += self.compare(child, there.pop(key), (*path, key))
            elif child != LiteralSpec(None) and not self._is_free(child, (*path, key)):
                result.append(f"{_place((*path, key))} is missing")  # what is None may as well be left out
        return result + [f"{_place((*path, key))} does not belong there" for key in there]

    def _by_position(self, expected: TupleSpec | ListSpec, found: Node, path: Path) -> list[str]:
        if not isinstance(found, TupleSpec | ListSpec):
            return [_differ(expected, found, path)]
        if expected.items[-1:] == (MORE,) or (self.has_samples and _is_list_of_samples(expected)):
            return self._samples(expected.items[0], found, path)
        result = []
        for i, (child, other) in enumerate(zip(expected.items, found.items, strict=False)):
            result += self.compare(child, other, (*path, i))
        for i in range(len(found.items), len(expected.items)):
            if not self._is_free(expected.items[i], (*path, i)):
                result.append(f"{_place((*path, i))} is missing")
        return result + [
            f"{_place((*path, i))} does not belong there" for i in range(len(expected.items), len(found.items))
        ]

    def _samples(self, sample: Node, found: TupleSpec | ListSpec, path: Path) -> list[str]:
        """Each item is like the first expected one, its sizes its own."""
        if not found.items:
            return [f"{_place(path)} is an empty list"]
        shared = dict(self.sizes)
        for i, item in enumerate(found.items):
            self.sizes = dict(shared)
            if result := self.compare(sample, item, (*path, i)):
                return result
        self.sizes = shared
        return []

    def _tensors(self, expected: TensorSpec, found: Node, path: Path) -> list[str]:
        if not isinstance(found, TensorSpec) or expected.dtype != found.dtype:
            return [_differ(expected, found, path)]
        if len(expected.shape) != len(found.shape):
            return [_differ(expected, found, path)]
        if not self.exact:
            return []
        fits = all(map(self._size_fits, expected.shape, found.shape)) and self._range_fits(expected, found)
        return [] if fits else [_differ(expected, found, path)]

    def _size_fits(self, expected: Any, found: Any) -> bool:
        if isinstance(expected, int) and expected >= _FIRST:
            return expected == _FIRST or self.sizes.setdefault(expected, found) == found
        return bool(expected == found)

    def _range_fits(self, expected: TensorSpec, found: TensorSpec) -> bool:
        if expected.low is None or expected.high is None:
            return True
        low, high = _bounds(found)
        most = expected.high - 1 if expected.is_whole else expected.high
        for limit, highest in ((expected.high, -1), (expected.high - 1, 0)):
            if expected.is_whole and limit in self.sizes:
                most = float(self.sizes[int(limit)] + highest)
        return expected.low <= low and high <= most


def _bounds(spec: TensorSpec) -> tuple[float, float]:
    """Smallest and largest value."""
    if spec.is_whole and spec.dtype != "bool":
        spec = spec.with_batch_size(DEFAULT_BATCH_SIZE)
        first, beyond = whole_range(spec)
        return first, beyond - 1
    if spec.dtype == "bool":
        return 0, 1
    return (-math.inf, math.inf) if spec.low is None or spec.high is None else (spec.low, spec.high)


def _leaf_paths(node: Node, path: Path) -> Iterable[tuple[Path, Node]]:
    if isinstance(node, DictSpec | ObjectSpec):
        for key, child in node.items:
            yield from _leaf_paths(child, (*path, key))
    elif isinstance(node, TupleSpec | ListSpec):
        for i, child in enumerate(node.items):
            yield from _leaf_paths(child, (*path, i))
    else:
        yield path, node


def _is_stacked(node: Node) -> bool:
    """Whether all tensors share their leading size, as they do where samples were stacked."""
    return len({leaf.shape[0] for leaf in leaves(node) if isinstance(leaf, TensorSpec) and leaf.shape}) <= 1


def _is_list_of_samples(node: Node) -> bool:
    """Whether a list holds at least two items that are alike."""
    if not isinstance(node, ListSpec) or len(node.items) < 2:
        return False
    first, *others = node.items
    return not any(disagreements(first, other) for other in others)


def _differ(expected: Node, found: Node, path: Path) -> str:
    return f"{_place(path)} is {_body(found)}, expected {_body(expected)}"


def _body(node: Node) -> str:
    return re.sub(r"\d{8}", _letter, node.body()).replace("'?'", "?").replace("'...'", "...")


def _letter(match: re.Match[str]) -> str:
    index, rest = divmod(int(match[0]) - _FIRST, _APART)
    return _LETTERS[index] + "+1" * rest if 0 <= index < len(_LETTERS) else match[0]


def _place(path: Path) -> str:
    return "batch" + "".join(f"[{key!r}]" for key in path)
