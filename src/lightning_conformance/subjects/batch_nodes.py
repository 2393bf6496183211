"""What a batch is made of: tensors and literals in nested tuples, lists, dicts and objects."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, get_args

import torch

BATCH_SYMBOL: Final = "B"
DEFAULT_BATCH_SIZE = 5  # a prime: a reshape that swallows the batch dimension seldom survives it

DTYPES: dict[str, torch.dtype] = {
    "float": torch.float32,
    "double": torch.float64,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "int": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
    "complex": torch.complex64,
    "complex128": torch.complex128,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

Dim: TypeAlias = "int | Literal['B']"
Form = Literal["rising", "falling", "prefix", "suffix", "simplex", "boxes"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a batch.

    Args:
        shape: Its dimensions, whole numbers or ``"B"`` for the batch dimension.
        dtype: Its dtype in the notation's words: ``float``, ``int`` (64 bits), ``bool``, ...
        low: Smallest value; None for the dtype's default.
        high: Largest value of a float; for whole numbers the first value that no longer occurs.
        name: What the tensor is called; documentation only.
        whole: Whether a float tensor holds whole numbers only, as masks and binary targets do.
        below_batch: Whether the values are whole numbers below the batch size, in place of ``high``.
        form: What holds among the values along the last dimension: they are sorted (``rising``,
            ``falling``), ones and then zeros (``prefix``) or the other way round (``suffix``), fractions
            that sum to one (``simplex``), or corners of boxes (``boxes``: x1, y1, x2, y2).
    """

    shape: tuple[Dim, ...]
    dtype: str = "float"
    low: float | None = None
    high: float | None = None
    name: str | None = None
    whole: bool = False
    below_batch: bool = False
    form: Form | None = None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch knows it."""
        return DTYPES[self.dtype]

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers: integers, booleans, or floats that stand for classes."""
        return self.whole or not (self.torch_dtype.is_floating_point or self.torch_dtype.is_complex)

    def with_batch_size(self, size: int) -> TensorSpec:
        """The same tensor with ``size`` in place of every ``B``."""
        shape = tuple(size if dim == "B" else dim for dim in self.shape)
        if self.below_batch:
            return replace(self, shape=shape, low=0, high=size, below_batch=False)
        return replace(self, shape=shape)

    @property
    def is_symbolic(self) -> bool:
        """Whether something in it is written ``B``."""
        return self.below_batch or BATCH_SYMBOL in self.shape

    def body(self) -> str:
        """The notation without the name."""
        form = f" {self.form}" if self.form else ""
        shape = f"{self.dtype}[{','.join(str(dim) for dim in self.shape)}]"
        return f"{shape}{form}{self._range()}" if self.form == "boxes" else f"{shape}{self._range()}{form}"

    def _range(self) -> str:
        if self.below_batch:
            return f"<{BATCH_SYMBOL}"
        if self.low is None or self.high is None:
            return ""
        if not self.is_whole:
            return f" in {_number(self.low)}..{_number(self.high)}"
        if self.low == 0:
            return f"<{_number(self.high)}"
        return f" in {_number(self.low)}..{_number(self.high - 1)}"


@dataclass(frozen=True)
class LiteralSpec:
    """A leaf that is no tensor and has a notation of its own: ``none``, a boolean, a number or a string."""

    value: str | int | float | bool | None
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        if self.value is None or isinstance(self.value, bool):
            return str(self.value).lower()
        return repr(self.value)


@dataclass(frozen=True)
class BatchSizeSpec:
    """A leaf that is the batch size, as a number of Python's."""

    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return BATCH_SYMBOL


@dataclass(frozen=True)
class OpaqueSpec:
    """A leaf that can only be named, by its type; it cannot be generated."""

    type_name: str
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return f"<{self.type_name}>"


@dataclass(frozen=True)
class UnknownSpec:
    """A part that is not known, or known in part only; what a search starts from, and never what it ends with.

    Args:
        tensor: Whether it is known to be a tensor.
        shape: Its dimensions, None for each that is not known; None where not even the rank is known.
        dtype: Its dtype, where that is known.
        optional: Whether it may be left out.
    """

    tensor: bool = False
    shape: tuple[Dim | None, ...] | None = None
    dtype: str | None = None
    name: str | None = None
    optional: bool = False

    def body(self) -> str:
        """The notation with question marks: to be read, not to be parsed."""
        if not self.tensor:
            return "?"
        dims = ["..."] if self.shape is None else ["?" if dim is None else str(dim) for dim in self.shape]
        return f"{self.dtype or '?'}[{','.join(dims)}]{' or none' if self.optional else ''}"


