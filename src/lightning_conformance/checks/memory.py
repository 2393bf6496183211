"""Memory and speed: graphs are let go, and a step does nothing slow that belongs elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.state import graphs_that_stay, kept_place
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_operations import GraphKept
from lightning_conformance.recording.events_state import CostlyCall, Held
from lightning_conformance.recording.model import Place, Recording

_WAITS = "It makes every batch wait for the device"
_ADVICE = {
    "torch.cuda.empty_cache": (f"{_WAITS}, and frees nothing that is in use.", "Leave it out."),
    "torch.cuda.synchronize": (f"{_WAITS}.", "Leave it out."),
    "gc.collect": ("It looks at every object of the process.", "Leave it out, or call it once an epoch."),
    "DataLoader": (
        "Workers are started, and the data are shuffled anew, for each batch.",
        "Make it once, in setup or train_dataloader.",
    ),
    "torch.save": ("The training loop waits for the disk.", "Save in on_train_epoch_end, or use ModelCheckpoint."),
    "torch.load": ("The training loop waits for the disk.", "Load in setup."),
    "copy.deepcopy": ("A module is copied for each batch.", "Copy it once, in __init__ or setup."),
    "time.sleep": ("The training loop waits.", "Leave it out."),
    "torch.autograd.set_detect_anomaly": (
        "Every operation is checked for nan, and its line remembered: for debugging only.",
        "Leave it out, or use Trainer(detect_anomaly=True) while it is needed.",
    ),
    "print": ("Printing a tensor waits for the device, and the lines break the progress bar.", "self.log(...)"),
}


@check(family="memory", since="0.2.0", regimes=("train", "operations"))
def graph_is_released(train: Recording, operations: Recording) -> Iterator[Finding]:
    """What a step's backward pass needs is let go when the step is over.

    ## How it judges
    Counts the tensors that were saved for the backward pass of each step and are still there later, at the end of an
    epoch and at the end of the run.

    ## Why it matters
    All activations of a step stay in memory, step after step: a run that starts well ends with out of memory.

    ## Example
    ```python
    def on_train_start(self):
        self.probabilities = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.probabilities.append(scores.softmax(dim=-1))
        return F.cross_entropy(scores, y)
    ```

    ## Use instead
    ```python
    def on_train_start(self):
        self.probabilities = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.probabilities.append(scores.detach().softmax(dim=-1))
        return F.cross_entropy(scores, y)
    ```

    ## Legitimate exceptions
    Graphs that a later backward pass of manual optimization consumes are no leak. A graph that one attribute keeps
    until the next batch replaces it is not counted.
    """
    steps, lasting = graphs_that_stay(operations, train.automatic)
    if steps:
        yield _leak(train, steps, lasting)
    kept = [event for event in operations.all(GraphKept) if not event.used_again]
    used = {event.place for event in operations.all(GraphKept) if event.used_again}
    for place in dict.fromkeys(event.place for event in kept if event.place not in used):
        option = next(event.option for event in kept if event.place == place)
        times = sum(event.place == place for event in kept)
        yield Finding(
            f"a backward pass was given {option}=True in {count(times, 'batch', 'batches')}, and no other pass used "
            "the graph again.",
            "The graph is kept until nothing refers to the loss any more: more memory, for nothing.",
            f"Leave {option}=True out.",
            place,
            "advice",
        )


def _leak(train: Recording, steps: int, lasting: bool) -> Finding:
    name, place = _holder(train)
    kept = f"Outputs are kept with their graphs{f' in `{name}`' if name else ''}, and the activations with them"
    until = "are still in memory at the end of the run" if lasting else "are in memory at once, until the epoch ends"
    return Finding(
        f"the tensors saved for the backward passes of {count(steps, 'step')} {until}.",
        f"{kept}." if lasting else f"{kept}; an epoch may have thousands of batches.",
        f"{name or 'self.kept'}.append(value.detach())",
        place or train.method_place("training_step"),
        "error" if lasting else "warning",
    )


def _holder(train: Recording) -> tuple[str, Place | None]:
    """The attribute that holds the largest number of graphs, and the line that adds to it."""
    held = [event for event in train.all(Held) if event.graphs and event.at.stage == "train"]
    most = max(held, key=lambda event: (event.graphs, event.nodes), default=None)
    if most is None:
        return "", None
    return most.path, kept_place(train, most.path) or most.place


@check(family="memory", severity="advice", since="0.2.0")
def step_is_cheap(recording: Recording) -> Iterator[Finding]:
    """A training step does nothing slow that belongs elsewhere.

    ## How it judges
    Counts calls inside `training_step`, and other hooks that run for each batch, that empty caches, collect garbage,
    write or read files, make a DataLoader, copy a module, wait, or print.

    ## Why it matters
    It is done for every batch; the device waits.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        torch.cuda.empty_cache()
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    A call in every hundredth batch may be right; what is called in fewer than half of the batches is not reported.
    """
    calls = list(recording.all(CostlyCall))
    for key in dict.fromkeys((call.name, call.place) for call in calls):
        name, place = key
        batches = {(call.at.epoch, call.at.batch) for call in calls if (call.name, call.place) == key}
        if 2 * len(batches) > len(recording.steps):
            cause, fix = _ADVICE[name]
            done = "called" if place is not None else "on"
            message = f"`{name}` was {done} in {len(batches)} of {count(len(recording.steps), 'step')}."
            place = place or find_call(recording, list(recording.methods), {name.rpartition(".")[2]})
            yield Finding(message, cause, fix, place, "advice")
