"""Watch processes that train together until each has ended, or it is clear that they never will."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from lightning_conformance.deadline import RunTimeout
from lightning_conformance.recording.events_ranks import Collective
from lightning_conformance.recording.model import LogCall, Recording
from lightning_conformance.recording.ranks.forking import Child

_POLL = 0.05
# Time to end by themselves, for those that can no longer go on together.
_GRACE = 1.0
_TO_ANSWER = 0.3


class Marks:
    """A number for each process that grows while it gets on, in memory that they share."""

    def __init__(self, ranks: int) -> None:
        self._memory = mmap.mmap(-1, 8 * ranks)
        self._ranks = ranks

    def move(self, rank: int) -> None:
        """A process got on."""
        (mark,) = struct.unpack_from("q", self._memory, 8 * rank)
        struct.pack_into("q", self._memory, 8 * rank, mark + 1)

    def read(self) -> tuple[int, ...]:
        """How far each is."""
        return struct.unpack_from(f"{self._ranks}q", self._memory)


@dataclass
class Story:
    """What is known of one process.

    Args:
        journal: The operations that it began in which all take part.
        logged: The calls of ``self.log``, the first of each name and line.
        recording: What it recorded; None where it did not come to that.
        turn: How many delivered their recording before.
        stack: Where it was when it was ended.
    """

    child: Child
    journal: list[Collective] = field(default_factory=list)
    logged: list[LogCall] = field(default_factory=list)
    recording: Recording | None = None
    turn: int = 0
    stack: str = ""
    hears: bool = True

    def take(self, thing: Any) -> None:
        """Something that it sent."""
        if isinstance(thing, Recording):
            self.recording = thing
        else:
            (self.logged if isinstance(thing, LogCall) else self.journal).append(thing)


@dataclass
class Watch:
    """Watches processes.

    Args:
        patience: Seconds without progress after which they wait for each other.
    """

    stories: Sequence[Story]
    marks: Marks
    patience: float
    stuck: bool = False
    timeout: RunTimeout | None = None

    def until_over(self) -> None:
        """Return when all have ended; those that would not are ended."""
        try:
            self._attend()
        except RunTimeout as error:
            self.timeout = error
            self._end_all()
        finally:
            for story in self.stories:
                story.child.kill()

    def _attend(self) -> None:
        last, since = self.marks.read(), time.monotonic()
        while not self._are_over():
            self._hear(_POLL)
            now = self.marks.read()
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > (_GRACE if self._is_hopeless() else self.patience):
                self.stuck = True
                self._end_all()
                return

    def _are_over(self) -> bool:
        """Whether each has delivered, or is gone with all that it sent."""
        return all(story.recording or (story.child.has_ended() and not story.hears) for story in self.stories)

    def _is_hopeless(self) -> bool:
        """Whether one waits for another in vain: that one does something else, or has ended."""
        if difference(self.stories) is not None:
            return True
        over = [len(s.journal) for s in self.stories if s.recording or s.child.has_ended()]
        return bool(over) and any(len(s.journal) > max(over) for s in self.stories if not s.recording)

    def _hear(self, seconds: float) -> None:
        hearing = {story.child.inbox: story for story in self.stories if story.hears}
        if not hearing:
            time.sleep(seconds)
        for inbox in wait(list(hearing), seconds):
            story = hearing[inbox]  # type: ignore[index]
            try:
                thing = story.child.inbox.recv()
            except (EOFError, OSError):
                story.hears = False
                continue
            if isinstance(thing, Recording):
                story.turn = sum(other.recording is not None for other in self.stories)
            story.take(thing)

    def _end_all(self) -> None:
        """Ask each where it is; then end them, the first one last: it tells what it saw when the others are gone."""
        for story in self.stories:
            story.child.ask_where()
        self._hear_for(_TO_ANSWER)
        for story in self.stories:
            story.stack = story.child.stack()
        for story in self.stories[1:]:
            story.hears = False
            story.child.kill()
        self._hear_for(_GRACE)

    def _hear_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._are_over():
            self._hear(_POLL)


def difference(stories: Sequence[Story]) -> int | None:
    """The first operation that is another one on some process; None where none is.

    Where others before it were asked for by different lines, the first of those: the ranks went apart there.
    """
    apart = None
    for index, calls in enumerate(zip(*(story.journal for story in stories), strict=False)):
        if apart is None and len({call.place for call in calls}) > 1:
            apart = index
        if len({call.operation for call in calls}) > 1:
            return index if apart is None else apart
    return None
