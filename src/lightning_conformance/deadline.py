"""End what does not end by itself, without taking the process along."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# An exception is thrown again after this many seconds: a bare `except:` in the user's loop swallows the first.
_AGAIN = 2.0


class RunTimeout(BaseException):
    """A run took longer than it may. No ``Exception``, so that the user's ``except Exception`` does not hold it."""


@contextmanager
def deadline(seconds: float | None, error: type[BaseException] = RunTimeout) -> Iterator[None]:
    """Raise ``error`` in the calling thread when the time is up.

    A signal is used where it can be (it also interrupts blocking calls such as ``time.sleep``), unless
    somebody else's timer is already running; else an exception sent to the thread, which Python delivers
    at its next bytecode.

    Args:
        seconds: Time until then; None or 0 means no limit.
        error: What to raise; no ``Exception`` should be.
    """
    if not seconds:
        yield
        return
    with (_by_signal if _signal_is_free() else _by_thread)(seconds, _told(error, seconds)):
        yield


def _told(error: type[BaseException], seconds: float) -> type[BaseException]:
    """The class with its message: a thread can only be sent a class."""
    return type(error.__name__, (error,), {"__str__": lambda self: f"it took longer than {seconds:g} seconds"})


def _signal_is_free() -> bool:
    """Whether no timer runs but that of a deadline around this one."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or not hasattr(signal, "setitimer"):
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0.0 or isinstance(signal.getsignal(signal.SIGALRM), _Ring)


class _Ring:
    """What a deadline's signal does."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __call__(self, number: int, frame: object) -> None:
        raise self.error


@contextmanager
def _by_signal(seconds: float, error: type[BaseException]) -> Iterator[None]:
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    if 0.0 < outer <= seconds:
        yield  # the deadline around this one comes first
        return
    before = signal.signal(signal.SIGALRM, _Ring(error))
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), _AGAIN)


@contextmanager
def _by_thread(seconds: float, error: type[BaseException]) -> Iterator[None]:
    thread, over, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            wait = _AGAIN
            with lock:
                if not over.is_set():
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
