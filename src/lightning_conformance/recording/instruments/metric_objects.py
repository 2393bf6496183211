"""Metric objects of torchmetrics: which the module registers, and what they hold as epochs begin and end."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from lightning_conformance.recording.events_logging import Edge, MetricHidden, MetricState
from lightning_conformance.recording.instruments.base import EpochEdges, Run
from lightning_conformance.recording.places import assignments

_LONG = 200
_NOT_PLAIN = ("_modules", "_trainer", "_fabric")


def metric_class() -> Any:
    """The base class of torchmetrics' metrics; None where it is not loaded."""
    return getattr(sys.modules.get("torchmetrics"), "Metric", None)


def registered_metrics(module: Any) -> dict[str, Any]:
    """The metric objects that a module registers, by attribute path."""
    base = metric_class()
    if base is None or "_modules" not in vars(module):
        return {}
    found = {f"self.{name}": m for name, m in module.named_modules() if isinstance(m, base)}
    # The parts of a wrapper metric are its own affair.
    inner = {id(part) for metric in found.values() for part in metric.modules() if part is not metric}
    return {name: metric for name, metric in found.items() if id(metric) not in inner}


def use_of(module: Any, value: Any) -> tuple[str, str]:
    """The metric object that a logged value is, or comes from, and how; both empty for a value of one's own."""
    for name, metric in registered_metrics(module).items():
        if value is metric:
            return name, "object"
        for attribute, use in (("_forward_cache", "forward"), ("_computed", "compute")):
            if _is_from(value, vars(metric).get(attribute)):
                return name, use
    return "", ""


def _is_from(value: Any, kept: Any) -> bool:
    if kept is None or not isinstance(kept, torch.Tensor):
        return False
    return value is kept or (isinstance(value, float) and kept.numel() == 1 and value == float(kept))


class MetricObjects(EpochEdges):
    """Watches the metric objects of a module."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._begun: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
        self._places = assignments(run.module) if metric_class() is not None else {}

    def end(self, trainer: Any) -> None:
        """Look for metric objects that are not registered."""
        base, module = metric_class(), self.run.module
        if base is None:
            return
        kinds = (base, getattr(sys.modules.get("torchmetrics"), "MetricCollection", base))
        registered = {id(m) for m in module.modules()}
        for prefix, submodule in module.named_modules():
            for attribute, value in vars(submodule).items():
                for path, item in _held(value, 0) if attribute not in _NOT_PLAIN else ():
                    if isinstance(item, kinds) and id(item) not in registered:
                        where = f"self.{prefix}.{attribute}{path}" if prefix else f"self.{attribute}{path}"
                        place = self._places.get(prefix.partition(".")[0] or attribute)
                        kind, container = type(item).__name__, type(value).__name__
                        self.run.tape.add(MetricHidden(self.run.tape.now, where, kind, container, place))

    def edge(self, which: Edge) -> None:
        """Write down what each metric holds."""
        for where, metric in registered_metrics(self.run.module).items():
            self._note(where, metric, which)

    def _note(self, where: str, metric: Any, edge: Edge) -> None:
        tape, key = self.run.tape, (self.run.tape.stage, where)
        updates = int(vars(metric).get("_update_count", 0))
        value = None
        if edge == "begin":
            self._begun[key] = (updates, _states(metric))
        elif key in self._begun:
            value = _value_since(metric, *self._begun[key])
        tape.add(
            MetricState(
                tape.now,
                where,
                type(metric).__name__,
                tuple(c.__name__ for c in type(metric).__mro__ if c.__module__.partition(".")[0] == "torchmetrics"),
                edge,
                updates,
                value,
                self._places.get(where.removeprefix("self.").partition(".")[0]),
            )
        )


def _held(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """What stands in a plain container, and the containers in it."""
    if depth > 2 or not isinstance(value, (list, tuple, dict)):
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in islice(items, _LONG):
        yield f"[{key!r}]", item
        yield from ((f"[{key!r}]{path}", inner) for path, inner in _held(item, depth + 1))


def _states(metric: Any) -> dict[str, Any]:
    """A copy of a metric's state: of a list, its length, since it is only added to."""
    states = {}
    for name in vars(metric).get("_defaults", {}):
        value = getattr(metric, name, None)
        states[name] = value.detach().clone() if isinstance(value, torch.Tensor) else len(value or ())
    return states


def _value_since(metric: Any, updates: int, states: dict[str, Any]) -> float | None:
    """What a metric would compute of its updates since then; None where its state cannot be split."""
    count = int(vars(metric).get("_update_count", 0)) - updates
    if count <= 0 or not states:
        return None
    try:
        own = copy.deepcopy(metric)
        own._computed, own._update_count = None, count
        reductions: dict[str, Callable[..., Any] | None] = vars(metric).get("_reductions", {})
        for name, before in states.items():
            now = getattr(own, name)
            if isinstance(now, list):
                setattr(own, name, now[before:] if isinstance(before, int) else now)
            elif getattr(reductions.get(name), "__name__", "") == "dim_zero_sum":
                setattr(own, name, now - before)
            elif updates:
                return None
        with torch.no_grad():
            value = own.compute()
    except Exception:
        # A metric may need more than the epoch had, or what a copy does not have.
        return None
    return float(value) if isinstance(value, torch.Tensor) and value.numel() == 1 else None