@dataclass(frozen=True)
class TupleSpec:
    """A tuple."""

    items: tuple[Node, ...]
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return f"({joined(self.items)}{',' if len(self.items) == 1 else ''})"


@dataclass(frozen=True)
class ListSpec:
    """A list."""

    items: tuple[Node, ...]
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return f"[{joined(self.items)}]"


@dataclass(frozen=True)
class RepeatSpec:
    """A list with one item a sample, all alike, each with values of its own.

    Args:
        item: One sample.
        count: How many there are: the batch size, where it is ``"B"`` or no tensor says otherwise.
        name: What the list is called; documentation only.
    """

    item: Node
    count: Dim = "B"
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return f"[{named(self.item)}] * {self.count}"


@dataclass(frozen=True)
class DictSpec:
    """A dict; its items are pairs of key and node, in order."""

    items: tuple[tuple[str | int, Node], ...]
    name: str | None = None

    def body(self) -> str:
        """The notation without the name."""
        return "{" + ", ".join(f"{_key(key)}: {node.body()}" for key, node in self.items) + "}"


@dataclass(frozen=True)
class ObjectSpec:
    """An object with attributes.

    Args:
        type_name: What its class is called.
        items: Attribute and node, in order.
        cls: The class that it is generated as; a :class:`BatchObject` where there is none.
    """

    type_name: str
    items: tuple[tuple[str, Node], ...]
    name: str | None = None
    cls: type | None = field(default=None, compare=False, repr=False)

    def body(self) -> str:
        """The notation without the name."""
        return f"{self.type_name}({', '.join(f'{key}: {node.body()}' for key, node in self.items)})"


Node: TypeAlias = (
    TensorSpec
    | LiteralSpec
    | BatchSizeSpec
    | OpaqueSpec
    | UnknownSpec
    | TupleSpec
    | ListSpec
    | RepeatSpec
    | DictSpec
    | ObjectSpec
)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below ``node``; none below a leaf."""
    if isinstance(node, TupleSpec | ListSpec):
        return node.items
    if isinstance(node, DictSpec | ObjectSpec):
        return tuple(child for _, child in node.items)
    return (node.item,) if isinstance(node, RepeatSpec) else ()


def leaves(node: Node) -> Iterator[Node]:
    """The leaves below ``node``, left to right; a leaf is its own only leaf."""
    if isinstance(node, TensorSpec | LiteralSpec | BatchSizeSpec | OpaqueSpec):
        yield node
    for child in children(node):
        yield from leaves(child)


def sizes(node: Node) -> Iterator[Dim]:
    """What may be the batch size: leading dimensions of tensors, and how often a sample is repeated."""
    if isinstance(node, TensorSpec):
        yield from node.shape[:1]
    elif isinstance(node, RepeatSpec):
        yield node.count
    else:
        for child in children(node):
            yield from sizes(child)


def is_symbolic(node: Node) -> bool:
    """Whether something in ``node`` is written ``B``."""
    if isinstance(node, TensorSpec):
        return node.is_symbolic
    if isinstance(node, BatchSizeSpec) or (isinstance(node, RepeatSpec) and node.count == BATCH_SYMBOL):
        return True
    return any(map(is_symbolic, children(node)))


def rebuilt(node: Node, function: Callable[[Node], Node]) -> Node:
    """A copy of ``node`` with ``function`` applied to the nodes directly below it, left to right."""
    if isinstance(node, TupleSpec | ListSpec):
        return replace(node, items=tuple(map(function, node.items)))
    if isinstance(node, RepeatSpec):
        return replace(node, item=function(node.item))
    if isinstance(node, DictSpec | ObjectSpec):
        items = tuple((key, function(item)) for key, item in node.items)
        return replace(node, items=items)  # type: ignore[arg-type]
    return node


def map_tensors(node: Node, function: Callable[[TensorSpec], Node]) -> Node:
    """A copy of ``node`` with ``function`` applied to each tensor, left to right."""
    if isinstance(node, TensorSpec):
        return function(node)
    return rebuilt(node, lambda child: map_tensors(child, function))


def named(node: Node) -> str:
    """The notation of ``node``, its name in front."""
    return f"{node.name}: {node.body()}" if node.name else node.body()


def joined(nodes: tuple[Node, ...]) -> str:
    """The notation of several nodes, with commas between them."""
    return ", ".join(named(node) for node in nodes)


def _key(key: str | int) -> str:
    is_bare = isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
    return str(key) if is_bare else repr(key)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
