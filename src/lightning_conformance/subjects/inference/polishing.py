"""What is done with a draft that ran: parts nobody needs are left out, values become what their names say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.subjects.batch_nodes import LiteralSpec, TensorSpec
from lightning_conformance.subjects.inference.attempts import Attempts, Outcome
from lightning_conformance.subjects.inference.drafts import Draft, Path
from lightning_conformance.subjects.inference.naming import refined
from lightning_conformance.subjects.inference.relations import is_lengths
from lightning_conformance.subjects.inference.standing_in import current_spec
from lightning_conformance.subjects.inference.tracing import Trace
from lightning_conformance.subjects.inference.words import meaning_of

MULTIPLYING = {"mul", "rmul", "imul"}
RESHAPING = {"to", "getitem", "unsqueeze", "view", "reshape", "expand", "expand_as", "float"}


def polished(attempts: Attempts, best: Outcome) -> Outcome:
    """The best outcome without what it does not need, and with values that make sense; each change is run."""
    for path, key in list(_needless(best)):
        best = _if_it_runs(attempts, best, _without(best.draft, path, key))
    for path in list(_factors(best)):
        node = best.draft.at(path)
        nothing = replace(node, kind="literal", literal=LiteralSpec(None), spec=None)
        best = _if_it_runs(attempts, best, best.draft.put(path, nothing))
    for path, spec in list(_narrowed(best, attempts.batch)):
        best = _if_it_runs(attempts, best, best.draft.with_spec(path, spec))
    changes = _refinements(best, attempts.batch)
    together = best.draft
    for path, spec in changes.items():
        together = together.with_spec(path, spec)
    tried = _if_it_runs(attempts, best, together)
    if tried is not best or len(changes) < 2:
        return tried
    for path, spec in changes.items():
        best = _if_it_runs(attempts, best, best.draft.with_spec(path, spec))
    return best


def _factors(best: Outcome) -> Iterator[Path]:
    """Parts that something is multiplied by, and that is all: weights, which often may be None; masks seldom are."""
    paths = [path for path, node in best.draft.leaves() if node.kind == "tensor" and path in best.trace.used]
    for path in paths[1:]:
        if best.draft.at(path).name and meaning_of(best.draft.at(path).name) != "fraction":
            continue
        mine = {id(best.trace.leaves[path])}
        uses = set()
        for operation in best.trace.tape:
            if any(id(t) in mine for t in operation.inputs):
                name = getattr(operation.func, "__name__", "").strip("_")
                uses.add(name)
                if name in RESHAPING:
                    mine.update(map(id, operation.outputs))
        if uses & MULTIPLYING and uses <= {*RESHAPING, *MULTIPLYING} and not best.draft.has_samples:
            yield path


def _narrowed(best: Outcome, batch: int) -> Iterator[tuple[Path, TensorSpec]]:
    """Leaves of which only some columns are read, one by one, cut after the last of these."""
    for path, node in best.draft.leaves():
        if node.kind != "tensor" or len(current_spec(node, batch).shape) != 2 or node.free:
            continue
        leaf = best.trace.leaves[path]
        uses = [o for o in best.trace.tape if any(t is leaf for t in o.inputs)]
        uses = [o for o in uses if not any(output is leaf for output in o.outputs)]  # but for its transfer
        columns = [_column(operation.args[1]) for operation in uses if operation.func is torch.Tensor.__getitem__]
        if columns and len(columns) == len(uses) and None not in columns:
            spec, width = current_spec(node, batch), max(c for c in columns if c is not None) + 1
            if spec.shape[1] != width:
                yield path, replace(spec, shape=(spec.shape[0], width))


def _column(index: Any) -> int | None:
    """Which column ``x[:, 3]`` or ``x[..., 3]`` reads."""
    is_one = isinstance(index, tuple) and len(index) == 2 and index[0] in (slice(None), ...)
    return index[1] if is_one and type(index[1]) is int and index[1] >= 0 else None


def _if_it_runs(attempts: Attempts, best: Outcome, draft: Draft) -> Outcome:
    """The outcome of another draft, if it is no worse."""
    if draft == best.draft:
        return best
    outcome = attempts.run(draft, judged=False)
    return outcome if outcome.ran and len(outcome.remarks) <= len(best.remarks) else best


def _needless(best: Outcome) -> Iterator[tuple[Path, int | str]]:
    """Fields with a default, and keys that may be missing, whose values nobody used."""
    for path, _ in best.draft.leaves():
        if path and path not in best.trace.used:
            owner = best.draft.at(path[:-1])
            if owner.cls is not None and owner.optional:
                yield path[:-1], path[-1]


def _without(draft: Draft, path: Path, key: int | str) -> Draft:
    owner = draft.at(path)
    children = tuple((k, child) for k, child in owner.children if k != key)
    return draft.put(path, replace(owner, children=children, optional=owner.optional | {key}))


def _refinements(best: Outcome, batch: int) -> dict[Path, TensorSpec]:
    """The leaves to which their names give other values."""
    nodes = {path: node for path, node in best.draft.leaves() if node.kind == "tensor"}
    specs = {path: _open(current_spec(node, batch), node) for path, node in nodes.items()}
    named = {node.name: specs[path] for path, node in nodes.items() if node.name}
    changes = {}
    for path, node in nodes.items():
        others = {name: spec for name, spec in named.items() if name != node.name}
        spec = refined(specs[path], node.name, others, _consumers(best.trace, path))
        if spec != current_spec(node, batch):
            changes[path] = spec
    return changes


def _open(spec: TensorSpec, node: Draft) -> TensorSpec:
    """Lengths that were all fed alike are open to be told by what they belong to."""
    is_constant = is_lengths(node) and spec.low is not None and spec.high == spec.low + 1
    return replace(spec, low=0, high=2) if is_constant else spec


def _consumers(trace: Trace, path: Path) -> set[str]:
    """Names of the functions that a leaf goes into as it is."""
    leaf = trace.leaves[path]
    return {
        getattr(operation.func, "__name__", "")
        for operation in trace.tape
        if any(argument is leaf for argument in operation.args)
    }
