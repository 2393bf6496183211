"""Where the code of a step cuts the loss from its graph."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lightning_conformance.checks.source import line_of, method_tree
from lightning_conformance.recording.model import Place, Recording

_CALLS = ("detach", "detach_", "item", "tolist", "numpy", "tensor", "as_tensor", "from_numpy", "argmax", "round")
_CONTEXTS = ("no_grad", "inference_mode")


def cut_place(recording: Recording) -> Place | None:
    """The one line of ``training_step`` on which the loss that it returns is cut; None if there is none, or several."""
    method = recording.methods.get("training_step")
    tree = method_tree(method) if method else None
    if method is None or tree is None:
        return None
    returns = [n for n in ast.walk(tree) if isinstance(n, ast.Return) and n.value is not None]
    data = {argument.arg for argument in tree.args.args if argument.arg != "self"}
    found = {node.lineno: node for each in returns for node in _cuts(tree, each, data)}
    return line_of(method, next(iter(found.values()))) if len(found) == 1 else None


def _cuts(tree: ast.AST, end: ast.Return, data: set[str]) -> Iterator[ast.stmt]:
    """The statements above a ``return`` that its value depends on, and that cut a graph."""
    data = data | _data_names(tree, data)
    loss = _returned_loss(end)
    wanted = _names(loss)
    if _is_cut(loss, data):
        yield end
    assigned = [n for n in ast.walk(tree) if isinstance(n, (ast.Assign, ast.AugAssign)) and n.lineno < end.lineno]
    contexts = [n for n in ast.walk(tree) if isinstance(n, ast.With) and _switches_off(n)]
    for node in sorted(assigned, key=lambda n: -n.lineno):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        stored = {name for target in targets for name in _names(target)}
        if not stored & wanted or stored <= data:
            continue
        wanted |= _names(node.value)
        inside = [with_ for with_ in contexts if with_.lineno < node.lineno <= (with_.end_lineno or 0)]
        if inside:
            yield inside[-1]
        elif _is_cut(node.value, data):
            yield node


def _returned_loss(end: ast.Return) -> ast.AST:
    """What is returned; of a dict, what stands under the key ``loss``."""
    if isinstance(end.value, ast.Dict):
        for key, value in zip(end.value.keys, end.value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "loss":
                return value
    return end


def _switches_off(node: ast.With) -> bool:
    return any(name in ast.unparse(item.context_expr) for item in node.items for name in _CONTEXTS)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id != "self"}


def _data_names(tree: ast.AST, data: set[str]) -> set[str]:
    """Names that hold parts of the batch: assigned from it without any call."""
    found = set(data)
    for node in sorted((n for n in ast.walk(tree) if isinstance(n, ast.Assign)), key=lambda n: n.lineno):
        plain = not any(isinstance(n, (ast.Call, ast.Await)) for n in ast.walk(node.value))
        if plain and _names(node.value) and _names(node.value) <= found:
            found |= {name for target in node.targets for name in _names(target)}
    return found


def _is_cut(node: ast.AST, data: set[str]) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            name = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
            if name in _CALLS and _computed(part, data):
                return True
        elif isinstance(part, ast.Attribute) and part.attr == "data" and _computed(part.value, data):
            return True
    return False


def _computed(node: ast.AST, data: set[str]) -> bool:
    """Whether the expression is computed by the module: from more than the batch, constants and modules."""
    uses_self = any(isinstance(n, ast.Name) and n.id == "self" for n in ast.walk(node))
    return uses_self or bool(_names(node) - data - {"torch", "np", "numpy", "F", "nn"})
