"""Ranks that wait for each other, stop alone, or die."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.distributed import ends
from lightning_conformance.checks.ranks_source import rank_condition
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, step_methods
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.recording.events_ranks import GRADIENTS, CollectivesDiffer, RankEnded
from lightning_conformance.recording.model import Place, Recording

_NONE_RETURNED = re.compile(r"Skipping the `training_step` by returning None in distributed")


@check(family="distributed", explains_crash=True, needs_steps=False)
def collectives_run_on_every_rank(recording: Recording) -> Iterator[Finding]:
    """What needs all ranks is called on all ranks, in one order.

    ## How it judges
    Trains on two processes, and notes each operation in which all take part: `all_gather`, `all_reduce`, `broadcast`,
    `barrier`, whoever calls it, and DDP's averaging of gradients. Where the ranks go apart, the run is ended.

    ## Why it matters
    The ranks wait for each other, for half an hour with the usual time limit, and the error names no line.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        if self.trainer.is_global_zero:
            print(self.all_gather(loss.detach()).mean())
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        mean = self.all_gather(loss.detach()).mean()
        if self.trainer.is_global_zero:
            print(mean)
        return loss
    ```

    ## Legitimate exceptions
    Which of two ranks is wrong cannot be told; both lines are given. `send` and `recv` are not looked at.
    """
    for end in ends(recording):
        if end.how == "waiting" and not end.primary and not any(recording.all(CollectivesDiffer)):
            yield from _waits(recording)
            return
    for differ in recording.all(CollectivesDiffer):
        yield _apart(recording, differ)


def _waits(recording: Recording) -> Iterator[Finding]:
    """All wait, and what they called was the same: for something that is not seen here, or for one that ran on."""
    found = ends(recording)
    if any(end.primary for end in found) or (recording.failure and recording.failure.stage == "timeout"):
        return
    doing = "; ".join(f"rank {end.rank} {'in ' + end.waits if end.waits else ''} at {end.place}" for end in found)
    place = rank_condition(recording) or next((end.place for end in found if end.place), None)
    yield Finding(
        f"the ranks wait for each other: {doing}.",
        "One rank waits for what another one never does.",
        "Let every rank do the same, or wait with self.trainer.strategy.barrier() on all of them.",
        place,
    )


def _apart(recording: Recording, differ: CollectivesDiffer) -> Finding:
    places = {end.rank: end.place for end in ends(recording)}

    def doing(rank: int) -> str:
        call, at = differ.calls[rank], places.get(rank)
        if call is None:
            return f"rank {rank} calls nothing more{f' (line {at.line})' if at else ''}"
        what = "averages the gradients" if call.operation == GRADIENTS else f"calls {call.operation}"
        return f"rank {rank} {what}{f' (line {call.place.line})' if call.place else ''}"

    own = next((call.place for call in differ.calls if call and call.place), None)
    logged = next(iter(differ.logged), None)
    cause = "Operations in which all ranks take part must be called by all of them, in one order."
    fix = "Call it outside of the condition, on every rank; keep `if rank == 0` for what needs no other rank."
    if own is None and logged is not None:
        cause = f"`{logged[0]}` is logged on some ranks only, and Lightning reduces it over all of them."
        fix = f'self.log("{logged[0]}", value, rank_zero_only=True), or log it on every rank with sync_dist=True'
    called = own.source.strip().partition("#")[0].strip() if own else ""
    elsewhere = next((places.get(rank) for rank, call in enumerate(differ.calls) if call is None), None)
    message = "; ".join(doing(rank) for rank in range(len(differ.calls)))
    return Finding(
        f"the ranks go apart: {message}{f'. `{called}`' if called else ''}",
        cause,
        fix,
        own or (logged[1] if logged else elsewhere or rank_condition(recording)),
    )


@check(family="distributed", explains_crash=True, needs_steps=False)
def every_rank_trains(recording: Recording) -> Iterator[Finding]:
    """Each rank gets to the end of training, whatever batches it has.

    ## How it judges
    Trains on two processes, and looks for one that stops where others would go on: an exception on one rank alone, a
    process that died, and a `training_step` that returns None, which is not supported where several processes train.

    ## Why it matters
    The others wait for it, and the error that is read in the end is theirs: "Connection closed by peer".

    ## Example
    ```python
    def prepare_data(self):
        self.scale = 0.5  # runs in one process

    def forward(self, x):
        return self.net(self.scale * x)
    ```

    ## Use instead
    ```python
    def setup(self, stage):
        self.scale = 0.5  # runs in each

    def forward(self, x):
        return self.net(self.scale * x)
    ```

    ## Legitimate exceptions
    A rank that only waits for the one that failed is not named.
    """
    found = ends(recording)
    for end in found:
        failure = end.failure
        if failure is not None and _NONE_RETURNED.search(failure.message) and end.primary:
            where = f", {failure.at.where}" if failure.at else ""
            yield Finding(
                f"training_step returned None on rank {end.rank}{where}: not supported where several processes train.",
                "Each backward pass averages gradients over all ranks, and those of this one are missing.",
                "return loss * 0.0  # for a batch that shall not count, or leave it out of the dataset",
                _none_place(recording) or recording.method_place("training_step"),
            )
        elif end.primary and end.how == "died":
            yield Finding(
                f"the process of rank {end.rank} died: {end.exit}.",
                "Something ended it without an exception.",
                "Leave ending the process to Lightning: self.trainer.should_stop = True",
                find_call(recording, list(recording.methods), {"_exit", "kill", "abort", "exit"}),
            )
        elif end.primary and failure is not None and not _all_failed_so(found):
            yield _alone(recording, end)


def _none_place(recording: Recording) -> Place | None:
    """Where a step returns nothing."""
    for name in step_methods(recording):
        method = recording.methods[name]
        for number, line in enumerate(method.text.splitlines()):
            if re.search(r"^\s*return(?:\s+None)?\s*(?:#.*)?$", line):
                return Place(method.place.file, method.place.line + number, method.place.function, line)
    return None


def _all_failed_so(found: list[RankEnded]) -> bool:
    said = [(end.failure.type, end.failure.message) for end in found if end.failure]
    return len(said) == len(found) and len(set(said)) == 1


def _alone(recording: Recording, end: RankEnded) -> Finding:
    failure = end.failure
    assert failure is not None
    missing = re.search(r"has no attribute '(\w+)'", failure.message)
    prepare = recording.methods.get("prepare_data")
    prepared = bool(missing and prepare and re.search(rf"self\.{missing[1]}\b", prepare.text))
    return Finding(
        f"rank {end.rank} alone stopped: {failure.type}: {failure.message}",
        f"prepare_data runs in one process: the others have no `self.{missing[1]}`."
        if prepared and missing
        else "What it computes depends on its rank, or on batches that the others do not have.",
        "Assign it in setup(self, stage), which runs in every process." if prepared else "",
        end.place or rank_condition(recording),
        detail=failure.traceback,
    )
