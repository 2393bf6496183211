"""End what does not end by itself, without taking the process along."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# An exception is thrown again after this many seconds: a bare `except:` in the user's loop swallows the first.
_AGAIN = 2.0
# A second in which the thread got no turn, or slept, counts this much.
_OF_WAITING = 1 / 3
# Where a loop has swallowed one, they follow so fast that one of them falls between its `try` statements.
_AT_ONCE = 0.01


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
    """Says when to throw again: soon, as long as the frame is still there that held what was thrown."""

    def __init__(self) -> None:
        self._struck: set[FrameType] = set()
        self._holding: FrameType | None = None

    def strike(self, frame: FrameType | None) -> tuple[bool, float]:
        """Whether to throw into the stack of this frame now, and when to come back."""
        stack = list(_stack(frame))
        if self._holding is not None and self._holding not in stack:
            # It got out of the loop: what is cleaned up now is given time.
            self._holding, self._struck = None, set(stack)
            return False, _AGAIN
        if self._holding is None:
            self._holding = next((f for f in stack if f in self._struck), None)
            self._struck = set(stack)
        return True, _AGAIN if self._holding is None else _AT_ONCE


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
        self.pursuit = _Pursuit()
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
        signal.signal(signal.SIGALRM, before)
        if outer is not None:
            outer.arm()


@contextmanager
def _by_thread(seconds: float, error: type[BaseException]) -> Iterator[None]:
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        wait, pursuit = seconds, _Pursuit()
        while not over.wait(wait):
            with lock:
                thrown, wait = pursuit.strike(sys._current_frames().get(thread))
                if thrown and not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))

    watcher = threading.Thread(target=watch, daemon=True, name="lightning-conformance-deadline")
    watcher.start()
    try:
        yield
    finally:
        # Under the lock, so that nothing is sent any more once the block is left.
        with lock:
            over.set()
        watcher.join()
