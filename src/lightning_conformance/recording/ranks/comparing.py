"""What several processes saw, as one recording: that of the first, with what sets them apart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lightning_conformance.recording.events_ranks import (
    Collective,
    CollectivesDiffer,
    End,
    MetricDiffers,
    ParametersDiffer,
    RankEnded,
    RankState,
    WrittenEverywhere,
)
from lightning_conformance.recording.model import Failure, Moment, Place, Recording, Seen
from lightning_conformance.recording.places import Places, method_sources, source_files
from lightning_conformance.recording.ranks.stacks import place_in
from lightning_conformance.recording.ranks.watching import Story, Watch, difference

if TYPE_CHECKING:
    from lightning_conformance.recording.setup import Setup

# What a rank says when another one has left, or did something else in its place.
_LOST = re.compile(r"(?i)gloo|connection (?:closed|reset|refused)|broken pipe|enforce fail|timed out waiting")


def as_one(watch: Watch, setup: Setup, blank: Recording) -> Recording:
    """The recording of the first process that made one, without what only the comparison needs."""
    stories = watch.stories
    places = Places(source_files(setup.subject.sample))
    base = next((story.recording for story in stories if story.recording), None) or replace(
        blank, methods=method_sources(setup.subject.sample), user_files=tuple(places.user_files), settled=setup.settled
    )
    at = base.tape[-1].at if base.tape else Moment("start", 0, -1, "")
    ends = [_end(rank, story, at, places) for rank, story in enumerate(stories)]
    differ = _collectives(watch, ends, at)
    ends = _with_primary(ends, stories, differ)
    events: list[Seen] = [*([differ] if differ else []), *ends]
    if all(end.how == "completed" for end in ends):
        events += _differences([next(story.recording.all(RankState)) for story in stories if story.recording])
    tape = (*(event for event in base.tape if not isinstance(event, RankState)), *events)
    return replace(base, tape=tape, failure=_failure(watch, ends, differ, base))


def _end(rank: int, story: Story, at: Moment, places: Places) -> RankEnded:
    recording, last = story.recording, story.journal[-1] if story.journal else None
    asked = place_in(story.stack, places)
    if recording is not None:
        failure = recording.failure
        if failure is None:
            return RankEnded(at, rank, "completed")
        is_lost = bool(_LOST.search(failure.message))
        how: End = "waiting" if is_lost else "failed"
        waits = last.operation if is_lost and last else ""
        return RankEnded(at, rank, how, failure, failure.place or (asked if is_lost else None), waits)
    if story.child.was_killed:
        return RankEnded(at, rank, "waiting", None, asked, last.operation if last else "")
    return RankEnded(at, rank, "died", exit=story.child.exit, place=None)


def _collectives(watch: Watch, ends: Sequence[RankEnded], at: Moment) -> CollectivesDiffer | None:
    """The first operation that was not the same on all ranks."""
    stories, index = watch.stories, difference(watch.stories)
    if index is None:
        lengths = [len(story.journal) for story in stories]
        alone = len(set(lengths)) > 1 and any(end.how == "waiting" for end in ends)
        # Who is gone takes part in nothing: that is not for want of a call.
        if not alone or any(end.how in ("failed", "died") for end in ends) or watch.timeout:
            return None
        index = min(lengths)
    calls: list[Collective | None] = [s.journal[index] if index < len(s.journal) else None for s in stories]
    logs = [{(log.name, log.place) for log in story.logged if log.place} for story in stories]
    common = set.intersection(*logs)
    apart = sorted((log for log in set.union(*logs) - common), key=lambda log: (log[1].file, log[1].line, log[0]))
    return CollectivesDiffer(at, index, tuple(calls), tuple(apart))


def _with_primary(ends: list[RankEnded], stories: Sequence[Story], differ: CollectivesDiffer | None) -> list[RankEnded]:
    """Mark the end that is the reason of the others', where one is."""
    if differ is not None:
        return ends
    failed = sorted((end for end in ends if end.how == "failed"), key=lambda end: stories[end.rank].turn)
    first = next(iter(failed), None) or next((end for end in ends if end.how == "died"), None)
    return [replace(end, primary=end is first) for end in ends]


def _differences(states: Sequence[RankState]) -> Iterator[Seen]:
    """Parameters, metrics and files in which the ranks differ, or do not where they should."""
    first, others = states[0], states[1:]
    names = [name for name in first.parameters if all(name in other.parameters for other in others)]
    differing = [name for name in names if any(o.parameters[name] != first.parameters[name] for o in others)]
    if differing:
        yield ParametersDiffer(first.at, tuple(differing), len(names))
    for name, value in first.metrics.items():
        values = (value, *(other.metrics[name] for other in others if name in other.metrics))
        if len(values) == len(states) and not all(_same(value, other) for other in values):
            yield MetricDiffers(first.at, name, values)
    for (what, place), times in first.written.items():
        if all((what, place) in other.written for other in others):
            yield WrittenEverywhere(first.at, what, times, place)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8) or (math.isnan(one) and math.isnan(other))


def _failure(
    watch: Watch, ends: Sequence[RankEnded], differ: CollectivesDiffer | None, base: Recording
) -> Failure | None:
    """What ended the run, in the words of the rank that is the reason."""
    if all(end.how == "completed" for end in ends):
        return None
    primary = next((end for end in ends if end.primary), None)
    if differ is None and primary is not None and primary.failure is not None:
        return _told_of(primary, ends)
    at = base.failure.at if base.failure else None
    if differ is None and primary is not None:
        return Failure("fit", "ProcessDied", f"the process of rank {primary.rank} ended with {primary.exit}", at=at)
    where = "; ".join(f"rank {end.rank} {_doing(end, watch)}" for end in ends)
    called = [call.place for call in differ.calls if call] if differ else []
    logged = [place for _, place in differ.logged] if differ else []
    place = next(filter(None, (*called, *logged)), None)
    place = place or next((end.place for end in ends if end.place), None)
    if watch.timeout is not None:
        return Failure("timeout", "RunTimeout", f"{watch.timeout}: {where}", place=place)
    return Failure("fit", "RanksWait", f"the processes wait for each other: {where}", place=place)


def _told_of(primary: RankEnded, ends: Sequence[RankEnded]) -> Failure:
    failure = primary.failure
    assert failure is not None
    if all(end.failure and end.failure.message == failure.message for end in ends):
        return failure
    return replace(failure, message=f"{failure.message} (on rank {primary.rank} alone)")


def _doing(end: RankEnded, watch: Watch) -> str:
    if end.how == "completed":
        return "has ended"
    what = f"waits in {end.waits}" if end.waits else "waits"
    return f"{what}{_at(end.place)}"


def _at(place: Place | None) -> str:
    return f" at {place}" if place else ""
