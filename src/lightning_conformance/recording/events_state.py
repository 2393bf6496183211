"""What a module keeps from batch to batch: events of the instrument that looks at its attributes."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_conformance.recording.events import Place, Seen


@dataclass(frozen=True)
class Held(Seen):
    """What an attribute of the module held when a training or validation batch was over.

    Containers that are not empty are written down, and tensors that have a graph.

    Args:
        path: How the attribute is written, for example ``self.outputs`` or ``self.head.cache['features']``.
        kind: Type name of what it is: ``list``, ``dict``, ``deque``, ``Tensor``, ...
        length: Items of the container; 1 for a tensor.
        bound: The largest number of items that it takes (``deque(maxlen=...)``), where it has one.
        tensors: How many of the items are tensors, or hold one.
        graphs: How many of them have a graph.
        nodes: Size of the graph behind the newest of them, as far as it was followed.
        elements: Elements of the newest tensor among them that has a graph.
        place: The line that first assigns the attribute, where that can be told.
    """

    path: str
    kind: str
    length: int
    bound: int | None = None
    tensors: int = 0
    graphs: int = 0
    nodes: int = 0
    elements: int = 0
    place: Place | None = None


@dataclass(frozen=True)
class EarlierGraphReached(Seen):
    """The loss of a batch depends on a tensor that an attribute kept, with its graph, from an earlier batch.

    Args:
        path: How the attribute is written.
        of_batch: The batch and epoch in which it was kept, in words; empty where it was there before training.
        place: The line that first assigns the attribute, where that can be told.
    """

    path: str
    of_batch: str
    place: Place | None = None


@dataclass(frozen=True)
class ReturnedForLogger(Seen):
    """``training_step`` returned values under a key that Lightning before 1.0 handed to the logger.

    Args:
        key: ``log`` or ``progress_bar``.
        names: What stands under it.
    """

    key: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class CostlyCall(Seen):
    """A call, in a hook that runs for each batch, of something that is slow or belongs elsewhere.

    Args:
        name: What was called, for example ``torch.cuda.empty_cache``.
        place: The user's line; None where it is a setting that was made earlier.
    """

    name: str
    place: Place | None = None
