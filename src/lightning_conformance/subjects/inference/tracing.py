"""Watches the operations of one attempt: which batch leaves take part in each, and where it stops.

Every operation that a leaf takes part in is kept on a tape, so that the tape can be replayed with
another leaf, without running the module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from lightning_conformance.deadline import patient_time
from lightning_conformance.subjects.code_reading import unpacked_next
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.made import remaking
from lightning_conformance.subjects.inference.outcome import OutOfTime, Private
from lightning_conformance.subjects.inference.probes import OF_SEQUENCES, reveal_probe
from lightning_conformance.subjects.inference.unchecked import is_safe, refuse_unsafe

Leaves = frozenset[Path]
NONE: Leaves = frozenset()
SHAPE_ONLY = {torch.Tensor.type_as, torch.Tensor.to, torch.Tensor.expand_as}  # first operand's values only
ARGMAX = {torch.argmax, torch.Tensor.argmax, torch.max, torch.Tensor.max, torch.topk, torch.Tensor.topk}
READING = {torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.__int__, torch.Tensor.__index__}
# Their whole numbers are positions, whatever the operand is.
POSITIONS = {torch.argsort, torch.Tensor.argsort, torch.sort, torch.Tensor.sort, *ARGMAX}
# What a replay spares: they change neither shape nor dtype.
LEAVING_ALONE = {F.dropout, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout, torch.feature_dropout}
BATCH_NAMES = {"b", "bs", "bsz", "batch", "batch_size", "n_batch", "num_batch", "batchsize"}
RANK_GETTERS = {torch.Tensor.ndim.__get__, torch.Tensor.dim}  # type: ignore[attr-defined]
SHAPE_GETTERS = {torch.Tensor.shape.__get__, torch.Tensor.size}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Operation:
    """One entry of the tape."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]


def name_of(operation: Operation) -> str:
    """Its function's name."""
    return getattr(operation.func, "__name__", "")


@dataclass
class Stop:
    """Where an attempt stopped: the operation, its operands with their leaves, and the error."""

    func: Any
    operands: list[tuple[torch.Tensor, Leaves]]
    error: Exception
    args: Any = ()
    kwargs: Any = None


class Mismatch(Private):
    """An operand is not what its consumer expects, or its leaf is not known yet.

    Args:
        drafts: What to feed instead, the most plausible first; found when it is asked for.
    """

    def __init__(self, drafts: Iterator[Draft]) -> None:
        super().__init__()
        self.drafts = drafts


class RankRevealed(Private):
    """The code unpacks a leaf's shape into so many names, or asks for its rank.

    Args:
        path: The leaf.
        change: How many dimensions more it has, the more plausible number first.
    """

    def __init__(self, path: Path, *change: int) -> None:
        super().__init__(path, change)
        self.path, self.change = path, change


class BatchPlaced(Private):
    """The code unpacks a leaf's shape, and calls another dimension than the first that of the batch.

    Args:
        path: The leaf.
        index: The dimension.
    """

    def __init__(self, path: Path, index: int) -> None:
        super().__init__(path, index)
        self.path, self.index = path, index


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors inside nested arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _each(value.values())
    elif isinstance(value, list | tuple):
        yield from _each(value)


