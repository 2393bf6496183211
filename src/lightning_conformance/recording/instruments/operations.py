"""Watch torch's operations while a step runs: what losses are given, what is broadcast, what changes the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lightning_conformance.recording.events_operations import ScoresTaken, ShapesDiffered, TermWithoutGraph
from lightning_conformance.recording.facts import Graph
from lightning_conformance.recording.model import Place
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.provenance import maker, normalised_dim
from lightning_conformance.recording.tape import Tape

_ELEMENTWISE_LOSSES = {
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "poisson_nll_loss",
    "gaussian_nll_loss",
    "kl_div",
    "soft_margin_loss",
}
_ARITHMETIC = {"sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide", "eq", "ne"}
_OF_SCORES = {
    "cross_entropy",
    "nll_loss",
    "kl_div",
    "ctc_loss",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "log_softmax",
    "logsumexp",
    "softmax",
    "sigmoid",
}
_NORMALISING = ("log_softmax", "logsumexp", "softmax", "sigmoid")
_OF_LOGARITHMS = ("nll_loss", "kl_div", "ctc_loss")
_MAKING_SCORES = {"softmax", "log_softmax", "sigmoid", "logsigmoid", "log", "sigmoid_", "Softmax"}
_ADDING = {"add", "add_", "sub", "sub_", "sum", "iadd", "radd"}


class OperationMode(TorchFunctionMode):
    """Sees each torch function that Python calls while it is entered; :meth:`end` closes a step."""

    def __init__(self, tape: Tape, places: Places) -> None:
        super().__init__()
        self._tape, self._places = tape, places
        self._batch: dict[str, torch.Tensor] = {}
        self._versions: dict[str, int] = {}
        self.changes: dict[str, Place | None] = {}
        self._explicit: dict[int, torch.Tensor] = {}
        self._learned: dict[int, tuple[torch.Tensor, str, Place | None]] = {}
        self._made_at: list[tuple[Any, Place | None]] = []
        self._pending: list[tuple[Any, ShapesDiffered | TermWithoutGraph]] = []

    def begin(self, batch: dict[str, torch.Tensor]) -> None:
        """A step begins with these tensors."""
        self._batch, self.changes = batch, {}
        self._versions = {path: tensor._version for path, tensor in batch.items()}

    def end(self, loss: Any) -> None:
        """The step is over: write down what became part of its loss, and let go of its tensors."""
        nodes = Graph(loss).nodes if isinstance(loss, torch.Tensor) and self._pending else set()
        for node, event in self._pending:
            if isinstance(event, ShapesDiffered):
                self._tape.add(
                    ShapesDiffered(*(*_fields(event)[:-2], node is not None and node in nodes, event.place))
                    if not event.in_loss
                    else event
                )
            elif node in nodes:
                self._tape.add(event)
        self._batch, self._explicit, self._learned, self._pending, self._made_at = {}, {}, {}, [], []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, then look at it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        with suppress(Exception):
            self._before(name, args, kwargs)
        result = func(*args, **kwargs)
        with suppress(Exception):
            self._after(name, args, kwargs, result)
        return result

    def _before(self, name: str, args: Any, kwargs: Any) -> None:
        if name in _OF_SCORES and torch.is_grad_enabled():
            self._note_scores(name, *_operands(args, kwargs))

    def _after(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        for path, tensor in self._batch.items():
            if tensor._version != self._versions[path]:
                self._versions[path] = tensor._version
                self.changes.setdefault(path, self._places.here())
        if name == "unsqueeze" or (name == "getitem" and _has_none(args)):
            self._explicit[id(result)] = result
        if name in _MAKING_SCORES and isinstance(result, torch.Tensor) and result.grad_fn is not None:
            self._made_at.append((result.grad_fn, self._places.here()))
        if name in _ELEMENTWISE_LOSSES or name in _ARITHMETIC:
            self._note_shapes(name, args, kwargs, result)
        self._follow(name, args, kwargs, result)

    def _note_shapes(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        first, second = _operands(args, kwargs)
        if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)) or first.shape == second.shape:
            return
        shape = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
        is_loss = name in _ELEMENTWISE_LOSSES
        if not is_loss and not self._pairs_by_accident(first, second, shape, name):
            return
        node = result.grad_fn if isinstance(result, torch.Tensor) else None
        shapes = (tuple(first.shape), tuple(second.shape), tuple(shape))
        event = ShapesDiffered(self._tape.now, name, *shapes, is_loss, False, self._places.here())
        self._pending.append((node, event))

    def _pairs_by_accident(self, first: torch.Tensor, second: torch.Tensor, shape: torch.Size, name: str) -> bool:
        """Whether each of n values of one met each of n values of the other, and nobody wrote that they should."""
        n = first.numel()
        if second.numel() != n or n < 2 or shape.numel() <= n or first.dim() == second.dim():
            return False
        if first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr():
            return False
        if id(first) in self._explicit or id(second) in self._explicit:
            return False
        return name in ("eq", "ne") or first.requires_grad != second.requires_grad or name in ("mul", "multiply")

    def _note_scores(self, taker: str, scores: Any, target: Any) -> None:
        if not isinstance(scores, torch.Tensor) or not scores.dim():
            return
        made, node, is_direct = maker(scores)
        classes = 1 if scores.dim() > 1 and taker in ("cross_entropy", "nll_loss") else scores.dim() - 1
        given, dim = made, None
        if taker in _OF_LOGARITHMS and made in ("", "sigmoid") and bool((scores.detach() > 1e-4).any()):
            given = made or "raw"
        elif taker == "nll_loss" and made == "log_softmax" and is_direct:
            over = normalised_dim(node, scores.dim())
            dim = (over, classes) if over is not None and over != classes else None
        elif taker == "cross_entropy" and scores.dim() > 1 and scores.shape[1] == 1 and _is_index(target):
            given = "one class"
        elif taker in _NORMALISING and not _is_done_again(taker, made, is_direct):
            return
        if not given and dim is None:
            return
        here = self._places.here()
        at = next((place for known, place in reversed(self._made_at) if known is node), None) if made else None
        self._tape.add(ScoresTaken(self._tape.now, taker, given, dim, here, at))

    def _follow(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """Follow what is computed from parameters that learn, past the point where it loses its graph."""
        sources = list(_tensors((args, kwargs)))
        cut = next((self._learned[id(t)] for t in sources if id(t) in self._learned and not t.requires_grad), None)
        if cut is None and not any(t.requires_grad for t in sources):
            return
        for tensor in _tensors(result):
            if tensor.requires_grad:
                self._note_term(name, sources, tensor)
            elif tensor.is_floating_point() and name not in ("randn_like", "rand_like", "zeros_like", "ones_like"):
                how, place = (cut[1], cut[2]) if cut else (_how(name), self._places.here())
                self._learned[id(tensor)] = (tensor, how, place)

    def _note_term(self, name: str, sources: list[torch.Tensor], result: torch.Tensor) -> None:
        if name not in _ADDING or result.dim() or any(t.dim() for t in sources):
            return
        for term in sources:
            if not term.requires_grad and id(term) in self._learned and float(term):
                _, how, cut = self._learned[id(term)]
                event = TermWithoutGraph(self._tape.now, how, float(term), self._places.here(), cut)
                self._pending.append((result.grad_fn, event))


def _is_done_again(taker: str, made: str, is_direct: bool) -> bool:
    """Whether a normalisation is applied to what is normalised already."""
    return made == "softmax" if taker in ("log_softmax", "logsumexp") else made == taker and is_direct


def _how(name: str) -> str:
    return "no_grad" if not torch.is_grad_enabled() else name


def _fields(event: ShapesDiffered) -> tuple[Any, ...]:
    return tuple(getattr(event, name) for name in event.__dataclass_fields__)


def _is_index(target: Any) -> bool:
    return isinstance(target, torch.Tensor) and not target.is_floating_point()


def _operands(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The first two operands; of a loss, what is predicted and what is wanted."""
    given = [*args[:2], *(kwargs[name] for name in ("input", "self", "log_probs", "target", "other") if name in kwargs)]
    return (*given, None, None)[:2]


def _has_none(args: Any) -> bool:
    index = args[1] if len(args) > 1 else ()
    return any(item is None for item in (index if isinstance(index, tuple) else (index,)))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        items: Iterable[Any] = value.values() if isinstance(value, dict) else value
        for item in items:
            yield from _tensors(item)
