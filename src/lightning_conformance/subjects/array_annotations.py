"""Annotations of tensors: ``Tensor``, ``torch.LongTensor``, and jaxtyping's ``Float[Tensor, "b 3 32 32"]``.

jaxtyping is recognised by what its annotations have; it is neither imported nor needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from lightning_conformance.subjects.batch_nodes import DTYPE_NAMES, DTYPES, Dim, Node, TensorSpec, UnknownSpec

BATCH_NAMES = {"b", "n", "bs", "bsz", "batch", "batch_size", "nbatch", "n_batch", "num_samples", "samples"}
# Which dtype stands for a group of them, as `Float` and `Int` do.
_PREFERRED = ("float32", "int64", "bool", "complex64")
_NUMPY_NAMES = {str(dtype).removeprefix("torch."): name for dtype, name in DTYPE_NAMES.items()}


def tensor_node(annotation: Any) -> Node | None:
    """A tensor of whatever shape; None for what is no tensor."""
    if isinstance(annotation, type) and issubclass(annotation, torch.Tensor):
        return UnknownSpec(tensor=True)
    dtype = getattr(annotation, "dtype", None)
    if type(annotation).__name__ == "tensortype" and dtype in DTYPE_NAMES:
        return UnknownSpec(tensor=True, dtype=DTYPE_NAMES[dtype])
    return None


def array_node(annotation: Any) -> Node | None:
    """What jaxtyping says of a tensor; None for other annotations."""
    text, dtypes = getattr(annotation, "dim_str", None), getattr(annotation, "dtypes", None)
    if not isinstance(text, str) or dtypes is None or not hasattr(annotation, "array_type"):
        return None
    dtype, shape = _dtype(dtypes), _shape(text.split())
    if dtype is None or shape is None or None in shape:
        return UnknownSpec(True, shape, dtype)
    known: Any = shape
    return TensorSpec(known, dtype)


def _dtype(names: Any) -> str | None:
    if not isinstance(names, Sequence) or isinstance(names, str):
        return None
    given = [re.sub(r"_$", "", str(name)) for name in names]
    chosen = next((name for name in _PREFERRED if name in given), given[0] if len(given) == 1 else None)
    name = _NUMPY_NAMES.get(chosen or "", "")
    return name if name in DTYPES else None


def _shape(words: list[str]) -> tuple[Dim | None, ...] | None:
    """The dimensions: those with a number are known, and so is the one that counts the samples."""
    if any("..." in word or word.startswith(("*", "#*")) for word in words):
        return None
    names = [word.lstrip("#?_").lower() for word in words]
    batch = next((i for i, name in enumerate(names) if name in BATCH_NAMES), None)
    if batch is None and words and _size(words[0]) is None:
        batch = 0
    return tuple("B" if i == batch else _size(word) for i, word in enumerate(words))


def _size(word: str) -> int | None:
    number = re.fullmatch(r"#?(?:[A-Za-z_]\w*=)?(\d+)", word)
    return int(number[1]) if number else None
