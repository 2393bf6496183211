"""What a draft may be after the first use of one of its unknown parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from lightning_conformance.subjects.annotations import node_of_annotation
from lightning_conformance.subjects.batch_nodes import BatchSizeSpec, LiteralSpec, Node, TensorSpec
from lightning_conformance.subjects.code_reading import Items
from lightning_conformance.subjects.inference.drafts import Draft, Path, grown_tuple, sample_list
from lightning_conformance.subjects.inference.graphs import graph_leaves
from lightning_conformance.subjects.inference.probes import USUAL_LENGTHS, Revealed
from lightning_conformance.subjects.inference.seeds import draft_of

TARGET = re.compile(r"target|label|truth|^y(_|$)", re.IGNORECASE)  # what a loss cannot do without


def revealed_drafts(draft: Draft, revealed: Revealed, module: Any, batch: int) -> Iterator[Draft]:
    """The drafts that a use leads to, the most plausible first.

    Args:
        draft: What was fed.
        revealed: How its unknown part was used.
        module: The module under test.
        batch: The batch size.
    """
    found = draft.at(revealed.path)
    nodes = [*_annotated(found, revealed), *_nodes(found, revealed, module, batch)]
    if draft.has_samples:
        nodes.sort(key=lambda node: node.kind != "samples")  # what stands beside samples is one of each, too
    for node in nodes:
        yield draft.put(revealed.path, node)


def completed_drafts(draft: Draft) -> Iterator[Draft]:
    """The drafts with one more of the parts that were left out, where their class gives them a default."""
    yield from _completed(draft, draft, ())


def keyed_drafts(draft: Draft, error: KeyError) -> Iterator[Draft]:
    """The drafts with a key more that was missed in a copy of a dict, whose keys nobody could be asked for."""
    key = error.args[0] if error.args else None
    for path, node in dicts_in(draft):
        if isinstance(key, str) and key not in dict(node.children):
            child = (key, Draft(name=key, free=node.free))
            yield draft.put(path, replace(node, children=(*node.children, child)))


def recounted_drafts(draft: Draft, error: ValueError) -> Iterator[Draft]:
    """The drafts with as many parts as the code unpacks, where it goes through them first: `a, b = map(f, batch)`.

    First of all, what an annotation says may be wrong.
    """
    expected = re.search(r"values to unpack \(expected (\d+)", str(error))
    count = int(expected[1]) if expected else len(draft.children)
    if draft.kind in ("samples", "tuple", "list") and count != len(draft.children):
        yield Draft(name=draft.name)
        yield grown_tuple((None,) * count, draft)


def longer_drafts(draft: Draft, error: IndexError) -> Iterator[Draft]:
    """The drafts in which a tuple that is read by position has a part more."""
    if re.search(r"^(tuple|list) index out of range", str(error)):
        for path, node in tuples_in(draft):
            more = (*node.children, (len(node.children), Draft(free=node.free)))
            yield draft.put(path, replace(node, children=more)) if path else replace(node, children=more)


def tuples_in(node: Draft, path: Path = ()) -> Iterator[tuple[Path, Draft]]:
    """Path and node of every tuple or list of parts."""
    if node.kind in ("tuple", "list"):
        yield path, node
    for key, child in node.children[: 1 if node.kind == "samples" else None]:
        yield from tuples_in(child, (*path, key))


def dicts_in(node: Draft, path: Path = ()) -> Iterator[tuple[Path, Draft]]:
    """Path and node of every dict that was gone through as a whole, one of alike samples only."""
    if node.copied:
        yield path, node
    for key, child in node.children[: 1 if node.kind == "samples" else None]:
        yield from dicts_in(child, (*path, key))


def _completed(draft: Draft, node: Draft, path: Path) -> Iterator[Draft]:
    if node.cls is not None:
        for key in sorted(node.optional, key=lambda key: (not TARGET.search(str(key)), str(key))):
            child = (key, Draft(name=str(key)))
            fuller = replace(node, children=(*node.children, child), optional=node.optional - {key})
            yield draft.put(path, fuller)
    for key, child_node in node.children:
        yield from _completed(draft, child_node, (*path, key))


def _annotated(node: Draft, revealed: Revealed) -> Iterator[Draft]:
    """What the annotation says, where it names more than the use."""
    if revealed.annotation is None or node.claims or node.denied:
        return
    known = draft_of(node_of_annotation(revealed.annotation), node.name)
    names = revealed.names[0] if revealed.how == "tuple" else ()
    if known.kind in ("tuple", "list") and len(names) in (0, len(known.children)):
        children = ((key, replace(child, name=name)) for (key, child), name in zip_longest(known.children, names))
        yield replace(known, children=tuple(children)) if names else known
    elif known.kind == "object" or (known.kind == "dict" and (known.children or revealed.how == "class")):
        yield known
    elif known.kind == "tensor" and revealed.how in ("index", "length", "slice"):
        yield replace(node, kind="tensor", rank=known.rank)


def _nodes(node: Draft, revealed: Revealed, module: Any, batch: int) -> Iterator[Draft]:
    if revealed.how == "class":
        yield from _answers(node, revealed)
    elif revealed.how == "items":
        yield from _iterated(node, revealed, batch)
    elif revealed.how in ("key", "attribute"):
        for grown in _with_key(node, revealed):
            yield with_graphs(grown, batch)
    elif revealed.how == "mapping" and node.free:
        yield replace(node, kind="dict", copied=True)
    elif revealed.how == "mapping":
        yield _with_keywords(node, module)
    elif revealed.how != "call":
        yield from _sequences(node, revealed, batch)


def _sequences(node: Draft, revealed: Revealed, batch: int) -> Iterator[Draft]:
    tensor = replace(node, kind="tensor")
    if revealed.how == "tensor":
        yield tensor
    elif revealed.how == "stacked" and revealed.path and not node.free:
        yield sample_list(node, batch, Draft(kind="tensor", name=node.name))
        yield from (grown_tuple((None,) * length, node) for length in USUAL_LENGTHS)
    elif revealed.how in ("tuple", "stacked"):
        yield from (grown_tuple(names, node) for names in revealed.names)
        if revealed.path and not node.free:
            yield sample_list(node, batch, Draft())  # gone through beside another one, sample by sample
    elif revealed.how == "index":
        count = max(2, revealed.names + 1 if revealed.names >= 0 else -revealed.names)
        yield from (grown_tuple((None,) * count, node), tensor)
    elif revealed.how == "length":
        tuples = [grown_tuple((None,) * count, node) for count in (2, 3)]
        yield from [tensor, *tuples] if revealed.path else [*tuples, tensor]
    elif revealed.how == "slice":
        pair, triple = (grown_tuple((None,) * count, node) for count in (2, 3))
        yield from (pair, tensor, triple)


def _iterated(node: Draft, revealed: Revealed, batch: int) -> Iterator[Draft]:
    """What is gone through item by item: views or parts, a few of them, or samples."""
    items: Items | None = revealed.names
    unpacking = items.unpacking if items else None
    item = grown_tuple(unpacking.names) if unpacking else Draft(name=items.name if items else None)
    samples = sample_list(node, batch, item)
    whole = sample_list(node, batch, Draft())  # `for x, y in zip(xs, ys)` unpacks no item of xs
    parts = [grown_tuple((None,) * length, node) for length in USUAL_LENGTHS]
    if node.free:
        yield from (*parts, replace(node, kind="tensor"))
    elif not revealed.path:
        yield from (samples, *parts)
    elif unpacking:
        yield from (whole, samples, *parts)
    else:
        yield from (parts[0], samples, *parts[1:])


def with_graphs(node: Draft, batch: int) -> Draft:
    """Where edges are among the parts: nodes, edges and counts are as many as in other parts of the graph."""
    known = graph_leaves([str(key) for key, _ in node.children])
    children = tuple((key, _of_graph(child, known.get(str(key)), batch)) for key, child in node.children)
    return replace(node, children=children)


def _of_graph(child: Draft, known: Node | None, batch: int) -> Draft:
    if child.free or child.literal is not None or known is None:
        return child
    if isinstance(known, LiteralSpec | BatchSizeSpec):
        return replace(child, kind="literal", literal=known)
    if not isinstance(known, TensorSpec) or known.shape[:1] == ("B",):
        return child
    return replace(child, kind="tensor", spec=known, children=(), free=True)


def _answers(node: Draft, revealed: Revealed) -> Iterator[Draft]:
    """To ``isinstance``: a tensor is likely one, a batch is likely a sequence, and few things are a dict."""
    kinds = revealed.names
    no = replace(node, denied=node.denied | set(kinds))
    kinds = [kind for kind in kinds if kind != "list" or "tuple" not in kinds]
    yes = [replace(node, kind="tensor" if kind == "tensor" else node.kind, claims=kind) for kind in kinds]
    is_likely = "tensor" in kinds or ({"list", "tuple"} & set(kinds) and not revealed.path)
    yield from [*yes, no] if is_likely else [no, *yes]


def _with_key(node: Draft, revealed: Revealed) -> Iterator[Draft]:
    """One key or attribute more; left out first, where the code is prepared for that."""
    kind = node.kind if node.kind != "unknown" else ("dict" if revealed.how == "key" else "object")
    name = revealed.names if isinstance(revealed.names, int) else str(revealed.names)
    if revealed.optional:
        yield replace(node, kind=kind, optional=node.optional | {name})
    child = Draft(name=None if isinstance(name, int) else name, free=node.free)
    yield replace(node, kind=kind, children=(*node.children, (name, child)))


def _with_keywords(node: Draft, module: Any) -> Draft:
    """A dict handed on as keyword arguments: its keys are what ``forward`` cannot do without.

    Where ``forward`` just passes ``**kwargs`` on, they are what a submodule of the user's cannot do without.
    """
    names = _keywords_of(module)
    if not names:
        own = [m for m in module.children() if not type(m).__module__.startswith(("torch.", "torchmetrics."))]
        names = next(filter(None, map(_keywords_of, own)), [])
    known = dict(node.children)
    children = tuple((name, Draft(name=name)) for name in names if name not in known)
    return replace(node, kind="dict", children=(*node.children, *children), copied=True)


def _keywords_of(module: Any) -> list[str]:
    """The arguments that ``forward`` needs to give a loss, by name."""
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [p for p in inspect.signature(module.forward).parameters.values() if p.kind in plain]
    return [p.name for p in parameters if p.default is p.empty or p.name in ("input_ids", "labels")]
