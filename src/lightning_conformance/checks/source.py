"""Read the user's method texts, to place a finding and to write its fix; never the only evidence."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator

from lightning_conformance.recording.model import MethodSource, Place, Recording


def method_tree(method: MethodSource) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The method as a syntax tree; None where its text cannot be parsed alone."""
    try:
        node = ast.parse(method.text).body[0]
    except (SyntaxError, IndexError):
        return None
    return node if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else None


def _own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, not those of functions inside it."""
    for child in ast.iter_child_nodes(root):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def line_of(method: MethodSource, node: ast.stmt | ast.expr) -> Place:
    """The place of a node of the method."""
    source = method.text.splitlines()[node.lineno - 1]
    # The text is dedented; the line in the file is not.
    indent = _indent(method.place.source) - _indent(method.text.splitlines()[0])
    end = node.end_col_offset if node.end_lineno == node.lineno else None
    columns = (node.col_offset + indent, end + indent) if end is not None else None
    line = method.place.line + node.lineno - 1
    return Place(method.place.file, line, method.place.function, " " * indent + source, columns)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def return_place(recording: Recording, name: str) -> Place | None:
    """The method's last ``return`` with a value, or else the line of its ``def``."""
    method = recording.methods.get(name)
    if method is None:
        return None
    tree = method_tree(method)
    returns = [n for n in _own_nodes(tree) if isinstance(n, ast.Return) and n.value] if tree else []
    return line_of(method, max(returns, key=lambda n: n.lineno)) if returns else method.place


def loss_name(recording: Recording, method: str = "training_step") -> str:
    """What the method calls its loss: the last local whose name contains ``loss``; ``loss`` if there is none."""
    source = recording.methods.get(method)
    tree = method_tree(source) if source else None
    if tree is None:
        return "loss"
    stored = [
        node
        for node in _own_nodes(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and "loss" in node.id.lower()
    ]
    return max(stored, key=lambda n: (n.lineno, n.col_offset)).id if stored else "loss"


def find_call(recording: Recording, methods: Iterable[str], names: Collection[str], receiver: str = "") -> Place | None:
    """The first call of a function or method with one of the names, in the first of the methods that has one.

    Args:
        receiver: An attribute of ``self`` that the method must be called on, or that must be what is called.
    """
    for method in methods:
        source = recording.methods.get(method)
        tree = method_tree(source) if source else None
        if source is None or tree is None:
            continue
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) in names]
        calls = [n for n in calls if not receiver or f"self.{receiver}" in ast.unparse(n.func)]
        if calls:
            return line_of(source, min(calls, key=lambda n: (n.lineno, n.col_offset)))
    return None


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def mentions(recording: Recording, attribute: str, followed_by: str) -> bool:
    """Whether a method has a line with the attribute of ``self``, and a pattern after it."""
    pattern = re.compile(rf"self\.{re.escape(attribute)}\b[^\n]*(?:{followed_by})")
    return any(pattern.search(method.text) for method in recording.methods.values())


def reads_whole(recording: Recording, methods: Collection[str], attribute: str) -> Place | None:
    """Where the methods, or helpers that they name, read an attribute of ``self`` not only to add to it or slice it."""
    for name in sorted(_mentioned(recording, set(methods)), key=lambda n: n not in methods):
        method = recording.methods.get(name)
        tree = method_tree(method) if method and not name.endswith("_step") else None
        if method is None or tree is None:
            continue
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                is_read = isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load)
                if is_read and _is_self_attribute(child, {attribute}) and not _adds_or_slices(node):
                    return line_of(method, child)  # type: ignore[arg-type]
    return None


def divided(recording: Recording, methods: Collection[str], attribute: str) -> Place | None:
    """Where the methods, or helpers that they name, divide an attribute of ``self``."""
    for name in sorted(_mentioned(recording, set(methods)), key=lambda n: n not in methods):
        method = recording.methods.get(name)
        tree = method_tree(method) if method and not name.endswith("_step") else None
        for node in ast.walk(tree) if tree and method else ():
            divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            left = ast.walk(node.left) if divides else ()  # type: ignore[attr-defined]
            if method and any(_is_self_attribute(part, {attribute}) for part in left):
                return line_of(method, node)  # type: ignore[arg-type]
    return None


