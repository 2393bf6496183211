"""The parts of a batch of graphs, by the names that graph libraries give them."""

from __future__ import annotations

from collections.abc import Collection

from lightning_conformance.subjects.batch_nodes import BatchSizeSpec, LiteralSpec, Node, TensorSpec
from lightning_conformance.subjects.inference.words import meaning_of

NODES, EDGES, FEATURES = 23, 53, 8  # primes, where they must not pass for a multiple of the batch size
_OF_GRAPHS = frozenset(("batch", "num_graphs", "batch_size"))
_MASKS = ("train_mask", "val_mask", "test_mask")


def graph_leaves(names: Collection[str]) -> dict[str, Node]:
    """What the parts of a batch of graphs are, as far as their names tell: nodes, edges, counts.

    All graphs of a batch are one: the first dimension of what belongs to nodes counts nodes, and ``batch``
    says which graph a node is of. Numbers of features and classes are yet to be found.

    Args:
        names: The attributes or keys that the module uses.

    Returns:
        Nothing where none of them holds edges.
    """
    if not any(meaning_of(name) == "edges" for name in names):
        return {}
    is_of_graphs = bool(_OF_GRAPHS & set(names)) and not set(_MASKS) & set(names)
    known: dict[str, Node] = {
        "x": TensorSpec((NODES, FEATURES)),
        "pos": TensorSpec((NODES, 3)),
        "z": TensorSpec((NODES,), "int", 0, 2),
        "edge_index": TensorSpec((2, EDGES), "int", 0, NODES),
        "edge_label_index": TensorSpec((2, EDGES), "int", 0, NODES),
        "edge_attr": TensorSpec((EDGES, FEATURES)),
        "edge_weight": TensorSpec((EDGES,), "float", 0.1, 1.0),
        "edge_type": TensorSpec((EDGES,), "int", 0, 2),
        "edge_label": TensorSpec((EDGES,), "float", 0, 2, whole=True),
        "batch": TensorSpec((NODES,), "int", below_batch=True, form="rising"),
        "y": TensorSpec(("B",) if is_of_graphs else (NODES,)),
        **{mask: TensorSpec((NODES,), "bool") for mask in _MASKS},
        "num_graphs": BatchSizeSpec(),
        "batch_size": BatchSizeSpec(),
        "num_nodes": LiteralSpec(NODES),
        "num_edges": LiteralSpec(EDGES),
    }
    return {name: known[name] for name in names if name in known}
