"""Inferred batch specs, remembered: in this session, among the processes of an xdist run, and in pytest's cache."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.plugin.store import locked

if TYPE_CHECKING:
    from lightning_conformance.subjects.feeding import FoundSpec

_CACHE = "lightning_conformance/batches"
_REFUSED = "refused"


class RememberedSpecs:
    """Searches for a batch only where nobody has found it before.

    Args:
        cache: pytest's cache; None without it.
        folder: Where the processes of an xdist run share what they find; None for one process.
    """

    def __init__(self, cache: Any = None, folder: Path | None = None) -> None:
        self._cache, self._folder = cache, folder
        self._known: dict[str, FoundSpec] = {}
        self._forgotten: set[str] = set()

    def find(self, key: str, search: Callable[[], FoundSpec]) -> FoundSpec:
        """What is remembered under ``key``; else what ``search()`` finds."""
        if key not in self._known:
            self._known[key] = self._from_cache(key) or self._shared(key, search)
        return self._known[key]

    def forget(self, key: str) -> None:
        """What was remembered proved wrong: search the next time."""
        self._known.pop(key, None)
        self._forgotten.add(key)
        if self._cache is not None:
            self._cache.set(f"{_CACHE}/{key}", None)

    def _from_cache(self, key: str) -> FoundSpec | None:
        if self._cache is None or key in self._forgotten:
            return None
        found = _read(self._cache.get(f"{_CACHE}/{key}", None))
        return replace(found, remembered=True) if found else None

    def _shared(self, key: str, search: Callable[[], FoundSpec]) -> FoundSpec:
        if self._folder is None:
            return self._made(key, search)
        file = self._folder / f"{key}.spec{'-again' if key in self._forgotten else ''}"
        with locked(file.with_name(f"{file.name}.lock")):
            found = _shared_outcome(file)
            if found is not None:
                return found
            try:
                found = self._made(key, search)
            except SubjectError as error:
                # A failure is shared in this run, and remembered in no other; one with a cause must be seen itself.
                if error.cause is None:
                    _write(file, {_REFUSED: [error.stage, error.message, error.advice]})
                raise
            _write(file, asdict(found))
            return found

    def _made(self, key: str, search: Callable[[], FoundSpec]) -> FoundSpec:
        found = search()
        if self._cache is not None:
            self._cache.set(f"{_CACHE}/{key}", asdict(found))
        return found


def _read(data: Any) -> FoundSpec | None:
    """What a cache holds, if it is what this version wrote and a spec that can be read."""
    from lightning_conformance.subjects.batch_spec import parse_batch_spec
    from lightning_conformance.subjects.feeding import FoundSpec

    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        return None
    texts = [data.get(name, ()) for name in ("doubts", "notes")]
    if not all(isinstance(each, list | tuple) for each in texts):
        return None
    with contextlib.suppress(UsageError):
        parse_batch_spec(data["text"])
        doubts, notes = (tuple(map(str, each)) for each in texts)
        return FoundSpec(data["text"], doubts, notes)
    return None


def _shared_outcome(file: Path) -> FoundSpec | None:
    if not file.exists():
        return None
    data = json.loads(file.read_text("utf-8"))
    if _REFUSED in data:
        raise SubjectError(*data[_REFUSED])
    return _read(data)


def _write(file: Path, data: Any) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(json.dumps(data), "utf-8")
    partial.replace(file)