def _each(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        yield from tensors_in(value)


@dataclass
class Trace:
    """What is known of one attempt while it runs.

    Args:
        leaves: The tensors fed, by path.
        stand_ins: Paths of the leaves that are not known yet.
        deadline: On the clock of :func:`~lightning_conformance.deadline.patient_time`.
        copies: The places that are like a path: the same one in all samples.
        ranked: Leaves whose rank was asked for before.
        batch: The batch size.
        allowance: Seconds that may go into replaying; ``replaying`` says how many have.

    ``last_shape`` and ``last_rank`` say whose shape, and whose rank, the code asked for last; a shape that is asked for
    later makes the latter None. ``read`` holds the leaves whose values went into Python, where they may have become
    indices or keys.
    """

    leaves: dict[Path, torch.Tensor]
    stand_ins: Leaves
    deadline: float
    copies: Callable[[Path], list[Path]]
    ranked: Leaves = NONE
    batch: int = 0
    tape: list[Operation] = field(default_factory=list)
    operations: int = 0
    stop: Stop | None = None
    pending: Private | None = None
    last_shape: tuple[Path, int] | None = None
    last_rank: Path | None = None
    allowance: float = 1.0
    replaying: float = 0.0
    used: set[Path] = field(default_factory=set)
    read: set[Path] = field(default_factory=set)
    measured: list[torch.Tensor] = field(default_factory=list)
    classes: dict[int, int] = field(default_factory=dict)
    _leaves_of: dict[int, Leaves] = field(default_factory=dict)
    _ways: dict[tuple[int, Path, int], list[Operation]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, tensor in self.leaves.items():
            self._leaves_of[id(tensor)] = frozenset([path])

    def leaves_of(self, tensor: torch.Tensor) -> Leaves:
        """The leaves that a tensor was made from."""
        return self._leaves_of.get(id(tensor), NONE)

    def throw(self, reason: Private) -> None:
        """Leave the attempt; remembered, since the user's code may swallow anything."""
        self.pending = self.pending or reason
        raise reason

    def record(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Put an operation on the tape."""
        inputs = tuple(tensors_in((args, kwargs)))
        telling = inputs[:1] if func in SHAPE_ONLY else inputs
        origin = NONE.union(*map(self.leaves_of, telling))
        if self._record_made(func, args, kwargs, result) or not origin:
            return
        self.used |= origin
        if func in READING:
            self.read |= origin
        outputs = tuple(tensors_in(result))
        if not outputs:
            return
        self.tape.append(Operation(func, args, kwargs, inputs, outputs))
        if func in ARGMAX:
            self._note_classes(args, kwargs, outputs[-1])
        for output in outputs:
            is_position = func in POSITIONS and not output.dtype.is_floating_point
            if not isinstance(output, torch.nn.Parameter) and not (is_position and is_of_floats(args)):
                self._leaves_of[id(output)] = origin

    def _record_made(self, func: Any, args: Any, kwargs: Any, result: Any) -> bool:
        """Put a tensor that is made with the sizes of a leaf on the tape, as made from that; whether there is one."""
        for source in reversed(self.measured):
            remade = remaking(func, args, kwargs, source)
            if remade is not None:
                self.tape.append(Operation(remade, (source,), {}, (source,), (result,)))
                self._leaves_of[id(result)] = self.leaves_of(source)
                return True
        return False

    def _note_classes(self, args: Any, kwargs: Any, indices: torch.Tensor) -> None:
        dim = args[1] if len(args) > 1 else kwargs.get("dim", -1)
        if isinstance(dim, int) and args and args[0].dim():
            self.classes[id(indices)] = int(args[0].shape[dim if -args[0].dim() <= dim < args[0].dim() else -1])

    def replay(self, target: torch.Tensor, path: Path, leaf: torch.Tensor) -> torch.Tensor | None:
        """The tensor that ``target`` would have been, had the leaf at ``path`` been ``leaf``.

        Returns:
            None where some operation on the way refuses it.
        """
        return self.replayed(target, path, dict.fromkeys(self.twins(path), leaf))

    def replayed(self, target: torch.Tensor, path: Path, leaves: dict[Path, torch.Tensor]) -> torch.Tensor | None:
        """As :meth:`replay`, with several other leaves, of which that at ``path`` tells the way to the target."""
        way = self.chain(target, path)
        value = self._run(way, target, leaves)
        if value is None and any(name_of(operation) == "made_from" for operation in way):
            # A size that is one of the leaf's may be so by chance.
            value = self._run([o for o in way if name_of(o) != "made_from"], target, leaves)
        return value

    def _run(self, way: list[Operation], target: torch.Tensor, leaves: dict[Path, torch.Tensor]) -> torch.Tensor | None:
        known = {id(self.leaves[twin]): leaf for twin, leaf in leaves.items()}
        try:
            with torch.no_grad():
                for operation in way:
                    args = substituted(operation.args, known)
                    if not is_safe(operation.func, args):
                        return None
                    is_spared = operation.func in LEAVING_ALONE
                    result = args[0] if is_spared else operation.func(*args, **substituted(operation.kwargs, known))
                    known.update(zip(map(id, operation.outputs), tensors_in(result), strict=False))
        except Exception:
            return None
        return known.get(id(target))

    def twins(self, path: Path) -> list[Path]:
        """The leaf, and those like it beside it that are joined with it as they are: views, frames, halves."""
        alike, leaf = self.copies(path), self.leaves[path]
        joins = [operation.args for operation in self.tape if operation.func in OF_SEQUENCES]
        if self.stop is not None and self.stop.func in OF_SEQUENCES:
            joins.append(self.stop.args)
        for args in joins:
            ids = {id(tensor) for tensor in tensors_in(args[:1])}
            if id(leaf) in ids:
                alike += [p for p, other in self.leaves.items() if id(other) in ids and self._is_like(p, path)]
        return list(dict.fromkeys(alike))

    def _is_like(self, this: Path, other: Path) -> bool:
        is_unknown = [path in self.stand_ins for path in (this, other)]
        shapes = [self.leaves[path].shape for path in (this, other)]
        return this[:-1] == other[:-1] and (all(is_unknown) or (not any(is_unknown) and shapes[0] == shapes[1]))

    @property
    def size(self) -> int:
        """Bytes that the tape holds."""
        return sum(output.numel() * output.element_size() for operation in self.tape for output in operation.outputs)

    def chain(self, target: torch.Tensor, path: Path) -> list[Operation]:
        """The operations between the leaf at ``path`` and ``target``."""
        key = id(target), path, len(self.tape)
        if key not in self._ways:
            self._ways[key] = self._way_to(target, path)
        return self._ways[key]

    def _way_to(self, target: torch.Tensor, path: Path) -> list[Operation]:
        needed, way, mine = {id(target)}, [], set(self.copies(path))
        for operation in reversed(self.tape):
            is_needed = any(id(o) in needed for o in operation.outputs)
            if is_needed and any(mine & self.leaves_of(t) for t in operation.inputs):
                way.append(operation)
                needed.update(map(id, operation.inputs))
        return way[::-1]


def is_of_floats(args: tuple[Any, ...]) -> bool:
    """Whether a function's first operand holds floats."""
    return bool(args) and isinstance(args[0], torch.Tensor) and args[0].dtype.is_floating_point


def substituted(value: Any, known: dict[int, torch.Tensor]) -> Any:
    """Nested arguments with other tensors in the place of those whose ids are known."""
    if isinstance(value, torch.Tensor):
        return known.get(id(value), value)
    if isinstance(value, dict):
        return {k: substituted(v, known) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(substituted(v, known) for v in value)
    return value


class TracingMode(TorchFunctionMode):
    """Sends every torch operation past a trace and a judge of operands.

    Args:
        trace: Written while the attempt runs.
        judge: Called before each operation with its function and arguments; may leave the attempt.
    """

    def __init__(self, trace: Trace, judge: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]) -> None:
        super().__init__()
        self.trace, self.judge = trace, judge

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Judge, run, record."""
        kwargs = kwargs or {}
        trace = self.trace
        if patient_time() > trace.deadline:
            raise OutOfTime
        reveal_probe((args, kwargs), func)
        self._note_shape(func, args)
        self._note_rank(func, args)
        self.judge(func, args, kwargs)
        try:
            refuse_unsafe(func, args, kwargs)
            result = func(*args, **kwargs)
        except Exception as error:
            operands = [(t, trace.leaves_of(t)) for t in tensors_in((args, kwargs))]
            trace.stop = Stop(func, operands, error, args, kwargs)
            raise
        trace.operations += 1
        trace.record(func, args, kwargs, result)
        return result

    def _note_shape(self, func: Any, args: Any) -> None:
        """Where a leaf's shape is unpacked, the number of names tells its rank."""
        if func not in SHAPE_GETTERS or not args:
            return
        origin = self.trace.leaves_of(args[0])
        if origin and not any(args[0] is tensor for tensor in self.trace.measured):
            self.trace.measured.append(args[0])
        if len(args) > 1:
            return
        if len(origin) != 1:
            return
        path = next(iter(origin))
        self.trace.used.add(path)
        self.trace.last_shape, self.trace.last_rank = (path, args[0].dim()), None
        unpacked = unpacked_next(sys._getframe(2))
        if unpacked is None or unpacked.starred is not None:
            return
        count = len(unpacked.names)
        if count != args[0].dim() and path in self.trace.stand_ins:
            self.trace.throw(RankRevealed(path, count - args[0].dim()))
        at = next((i for i, name in enumerate(unpacked.names) if (name or "").lower() in BATCH_NAMES), 0)
        rows = self.trace.batch
        if at and args[0] is self.trace.leaves[path] and args[0].shape[0] == rows != args[0].shape[at]:
            self.trace.throw(BatchPlaced(path, at))

    def _note_rank(self, func: Any, args: Any) -> None:
        """An input whose rank is asked for is seldom one number a sample."""
        if func not in RANK_GETTERS or not self.trace.leaves:
            return
        self.trace.last_rank = next((path for path, leaf in self.trace.leaves.items() if leaf is args[0]), None)
        first, leaf = next(iter(self.trace.leaves.items()))
        is_open = first in self.trace.stand_ins and first not in self.trace.ranked
        if is_open and args[0] is leaf and leaf.dim() == 1:
            self.trace.throw(RankRevealed(first, 1, 0))
