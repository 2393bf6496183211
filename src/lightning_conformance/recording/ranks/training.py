"""Train on several processes, once or twice, and make one recording of it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.lightning_api import become_rank
from lightning_conformance.recording.events_ranks import GRADIENTS, CollectivesDiffer, ParametersUnused, RankState
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.fit import record_fit
from lightning_conformance.recording.model import Recording
from lightning_conformance.recording.ranks.comparing import as_one
from lightning_conformance.recording.ranks.forking import Child
from lightning_conformance.recording.ranks.watching import Marks, Story, Watch
from lightning_conformance.recording.setup import Rank, Setup

_UNUSED = re.compile(r"parameters that were not used in producing|Expected to have finished reduction in the prior")


# What DDP says of modules that it does not train, and what that means.
_REFUSED = (
    (r"doesn't have any parameter that requires a gradient", "DDP has no gradients to average: no parameter has one"),
    (
        r"uninitialized parameters can't be used",
        "DDP needs every parameter before training: lazy layers want a forward pass in configure_model or __init__",
    ),
)


def record_on_ranks(setup: Setup, blank: Recording) -> Recording:
    """Train on the environment's processes; the recording is that of the first, with what sets them apart.

    Where parameters without a gradient stop the run, it is made again with a strategy that looks for them.

    Args:
        blank: What is known before the run.

    Raises:
        SubjectError: The module cannot be built.
    """
    stories, recording = _train(setup, blank)
    failure = recording.failure
    for pattern, reason in _REFUSED:
        if failure is not None and re.search(pattern, failure.message):
            return replace(recording, failure=None, inapplicable=reason)
    if setup.settled.find_unused or not _may_be_unused(recording):
        return recording
    again, second = _train(replace(setup, settled=replace(setup.settled, find_unused=True)), blank)
    if second.failure is not None and not _UNUSED.search(failure.message if failure else ""):
        return recording
    recorded = [story.recording for story in again if story.recording]
    never = {p.name for p in second.trainable if p.gradient == "none"}
    for other in recorded:
        never &= {p.name for p in other.trainable if p.gradient == "none"}
    names = {name for story in stories for state in _states(story) for name in state.unused} or _left_out(recorded)
    order = [p.name for p in second.parameters if p.name in names | never]
    at = failure.at if failure and failure.at else second.tape[-1].at
    event = ParametersUnused(at, tuple(order), tuple(name for name in order if name in never))
    return replace(second, tape=(*second.tape, event))


def _may_be_unused(recording: Recording) -> bool:
    """Whether DDP says so, or a rank without a gradient went on while another one waits for it."""
    differ = next(recording.all(CollectivesDiffer), None)
    if differ is not None:
        calls = [call for call in differ.calls if call and call.place is None]
        return len(calls) == len(differ.calls) and any(call.operation == GRADIENTS for call in calls)
    return recording.failure is not None and bool(_UNUSED.search(recording.failure.message))


def _left_out(recordings: list[Recording]) -> set[str]:
    """Trainable parameters that the loss of some step does not reach."""
    return {
        p.name
        for recording in recordings
        for p in recording.trainable
        if any(step.loss and p.name not in step.reaches for step in recording.steps)
    }


def _states(story: Story) -> list[RankState]:
    return list(story.recording.all(RankState)) if story.recording else []


def _train(setup: Setup, blank: Recording) -> tuple[list[Story], Recording]:
    # What cannot be built is said here, as in any other environment.
    setup.build()
    ranks = setup.environment.ranks
    with tempfile.TemporaryDirectory(prefix="lightning-conformance-") as name:
        marks, stories = Marks(ranks), list[Story]()
        watch = Watch(stories, marks, getattr(setup.environment, "patience", 10.0))
        sys.stdout.flush()
        try:
            for number in range(ranks):
                folder = Path(name, f"rank-{number}")
                folder.mkdir()
                stories.append(Story(Child(_rank(setup, blank, number, Path(name), marks), folder)))
            watch.until_over()
        finally:
            for story in stories:
                story.child.kill()
        return stories, as_one(watch, setup, blank)


def _rank(setup: Setup, blank: Recording, number: int, folder: Path, marks: Marks) -> Callable[[Any], None]:
    def run(send: Callable[[Any], None]) -> None:
        # Before anything is computed: the threads of OpenMP did not come along.
        torch.set_num_threads(1)
        shared = folder / "shared"
        shared.mkdir(exist_ok=True)
        # What a launcher sets; nothing listens on the port.
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29500", WORLD_SIZE=str(setup.environment.ranks))
        os.environ.update(NODE_RANK="0", LOCAL_RANK=str(number))
        os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
        become_rank(number)
        rank = Rank(number, shared, send, lambda: marks.move(number))
        here = replace(setup, rank=rank, plan=replace(setup.plan, rank=number))
        try:
            send(record_fit(here, blank))
        except BaseException as error:
            send(replace(blank, failure=failure_of(error, stage="construct")))

    return run
