"""Parameters: what they are worth after each batch, what gradients they got, what the loss reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from lightning_conformance.recording.facts import Graph, fingerprint, grade, gradient_norm
from lightning_conformance.recording.instruments.hidden import find_attribute, find_computed, find_global
from lightning_conformance.recording.model import BatchFacts, Gradient, ParameterFacts, UnregisteredLeaf
from lightning_conformance.recording.places import assignments, user_functions
from lightning_conformance.recording.tape import Tape

_ORDER: tuple[Gradient, ...] = ("none", "zero", "nonzero")


@dataclass
class _Watched:
    parameter: torch.Tensor
    first: bytes | None
    value: bytes | None
    late: bool
    frozen: bool
    trainable: bool = False
    gradient: Gradient = "none"
    in_graph: bool = False


@dataclass
class _Leaf:
    tensor: torch.Tensor
    value: bytes | None
    passes: int = 0


class ParameterWatch:
    """Follows the parameters of a module through a run."""

    def __init__(self, module: Any, tape: Tape) -> None:
        self._module, self._tape = module, tape
        self._watched: dict[str, _Watched] = {}
        self._leaves: dict[int, _Leaf] = {}
        self._ran: set[int] = set()
        self._norms: dict[str, float | None] = {}
        self._batch_leaves: dict[int, torch.Tensor] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note which submodules run inside ``training_step``, until the context ends."""

        def note(submodule: Any, args: Any) -> None:
            if self._tape.in_training_step:
                self._ran.add(id(submodule))

        handle = register_module_forward_pre_hook(note)
        try:
            yield
        finally:
            handle.remove()

    def start(self) -> None:
        """Training starts: what is registered now was there in time."""
        self._refresh(late=False)

    def batch_starts(self, tensors: list[torch.Tensor]) -> None:
        """A batch starts: note what is trainable, and which leaves are data."""
        self._refresh(late=True)
        self._norms = {}
        self._batch_leaves = {id(t): t for t in tensors}
        self.note_trainable()

    def note_trainable(self) -> None:
        """Note which parameters require a gradient now."""
        for watched in self._watched.values():
            watched.trainable |= watched.parameter.requires_grad

    def after_backward(self, graph: Graph) -> None:
        """A backward pass is over: note gradients, and the leaves that nobody registered."""
        self._refresh(late=True)
        for name, watched in self._watched.items():
            norm = gradient_norm(watched.parameter)
            if norm is not None:
                self._norms[name] = max(norm, self._norms.get(name) or 0.0) if norm == norm else norm
            watched.gradient = max(watched.gradient, grade(norm), key=_ORDER.index)
            watched.in_graph |= norm is not None
        self._note_leaves(graph)

    def _note_leaves(self, graph: Graph) -> None:
        known = {id(w.parameter): w for w in self._watched.values()}
        for key, leaf in graph.leaves.items():
            if key in known:
                known[key].in_graph = True
            elif key not in self._batch_leaves:
                self._leaves.setdefault(key, _Leaf(leaf, fingerprint(leaf))).passes += 1

    def batch_ends(self, size: int | None) -> None:
        """A batch is over: write what changed on the tape."""
        self._refresh(late=True)
        self.note_trainable()
        changed = tuple(self._update())
        norms = {name: self._norms.get(name) for name in self._watched}
        self._tape.add(BatchFacts(self._tape.now, size, norms, changed))

    def _refresh(self, late: bool) -> None:
        for name, parameter in self._module.named_parameters():
            watched = self._watched.get(name)
            if watched is None:
                value = fingerprint(parameter)
                self._watched[name] = _Watched(parameter, value, value, late, not parameter.requires_grad)
            elif watched.parameter is not parameter:
                # Another object under the same name: what the optimizer holds is not this one.
                watched.parameter, watched.late = parameter, late
                watched.first = watched.value = fingerprint(parameter)

    def _update(self) -> Iterator[str]:
        for name, watched in self._watched.items():
            value = fingerprint(watched.parameter)
            if value != watched.value:
                if watched.value is None:
                    watched.first = value
                else:
                    yield name
                watched.value = value

    def names(self) -> dict[int, str]:
        """``id(parameter)`` to name."""
        return {id(w.parameter): name for name, w in self._watched.items()}

    def facts(self, holders: dict[int, tuple[int, ...]]) -> tuple[ParameterFacts, ...]:
        """What was seen of each registered parameter; ``holders`` has the optimizers by ``id(parameter)``."""
        list(self._update())
        places = assignments(self._module)
        owners = {
            f"{prefix}.{name}" if prefix else name: id(submodule)
            for prefix, submodule in self._module.named_modules(remove_duplicate=False)
            for name, _ in submodule.named_parameters(recurse=False)
        }
        return tuple(
            ParameterFacts(
                name,
                _shape(w.parameter),
                w.trainable,
                holders.get(id(w.parameter), ()),
                w.gradient,
                w.value != w.first,
                w.in_graph,
                owners.get(name) in self._ran or owners.get(name) == id(self._module),
                w.trainable and not w.parameter.requires_grad,
                w.late,
                places.get(name.partition(".")[0]),
                w.frozen and w.trainable,
            )
            for name, w in self._watched.items()
        )

    def unregistered(self, holders: dict[int, tuple[int, ...]]) -> tuple[UnregisteredLeaf, ...]:
        """The leaves that the loss reaches and that are no parameters of the module.

        A tensor made anew for each step (an adversarial input) is none: a leaf counts if it is an
        ``nn.Parameter`` or was reached on two backward passes.
        """
        found = []
        places = assignments(self._module) if self._leaves else {}
        registered = {id(p) for p in self._module.parameters()}
        for key, leaf in self._leaves.items():
            is_parameter = isinstance(leaf.tensor, torch.nn.Parameter)
            if key in registered or not (is_parameter or leaf.passes > 1):
                continue
            where, container = find_attribute(self._module, leaf.tensor)
            if not where:
                where, container = find_computed(self._module, leaf.tensor), "computed"
            if not where:
                where, container = find_global(user_functions(self._module), leaf.tensor), "global"
            attribute = where.removeprefix("self.").partition("[")[0].partition(".")[0]
            found.append(
                UnregisteredLeaf(
                    where,
                    tuple(leaf.tensor.shape),
                    is_parameter,
                    leaf.passes,
                    id(leaf.tensor) in holders,
                    fingerprint(leaf.tensor) != leaf.value,
                    container,
                    places.get(attribute),
                )
            )
        return tuple(found)


def _shape(parameter: torch.Tensor) -> tuple[int, ...]:
    return () if torch.nn.parameter.is_lazy(parameter) else tuple(parameter.shape)