def _adds_or_slices(parent: ast.AST) -> bool:
    if isinstance(parent, ast.Attribute):
        return parent.attr in ("append", "extend", "update", "setdefault", "clear", "insert")
    return isinstance(parent, ast.Subscript) and isinstance(parent.slice, (ast.Slice, ast.UnaryOp))


def find_attribute_assignment(
    recording: Recording, methods: Iterable[str], names: Collection[str] = ()
) -> Place | None:
    """The first line of the methods that assigns an attribute of ``self``: one of the names, or any."""
    for method in methods:
        source = recording.methods.get(method)
        tree = method_tree(source) if source else None
        if source is None or tree is None:
            continue
        for node in _own_nodes(tree):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
            if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                continue
            if any(_is_self_attribute(target, names) for target in flat):
                return line_of(source, node)
    return None


def _is_self_attribute(node: ast.AST | None, names: Collection[str]) -> bool:
    on_self = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return on_self and (not names or getattr(node, "attr", "") in names)


def step_methods(recording: Recording) -> list[str]:
    """The user's methods that a training step may run: training_step, forward and the helpers that they name."""
    outside = (
        "__",
        "configure_",
        "validation_",
        "test_",
        "predict_",
        "on_",
        "setup",
        "train_dataloader",
        "val_",
    )
    names = {"training_step", "forward", *_mentioned(recording, {"training_step"})}
    used = [name for name in recording.methods if name in names and not name.startswith(outside)]
    return sorted(used, key=lambda name: (name not in ("training_step", "forward"), name))


def _mentioned(recording: Recording, names: set[str]) -> set[str]:
    """The methods that these methods name, and those that they name in turn."""
    found = set(names)
    for name in names:
        tree = method_tree(recording.methods[name]) if name in recording.methods else None
        found |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} if tree else set()
    found &= {"training_step", "forward", *recording.methods}
    return found if found == names else _mentioned(recording, found)


def find_name(recording: Recording, name: str) -> Place | None:
    """The first line of the methods of a step that uses a global name."""
    for method in step_methods(recording):
        tree = method_tree(recording.methods[method])
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Name) and node.id == name:
                return line_of(recording.methods[method], node)
    return None


def find_cleared(recording: Recording, methods: Iterable[str]) -> Place | None:
    """The first line of the methods that assigns to some tensor's ``grad``."""
    for method in methods:
        source = recording.methods.get(method)
        tree = method_tree(source) if source else None
        for node in ast.walk(tree) if tree else ():
            if source and isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "grad":
                return line_of(source, node)
    return None


def find_assignment(recording: Recording, attribute: str) -> Place | None:
    """The first line of the methods that assigns an attribute of that name, of any object."""
    for method in recording.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == attribute:
                return line_of(method, node)
    return None


def optimizer_place(recording: Recording, names: Collection[str]) -> Place | None:
    """Where configure_optimizers makes an optimizer of one of the classes, or else where it begins."""
    found = find_call(recording, ["configure_optimizers", "__init__", "setup"], names)
    return found or recording.method_place("configure_optimizers")


def written_place(recording: Recording) -> Place | None:
    """The first line that writes a loss to ``self.logger``, past ``self.log``."""
    for method in recording.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree else ():
            if not isinstance(node, ast.Call) or "self.logger." not in ast.unparse(node.func):
                continue
            if "loss" in ast.unparse(node).lower():
                return line_of(method, node)
    return None


def log_call_for_epoch(place: Place | None, name: str, without: Collection[str] = ()) -> str:
    """The ``self.log`` call of a line, written so that it logs the epoch's mean, without some arguments."""
    call = _parse_call(place)
    if call is None:
        return f'self.log("{name}", loss, on_step=False, on_epoch=True)'
    keywords = [k for k in call.keywords if k.arg not in ("on_step", "on_epoch", "reduce_fx", "logger", *without)]
    keywords += [ast.keyword("on_step", ast.Constant(False)), ast.keyword("on_epoch", ast.Constant(True))]
    # The third positional argument is prog_bar; logger, on_step and on_epoch follow.
    text = ast.unparse(ast.Call(call.func, call.args[:3], keywords))
    return text.replace("'", '"') if '"' not in text else text


def _parse_call(place: Place | None) -> ast.Call | None:
    if place is None:
        return None
    text = place.source[slice(*place.columns)] if place.columns else place.source.strip()
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None
    return node if isinstance(node, ast.Call) and _is_log(node) else None


def _is_log(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in ("log", "log_dict")
