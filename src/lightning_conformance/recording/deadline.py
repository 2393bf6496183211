"""End a run that does not end by itself, without taking the process along."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RunTimeout(BaseException):
    """A run took longer than it may. No ``Exception``, so that the user's ``except Exception`` does not hold it."""


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise :class:`RunTimeout` in the calling thread when the time is up; None or 0 means no limit.

    A signal is used where it can be (it also interrupts blocking calls such as ``time.sleep``), unless
    somebody else's timer is already running; else an exception sent to the thread, which Python delivers
    at its next bytecode.
    """
    if not seconds:
        yield
    elif _signal_is_free():
        with _by_signal(seconds):
            yield
    else:
        with _by_thread(seconds):
            yield


def _signal_is_free() -> bool:
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or not hasattr(signal, "setitimer"):
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise RunTimeout(f"the run took longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    # The timer repeats: a bare `except:` in the user's loop swallows the first exception.
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    thread, over = threading.get_ident(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(RunTimeout))
            wait = 5.0

    watcher = threading.Thread(target=watch, daemon=True, name="lightning-conformance-deadline")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
