"""Parameters that the loss reaches, and the module does not know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, find_name, line_of, method_tree, step_methods
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import Recording, UnregisteredLeaf

_MAKERS = (
    *(f"{kind}{n}d" for kind in ("Conv", "ConvTranspose", "BatchNorm") for n in (1, 2, 3)),
    *("Linear", "LazyLinear", "Bilinear", "Embedding", "LayerNorm", "RNN", "LSTM", "GRU", "Parameter", "Sequential"),
)
_CONVERSIONS = ("to", "cuda", "cpu", "float", "half", "double", "bfloat16", "type", "type_as")


@check(family="parameters", since="0.2.0", depends_on_guess=True)
def parameters_are_registered(recording: Recording) -> Iterator[Finding]:
    """What the loss differentiates is a parameter of the module.

    ## How it judges
    Follows the loss back to the tensors that it is computed from, and looks whether `named_parameters()` knows them.
    Reads where `nn.Parameter(...)` is converted before it is assigned.

    ## Why it matters
    Layers in a plain list or dict, tensors with `requires_grad=True` and parameters that went through `.to(...)` are no
    parameters: `self.parameters()` leaves them out of the optimizer, `state_dict()` out of the checkpoint, and they
    stay where they are when the module moves to a GPU.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(8, 8), nn.Linear(8, 8)]
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)
    ```

    ## Legitimate exceptions
    A tensor that is made anew in each step (an adversarial input) is none of this, and a frozen teacher that is kept in
    a list on purpose is not differentiated. What an optimizer updates all the same is a warning.
    """
    if not recording.parameters and not recording.unregistered:
        raise NotApplicable("the module has no parameter, and the loss reaches none")
    for learns in (False, True):
        leaves = hidden_leaves(recording, learning=learns)
        for _, group in groupby(leaves, key=lambda leaf: leaf.place):
            yield _hidden(recording, list(group))
    yield from converted_parameters(recording)


def hidden_leaves(recording: Recording, *, learning: bool) -> Iterator[UnregisteredLeaf]:
    """What the loss differentiates and the module does not know; whether something updates it all the same."""
    for leaf in recording.unregistered:
        learns = leaf.optimized or leaf.changed
        # A buffer that is updated by hand, or by an optimizer, is in the right place.
        in_place = leaf.container == "buffer" and learns
        if (leaf.is_parameter or leaf.where) and not in_place and learns == learning:
            yield leaf


def converted_parameters(recording: Recording) -> Iterator[Finding]:
    """Parameters that are converted before they are assigned: on this device that may change nothing."""
    known = {p.name for p in recording.parameters}
    for method in recording.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Assign) and (name := _converted(node)) in known:
                yield Finding(
                    f"`self.{name}` is a parameter here only because the conversion changed nothing: where it does, "
                    "it is a plain tensor.",
                    "`.to(...)`, `.cuda()` and the like return a new tensor that is computed from the parameter, and "
                    "that self.parameters() does not hold; on the CPU they may return the parameter itself.",
                    f"self.{name} = nn.Parameter(tensor.to(...))  # convert first, then make the parameter",
                    line_of(method, node),
                    "warning",
                )


def _converted(node: ast.Assign) -> str:
    """The attribute of self that is assigned a converted ``nn.Parameter``; empty if none is."""
    target, value = node.targets[0], node.value
    is_own = isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self"
    if not is_own or not isinstance(value, ast.Call) or getattr(value.func, "attr", "") not in _CONVERSIONS:
        return ""
    inner = value.func.value if isinstance(value.func, ast.Attribute) else None
    made = isinstance(inner, ast.Call) and ast.unparse(inner.func).rpartition(".")[2] == "Parameter"
    return str(getattr(target, "attr", "")) if made else ""


def _hidden(recording: Recording, leaves: list[UnregisteredLeaf]) -> Finding:
    first = leaves[0]
    found = [leaf.where for leaf in leaves if leaf.where]
    names = f"{listed(found)}: " if found else ""
    outside = "" if found else " outside of the module"
    kind = "parameter" if first.is_parameter else "tensor"
    learns = first.optimized or first.changed
    state = "registered as a buffer" if first.container == "buffer" else "not registered"
    outcome = "an optimizer updates" if learns else "nothing updates"
    seen = f"{names}{count(len(leaves), kind)}{outside} that the loss differentiates, {state}, and that {outcome}."
    cause, fix = _why_hidden(first)
    unseen = (
        "self.parameters() does"
        if first.container == "buffer"
        else "self.parameters(), state_dict() and .to(device) do"
    )
    cause += f": {unseen} not see them."
    place = first.place
    if place is None and not first.where.startswith("self."):
        place = find_name(recording, first.where.partition(".")[0])
    if not found and all(leaf.passes == 1 for leaf in leaves) and len(leaves) > 1:
        cause = "They are made anew in each step, with new random values, and forgotten after it."
        fix = "Create layers and parameters in __init__, as attributes of self."
        place = find_call(recording, step_methods(recording), _MAKERS)
    return Finding(seen, cause, fix, place, "warning" if learns else "error")


def _why_hidden(leaf: UnregisteredLeaf) -> tuple[str, str]:
    if leaf.container == "buffer":
        return "A buffer is no parameter, whether it requires a gradient or not", "nn.Parameter(...)"
    if leaf.container == "computed":
        return (
            "`.to(...)`, or an operation, on an nn.Parameter gives a plain tensor that is computed from it",
            f"{leaf.where} = nn.Parameter(tensor.to(...))  # convert first, then make the parameter",
        )
    if not leaf.is_parameter:
        return "A plain tensor with requires_grad=True is no parameter", "nn.Parameter(...)"
    if leaf.container in ("list", "tuple", "dict"):
        what, holder = ("Parameters", "Parameter") if leaf.where.endswith("]") else ("Layers", "Module")
        fix = f"nn.{holder}Dict({{...}})" if leaf.container == "dict" else f"nn.{holder}List([...])"
        return f"{what} in a plain {leaf.container} are not part of the module", fix
    if leaf.container == "global":
        return "What is made outside of the class is not part of the module", "Make it in __init__: self.layer = ..."
    if leaf.container in ("function", "method", "module") or not leaf.where:
        return "It hides where nn.Module does not look", "Assign its module to an attribute of self."
    fix = f"Make `{leaf.container}` an nn.Module, or assign what it holds to attributes of self."
    return f"`{leaf.container}` is no nn.Module, so what it holds is not part of the module", fix
