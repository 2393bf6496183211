"""A fork of this process, which may hang or die, and leaves nothing behind.

It has a group of its own, so that what it starts ends with it; and it ends when this process does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

_ASK = getattr(signal, "SIGUSR1", None)
_RESET = ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")


class Child:
    """A process that runs a function.

    Args:
        function: Called there with a function that sends a picklable thing to ``inbox``.
        folder: An empty folder for its output.
    """

    def __init__(self, function: Callable[[Callable[[Any], None]], None], folder: Path) -> None:
        self.inbox, outbox = Pipe(duplex=False)
        self._alive, self._held = os.pipe()
        self._asked = folder / "stack"
        self._status: int | None = None
        self.was_killed = False
        with warnings.catch_warnings():
            # Python warns of forks beside other threads; the child uses nothing of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
            if self.pid == 0:
                self._run(function, outbox, folder)
        outbox.close()
        os.close(self._alive)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def _run(self, function: Callable[[Callable[[Any], None]], None], outbox: Connection, folder: Path) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            self.inbox.close()
            os.close(self._held)
            _own_streams(folder)
            threading.Thread(target=_end_with, args=(self._alive,), daemon=True).start()
            with self._asked.open("w") as asked:
                if _ASK is not None:
                    faulthandler.register(_ASK, file=asked, all_threads=True)
                lock = threading.Lock()

                def send(thing: Any) -> None:
                    with lock:
                        outbox.send_bytes(pickle.dumps(thing))

                function(send)
            sys.stdout.flush()
            code = 0
        except BaseException as error:
            with contextlib.suppress(BaseException):
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            with contextlib.suppress(BaseException):
                sys.stderr.flush()
            # Nothing of what the parent would do at its end.
            os._exit(code)

    def has_ended(self) -> bool:
        """Whether the process is gone; takes it off the system's table then."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            self._status = status if pid else None
        return self._status is not None

    @property
    def exit(self) -> str:
        """How it ended: a signal's name or an exit code."""
        status = self._status or 0
        signaled = os.WIFSIGNALED(status)
        return signal.Signals(os.WTERMSIG(status)).name if signaled else f"exit code {os.WEXITSTATUS(status)}"

    def ask_where(self) -> None:
        """Have it write down where it is, even if it waits outside of Python."""
        if _ASK is not None and not self.has_ended():
            os.kill(self.pid, _ASK)

    def stack(self) -> str:
        """What it wrote down when it was asked."""
        return self._asked.read_text(errors="replace") if self._asked.exists() else ""

    def kill(self) -> None:
        """End it now, with all that it started."""
        if self._held < 0:
            return
        self.was_killed = not self.has_ended()
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.was_killed:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                self._status = os.waitpid(self.pid, 0)[1]
        self.inbox.close()
        os.close(self._held)
        self._held = -1


def _own_streams(folder: Path) -> None:
    """Its own output, no input; its own handling of signals."""
    for number, path in enumerate((Path(os.devnull), folder / "out", folder / "err")):
        with path.open("w" if number else "r") as file:
            os.dup2(file.fileno(), number)
    streams = [os.fdopen(number, "w" if number else "r", closefd=False) for number in range(3)]
    sys.stdin, sys.stdout, sys.stderr = streams
    faulthandler.enable(file=sys.stderr)
    signal.set_wakeup_fd(-1)
    for name in _RESET:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def _end_with(pipe: int) -> None:
    """Wait for the parent to be gone: the other end of the pipe is its own."""
    with contextlib.suppress(OSError):
        os.read(pipe, 1)
    os._exit(1)
