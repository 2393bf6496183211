"""What the module keeps from batch to batch: nothing of an earlier batch's graph, and nothing that only grows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_attribute_assignment, line_of, method_tree, step_methods
from lightning_conformance.checks.verdict import Finding, NotApplicable, Severity
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_operations import GraphsAlive
from lightning_conformance.recording.events_state import EarlierGraphReached, Held
from lightning_conformance.recording.model import BackwardRan, HookCalled, Place, Recording

_BOUNDING = re.compile(r"\.(?:pop|popleft|popitem)\(|\blen\(|%|\[-|\bdel\b|maxlen")
_ADDING = ("append", "extend", "add", "update", "insert", "appendleft", "setdefault")


@check(family="loss", since="0.2.0", explains_crash=True, caused_by=("parameters_are_registered",))
def loss_is_of_this_batch(recording: Recording) -> Iterator[Finding]:
    """The loss of a batch depends on this batch's graph alone.

    ## How it judges
    Looks whether the loss of a batch reaches a graph that an attribute has kept from an earlier batch.

    ## Why it matters
    The backward pass of the earlier batch has freed its graph: the second batch raises an error. With
    `retain_graph=True` it runs, slower with every batch, until memory is used up.

    ## Example
    ```python
    def on_train_start(self):
        self.smooth = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.smooth = 0.9 * self.smooth + 0.1 * loss
        return self.smooth
    ```

    ## Use instead
    ```python
    def on_train_start(self):
        self.smooth = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.smooth = 0.9 * self.smooth + 0.1 * loss.detach()
        return loss
    ```

    ## Legitimate exceptions
    Manual optimization may sum losses over several batches and differentiate them once; it is judged only where
    the run fails of it. A graph that is kept in another object than the module is not seen.
    """
    reached = list(recording.all(EarlierGraphReached))
    failed = recording.failure is not None and "second time" in recording.failure.message
    if not recording.automatic and not failed:
        if reached:
            raise NotApplicable("manual optimization, which may sum losses over batches")
        return
    own = any(b.in_training_step and b.of_returned_loss for b in recording.all(BackwardRan))
    for path in dict.fromkeys(event.path for event in reached if not own):
        first = next(event for event in reached if event.path == path)
        yield _carried(recording, first) if first.of_batch else _computed_once(recording, first)


def _carried(recording: Recording, first: EarlierGraphReached) -> Finding:
    path = first.path
    return Finding(
        f"the loss of {first.at.where} depends on `{path}`, which {first.of_batch} left with its graph.",
        "An attribute carries the graph from batch to batch, and the backward pass of the earlier batch has freed it: "
        "Lightning runs one backward pass for each batch.",
        _how_to_cut(recording, path),
        kept_place(recording, path) or first.place,
    )


def _computed_once(recording: Recording, first: EarlierGraphReached) -> Finding:
    return Finding(
        f"the loss of {first.at.where} depends on `{first.path}`, which was computed before training and has a graph.",
        "It was computed from parameters once; each batch differentiates the same graph again, and the first backward "
        "pass has freed it.",
        f"Compute it in training_step, or keep the parameter itself: {first.path} = nn.Parameter(...)",
        first.place or kept_place(recording, first.path),
    )


def _how_to_cut(recording: Recording, path: str) -> str:
    place = kept_place(recording, path)
    line = place.source.strip() if place else ""
    if attribute_of(path) in re.findall(r"self\.(\w+)", line.partition("=")[2]) and "," not in line.partition("=")[0]:
        return f"{path} = (...).detach()  # return the loss of this batch alone"
    return f"{path} = ....detach()  # keep the value across batches, not its graph"


def attribute_of(path: str) -> str:
    """The attribute that a path such as ``self.head.cache['x']`` begins with, without its owner."""
    return path.removeprefix("self.").partition("[")[0].rpartition(".")[2]


def kept_place(recording: Recording, path: str) -> Place | None:
    """The line, outside of ``__init__``, that assigns an attribute or adds to it."""
    steps, name = step_methods(recording), attribute_of(path)
    others = [each for each in recording.methods if each not in (*steps, "__init__", "setup", "configure_optimizers")]
    for method in (*steps, *others):
        place = find_attribute_assignment(recording, [method], {name}) or _added_to(recording, name, method)
        if place is not None:
            return place
    return None


def _added_to(recording: Recording, attribute: str, method: str) -> Place | None:
    """The first line of a method that adds to a container among the attributes of ``self``."""
    tree = method_tree(recording.methods[method])
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, (ast.Call, ast.Assign, ast.AugAssign)) and _adds(node, attribute):
            return line_of(recording.methods[method], node)
    return None


def _adds(node: ast.Call | ast.Assign | ast.AugAssign, attribute: str) -> bool:
    if isinstance(node, ast.Call):
        function = node.func
        adding = isinstance(function, ast.Attribute) and function.attr in _ADDING
        return adding and f"self.{attribute}" in _with_dot(ast.unparse(function))
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        (isinstance(node, ast.AugAssign) or isinstance(target, ast.Subscript))
        and _with_dot(ast.unparse(target)).startswith((f"self.{attribute}.", f"self.{attribute}["))
        for target in targets
    )


def _with_dot(text: str) -> str:
    return f"{text}."


@check(family="memory", since="0.2.0", regimes=("train", "operations"))
def containers_do_not_grow(recording: Recording, operations: Recording) -> Iterator[Finding]:
    """Nothing that the module keeps while it trains grows with every batch.

    ## How it judges
    Looks at the lists, dicts and other containers among the module's attributes, and at tensors that have a graph,
    after each training batch. One that grows in every batch and is not emptied between epochs is reported: as an
    error where it holds outputs with their graphs, as a warning where it holds losses with theirs, as advice where it
    holds tensors alone or is emptied when the epoch ends.

    ## Why it matters
    A tensor with a graph keeps everything that was needed to compute it; a run of a million batches keeps a million
    of them, until memory is used up.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.scores = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.scores.append(scores)
        return F.cross_entropy(scores, y)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.scores = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.scores.append(scores.max().item())
        return F.cross_entropy(scores, y)
    ```

    ## Legitimate exceptions
    A container that the code keeps short (`deque(maxlen=...)`, `pop`, a comparison of its length) is left alone. Plain
    numbers are, too. What grows in validation alone is a matter of its metric; what keeps activations is reported by
    `graph_is_released`.
    """
    trained = [event for event in recording.all(Held) if event.at.stage == "train"]
    epochs = len({step.at.epoch for step in recording.steps})
    if len(recording.steps) < 3:
        raise NotApplicable("fewer than three batches were trained on")
    if graphs_that_stay(operations, recording.automatic)[0]:
        trained = [event for event in trained if not event.graphs]
    for path in dict.fromkeys(event.path for event in trained):
        seen = [event for event in trained if event.path == path]
        found = _growing(recording, path, seen, epochs)
        if found is not None:
            yield found


def graphs_that_stay(operations: Recording, automatic: bool) -> tuple[int, bool]:
    """Of how many steps the activations are in memory at once, and whether they are still there in the end.

    Returns:
        Zero where each step's activations are let go, or where a later backward pass may need them.
    """
    seen = list(operations.all(GraphsAlive))
    if not seen:
        return 0, False
    steps = len(seen[-1].saved)
    lasting = sum(1 for alive in seen[-1].saved if alive)
    if lasting >= max(3, steps - 2):
        return lasting, True
    ends = {event.at.epoch: event for event in seen if event.at.stage == "train"}
    peak = max((sum(1 for alive in event.saved if alive) for event in ends.values()), default=0)
    in_epoch = steps // max(1, len(ends))
    return (peak, False) if automatic and peak >= max(3, in_epoch - 1) else (0, False)


def _growing(recording: Recording, path: str, seen: list[Held], epochs: int) -> Finding | None:
    last, batches = seen[-1], len({(step.at.epoch, step.at.batch) for step in recording.steps})
    place = kept_place(recording, path) or last.place or recording.method_place("training_step")
    if last.kind == "Tensor" or last.kind == "Parameter":
        nodes = [event.nodes for event in seen]
        if len(seen) < batches - 1 or not all(b > a for a, b in pairwise(nodes)):
            return None
        return Finding(
            f"the graph behind `{path}` grew from {nodes[0]} to {count(nodes[-1], 'node')} in "
            f"{count(len(seen), 'batch', 'batches')}.",
            "Every batch's loss or output is added to it with its graph, and nothing frees it.",
            f"{path} += loss.detach()",
            place,
            "warning",
        )
    lengths = [event.length for event in seen]
    grew = all(b > a for a, b in pairwise(lengths)) and len(seen) >= batches - 1
    if last.graphs and not grew and _grows_within_epochs(seen) and recording.automatic:
        return Finding(
            f"`{path}` keeps the graphs of all batches of an epoch: {count(max(lengths), 'item')} with "
            f"a graph of {count(last.nodes, 'node')}.",
            "The items are kept with their graphs until the epoch ends; an epoch may have thousands of batches.",
            f"{path}.append(value.detach())",
            place,
            "advice",
        )
    if not grew or epochs < 2 or last.bound or not last.tensors or kept_short(recording, attribute_of(path)):
        return None
    with_graph = "each with its graph" if last.graphs else "tensors that are never let go"
    return Finding(
        f"`{path}` held {count(lengths[0], 'item')} after {seen[0].at.where} and {lengths[-1]} after "
        f"{last.at.where}: {with_graph}.",
        "It is added to in every batch, and nothing empties it.",
        f"{path}.append(value.item())  # or .detach(), and {path}.clear() in on_train_epoch_end",
        place,
        _level(last),
    )


def _level(held: Held) -> Severity:
    """A graph keeps what it was computed from, and an output with one is large itself."""
    if not held.graphs:
        return "advice"
    return "error" if held.elements > 1 else "warning"


def _grows_within_epochs(seen: list[Held]) -> bool:
    epochs = {event.at.epoch for event in seen}
    each = [[event.graphs for event in seen if event.at.epoch == epoch] for epoch in epochs]
    return all(len(one) > 2 and all(b > a for a, b in pairwise(one)) for one in each)


def kept_short(recording: Recording, attribute: str) -> bool:
    """Whether a method that may run keeps the container short, or empties it now and then."""
    ran = {hook.name for hook in recording.all(HookCalled)} | set(step_methods(recording))
    mentioned = rf"self\.{attribute}\b"
    emptied = rf"{mentioned}\.clear\(|{mentioned}(?::[^=]+)?\s*=[^=]"
    for name, method in recording.methods.items():
        if name == "__init__" or not re.search(mentioned, method.text):
            continue
        lines = [line for line in method.text.splitlines() if re.search(mentioned, line)]
        if any(_BOUNDING.search(line) for line in lines):
            return True
        if name in ran and any(re.search(emptied, line) for line in lines):
            return True
    return False
