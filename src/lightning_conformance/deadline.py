"""End what does not end by itself, without taking the process along."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# An exception is thrown again after this many seconds: a bare `except:` in the user's loop swallows the first.
_AGAIN = 2.0
# A second in which the thread got no turn, or slept, counts this much.
_OF_WAITING = 1 / 3
# The same, where a loop is known to swallow them.
_AT_ONCE = 0.01
# So many lines ahead such a loop is awaited at most.
_LINES = 12
_OWN_FILES = (__file__, contextlib.__file__)


class RunTimeout(BaseException):
    """A run took longer than it may. No ``Exception``, so that the user's ``except Exception`` does not hold it."""


class _Counted(threading.local):
    """What :func:`patient_time` knows of a thread."""

    def __init__(self) -> None:
        self.total, self.wall, self.own = 0.0, time.monotonic(), time.thread_time()


_counted = _Counted()


def patient_time() -> float:
    """Seconds that this thread has worked; those that it waited count a third.

    Where others keep the machine busy, what is limited by it gets as far as on an idle one.
    """
    wall, own = time.monotonic(), time.thread_time()
    _counted.total += max(own - _counted.own, (wall - _counted.wall) * _OF_WAITING)
    _counted.wall, _counted.own = wall, own
    return _counted.total


@contextmanager
def deadline(
    seconds: float | None,
    error: type[BaseException] = RunTimeout,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Raise ``error`` in the calling thread when the time is up.

    A signal is used where it can be (it also interrupts blocking calls such as ``time.sleep``), unless
    somebody else's timer is already running; else an exception sent to the thread, which Python delivers
    at its next bytecode. Deadlines may stand inside each other.

    Args:
        seconds: Time until then; None or 0 means no limit.
        error: What to raise; no ``Exception`` should be.
        clock: Counts the seconds, no faster than ``time.monotonic``; used where a signal is.
    """
    if not seconds:
        yield
        return
    told = _told(error, seconds)
    with _by_signal(seconds, told, clock) if _signal_is_free() else _by_thread(seconds, told):
        yield


def _told(error: type[BaseException], seconds: float) -> type[BaseException]:
    """The class with its message: a thread can only be sent a class."""
    return type(error.__name__, (error,), {"__str__": lambda self: f"it took longer than {seconds:g} seconds"})


def _signal_is_free() -> bool:
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or not hasattr(signal, "setitimer"):
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0.0 or isinstance(signal.getsignal(signal.SIGALRM), _Ring)


class _Pursuit:
    """Says when to throw: at once, and soon again as long as the frame is still there that held what was thrown.

    That frame is caught as it goes on to its next line: inside a handler, outside the `try` that holds everything;
    where that does not help, at the second, the third, as handlers may stand inside another `try`. An exception that
    is thrown at some moment would nearly always find it inside.
    """

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self._struck: set[FrameType] = set()
        self._holding: FrameType | None = None
        self._tracer_before: tuple[Any] | None = None
        self._snares = 0

    def strike(self, frame: FrameType | None) -> tuple[bool, float]:
        """Whether to throw into the stack of this frame now, and when to come back."""
        if _is_ours(frame):
            return False, _AT_ONCE
        stack = list(_stack(frame))
        if self._holding is not None and self._holding not in stack:
            # It got out of the loop: what is cleaned up now is given time.
            self._holding, self._struck = None, set(stack)
            return False, _AGAIN
        if self._holding is None:
            self._holding = next((f for f in stack if f in self._struck), None)
            self._struck = set(stack)
        return True, _AGAIN if self._holding is None else _AT_ONCE

    def set_snare(self) -> None:
        """Have the frame that holds what is thrown, of this thread, throw at one of its next lines."""
        holding = self._holding
        if holding is None:
            return
        if self._tracer_before is None:
            self._tracer_before = (sys.gettrace(),)
        self._snares = self._snares % _LINES + 1
        error, lines = self.error, iter(range(1, self._snares))

        def at_line(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line" and next(lines, None) is None:
                raise error
            return at_line

        holding.f_trace = at_line
        sys.settrace(lambda frame, event, _: None)

    def end(self) -> None:
        """Give the thread the tracer back that it had: a debugger's, or that of a measurement of coverage."""
        if self._tracer_before is not None:
            sys.settrace(self._tracer_before[0])
        self._holding, self._struck = None, set()


def _is_ours(frame: FrameType | None) -> bool:
    """Whether a deadline is being set or taken back just now: what is thrown there would leave it half done."""
    return frame is not None and frame.f_code.co_filename in _OWN_FILES


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


class _Ring:
    """The handler of the alarm; inside another one of ours, it serves the other's deadline, too."""

    def __init__(
        self, seconds: float, error: type[BaseException], outer: _Ring | None, clock: Callable[[], float]
    ) -> None:
        self.due, self.error, self.outer, self.clock = clock() + seconds, error, outer, clock
        self.pursuit = _Pursuit(error)
        self.over = False

    def arm(self) -> None:
        """Set the alarm for the first deadline of all."""
        left = min((ring.left() for ring in self._chain()), default=None)
        signal.setitimer(signal.ITIMER_REAL, 0.0 if left is None else max(0.001, left))

    def left(self) -> float:
        """Seconds until the deadline, at least."""
        return self.due - self.clock()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Throw what the outermost deadline that has passed throws."""
        ring = next((ring for ring in reversed(self._chain()) if ring.left() <= 0), None)
        thrown = False
        if ring is not None:
            thrown, wait = ring.pursuit.strike(frame)
            ring.due = ring.clock() + wait
            if thrown:
                ring.pursuit.set_snare()
        self.arm()
        if ring is not None and thrown:
            raise ring.error

    def _chain(self) -> list[_Ring]:
        """Those that still count, the innermost first."""
        outer = self.outer._chain() if self.outer else []
        return outer if self.over else [self, *outer]


@contextmanager
def _by_signal(seconds: float, error: type[BaseException], clock: Callable[[], float]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    outer = before if isinstance(before, _Ring) else None
    ring = _Ring(seconds, error, outer, clock)
    signal.signal(signal.SIGALRM, ring)
    ring.arm()
    try:
        yield
    finally:
        ring.over = True  # first of all: an alarm during what follows must not throw
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        ring.pursuit.end()
        signal.signal(signal.SIGALRM, before)
        if outer is not None:
            outer.arm()


@contextmanager
def _by_thread(seconds: float, error: type[BaseException]) -> Iterator[None]:
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()
    pursuit = _Pursuit(error)
    # What a thread is sent is made an instance in that thread, as it arrives.
    sent = type(error.__name__, (error,), {"__init__": lambda self: pursuit.set_snare()})

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            with lock:
                thrown, wait = pursuit.strike(sys._current_frames().get(thread))
                if thrown and not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(sent))

    watcher = threading.Thread(target=watch, daemon=True, name="lightning-conformance-deadline")
    watcher.start()
    try:
        yield
    finally:
        # Under the lock, so that nothing is sent any more once the block is left.
        with lock:
            over.set()
        pursuit.end()
        watcher.join()
