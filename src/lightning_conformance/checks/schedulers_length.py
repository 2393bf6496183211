"""How long a scheduler thinks that the run is: the numbers that it was made with, and what they count."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping

from lightning_conformance.checks.source import method_tree
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import MethodSource, Recording

# Longer than a run by epochs usually is.
MANY_EPOCHS, TOO_MANY_EPOCHS = 300, 3000

_COUNTS_STEPS = re.compile(r"(?:^|_)(?:steps|iters|iterations|batches|num_steps|max_steps)$|stepping_batches")
# Keywords of torch's own schedulers.
_OF_TORCH = ("total_steps=", "total_iters=", "step_size=", "steps_per_epoch=", "epochs=")
_LENGTHS = re.compile(
    r"T_max|T_0|total_steps|total_iters|milestone|step_size|warm|max_iter|max_step|training_steps|decay"
)


def lengths(scheduler: SchedulerSeen) -> Iterator[tuple[str, float]]:
    """The numbers of a scheduler that say how many calls of ``step`` something takes."""
    for name, value in scheduler.horizon.items():
        if _LENGTHS.search(name) and "eta" not in name and (math.isinf(value) or value == int(value)):
            yield name, value


def differing(one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    """The names of the numbers that are not the same in both."""
    return [name for name in one if name in other and one[name] != other[name] and not math.isnan(one[name])]


def scheduler_call(recording: Recording, scheduler: SchedulerSeen) -> str:
    """The text of what made the scheduler, with what its variables stand for; empty where it is not found."""
    place = scheduler.place
    for method in recording.methods.values():
        tree = method_tree(method)
        if place is None or tree is None or place.file != method.place.file:
            continue
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_at(method, node, place.line)]
        if calls:
            outer = max(calls, key=lambda node: (node.end_lineno or 0) - node.lineno)
            return " ".join([ast.unparse(outer), *_meanings(tree, outer)])
    return ""


def counts_steps(text: str) -> bool:
    """Whether the call names steps in what it hands over (torch's own names of parameters do not count)."""
    return any(_COUNTS_STEPS.search(name.rstrip("=")) for name in _handed_over(text))


def speaks_of_epochs(text: str) -> bool:
    """Whether the call speaks of epochs."""
    return any("epoch" in name.lower() for name in _handed_over(text))


def _handed_over(text: str) -> list[str]:
    return [name for name in re.findall(r"\b[A-Za-z_]\w*\b(?!=)|\b[A-Za-z_]\w*=", text) if name not in _OF_TORCH]


def _is_at(method: MethodSource, node: ast.Call, line: int) -> bool:
    return method.place.line + node.lineno - 1 == line


def _meanings(tree: ast.AST, call: ast.AST) -> Iterator[str]:
    """What the function assigns to the names that a call uses, and what functions of these names hold."""
    used = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") in used for t in node.targets):
            if not any(inner is call for inner in ast.walk(node)):
                yield ast.unparse(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name in used:
            yield ast.unparse(node)
