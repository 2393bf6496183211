"""Recordings, each made once: in this process, and among the processes of an xdist run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lightning_conformance.recording.model import Recording


class RecordingStore:
    """Makes a recording the first time that it is asked for.

    Args:
        folder: Where processes share recordings; None for one process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, Recording] = {}
        self.made: dict[str, int] = {}

    def get(self, key: str, make: Callable[[], Recording]) -> Recording:
        """The recording under ``key``; ``make`` it if nobody has."""
        if key not in self._known:
            self._known[key] = self._shared(key, make) if self._folder else self._make(key, make)
        return self._known[key]

    def _make(self, key: str, make: Callable[[], Recording]) -> Recording:
        recording = make()
        self.made[key] = self.made.get(key, 0) + 1
        return recording

    def _shared(self, key: str, make: Callable[[], Recording]) -> Recording:
        assert self._folder is not None
        file = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.pickle"
        with locked(file.with_suffix(".lock")):
            if file.exists():
                with file.open("rb") as stream:
                    return _as_recording(pickle.load(stream))
            recording = self._make(key, make)
            partial = file.with_suffix(f".{os.getpid()}")
            partial.write_bytes(pickle.dumps(recording))
            partial.replace(file)
            return recording


def _as_recording(value: object) -> Recording:
    assert isinstance(value, Recording)
    return value


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file; one left behind by a process that died is taken over."""
    while not _take(file):
        if not _owner_lives(file):
            with contextlib.suppress(OSError):
                file.unlink()
        time.sleep(0.05)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def _take(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    os.write(handle, str(os.getpid()).encode())
    os.close(handle)
    return True


def _owner_lives(file: Path) -> bool:
    try:
        owner = int(file.read_text() or 0)
    except (OSError, ValueError):
        return True
    # Windows has no such question: there, signal 0 is Ctrl-C.
    if not owner or os.name == "nt":
        return True
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
