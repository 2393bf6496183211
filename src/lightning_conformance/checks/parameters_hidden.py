"""Parameters that the loss reaches, and the module does not know."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lightning_conformance.checks.source import find_call, find_name, step_methods
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.model import Recording, UnregisteredLeaf

_MAKERS = (
    *(f"{kind}{n}d" for kind in ("Conv", "ConvTranspose", "BatchNorm") for n in (1, 2, 3)),
    *("Linear", "LazyLinear", "Bilinear", "Embedding", "LayerNorm", "RNN", "LSTM", "GRU", "Parameter", "Sequential"),
)


def unregistered(recording: Recording) -> Iterator[Finding]:
    """Findings on what the loss differentiates and the module does not know, line by line."""
    # A buffer that is updated by hand, or by an optimizer, is in the right place.
    learning = [x for x in recording.unregistered if x.container == "buffer" and (x.optimized or x.changed)]
    hidden = [leaf for leaf in recording.unregistered if (leaf.is_parameter or leaf.where) and leaf not in learning]
    for _, group in groupby(hidden, key=lambda leaf: (leaf.place, leaf.optimized or leaf.changed)):
        yield _hidden(recording, list(group))


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
