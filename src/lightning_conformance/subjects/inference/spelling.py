"""What a draft is as a batch spec, and in the notation where it is not known in full."""

from __future__ import annotations

from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.batch_spec import BatchSpec
from lightning_conformance.subjects.inference.drafts import Draft, finished
from lightning_conformance.subjects.inference.standing_in import current_spec

UNUSED = TensorSpec(("B",))
UNUSED_IN_SAMPLE = TensorSpec(())


def spec_of_draft(draft: Draft, size: int) -> BatchSpec:
    """The spec that a draft stands for, its batch dimension written ``B``."""
    return BatchSpec(finished(_filled(draft, size), UNUSED), size)


def _filled(draft: Draft, size: int) -> Draft:
    """Every leaf as it is fed: stand-ins that nothing objected to are what was run."""
    for path, node in draft.leaves():
        if node.kind == "unknown":
            spec = UNUSED_IN_SAMPLE if node.free else UNUSED
        else:
            spec = node.spec or current_spec(node, size)
        draft = draft.with_spec(path, spec if node.free else _symbolic(spec, size))
    return draft


def _symbolic(spec: TensorSpec, size: int) -> TensorSpec:
    at = next((i for i, dim in enumerate(spec.shape) if dim == size), None)
    return replace(spec, shape=tuple("B" if i == at else dim for i, dim in enumerate(spec.shape)))


def describe_draft(draft: Draft) -> str:
    """The notation of a draft, with ``?`` for what is not known."""
    if draft.kind == "tensor" and draft.spec is not None:
        return str(BatchSpec(replace(draft.spec, name=None)))
    if draft.kind in ("unknown", "tensor"):
        return "float[5,?]" if draft.kind == "tensor" else "?"
    items = [(key, child.name, describe_draft(child)) for key, child in draft.children]
    if draft.kind == "samples":
        return f"[{items[0][2]}] * B"
    if draft.kind in ("tuple", "list"):
        return "(" + ", ".join(f"{name}: {text}" if name else text for _, name, text in items) + ")"
    if draft.literal is not None:
        return draft.literal.body()
    if draft.kind == "object":
        type_name = draft.cls.__name__ if draft.cls else "Batch"
        return f"{type_name}(" + ", ".join(f"{key}: {text}" for key, _, text in items) + ")"
    return "{" + ", ".join(f"{key}: {text}" for key, _, text in items) + "}"
