"""Containers that are fed to the module while more of their keys may come to light."""

from __future__ import annotations

import sys
from typing import Any

from lightning_conformance.subjects.code_reading.asking import is_optional_attribute
from lightning_conformance.subjects.inference.drafts import Key, Path
from lightning_conformance.subjects.inference.probes import Revealed
from lightning_conformance.subjects.inference.tracing import Trace


class ProbedDict(dict[Any, Any]):
    """A dict that reveals the keys it does not have yet."""

    _path: Path
    _trace: Trace
    _optional: frozenset[Key]

    def __missing__(self, key: Any) -> Any:
        if isinstance(key, int) and self and not any(isinstance(k, int) for k in self):
            raise KeyError(key)
        self._trace.throw(Revealed(self._path, "key", key))

    def _is_left_out(self, key: Any) -> bool:
        """Whether a key is not there; asked for the first time, it may be."""
        if not dict.__contains__(self, key) and key not in self._optional:
            self._trace.throw(Revealed(self._path, "key", key, optional=True))
        return key in self._optional

    def __contains__(self, key: Any) -> bool:
        return not self._is_left_out(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or the default where the key is left out."""
        return default if self._is_left_out(key) else self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """As ``dict.pop``; without a default, a key asked for is a key wanted."""
        if default and self._is_left_out(key):
            return default[0]
        self[key]
        return super().pop(key)


class ProbedObject:
    """An object that reveals the attributes it does not have yet."""

    def __init__(self, path: Path, items: dict[Any, Any], trace: Trace, optional: frozenset[Key]) -> None:
        self.__dict__.update(items)
        self.__dict__["_kit"] = (path, trace, optional)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        path, trace, optional = self.__dict__["_kit"]
        if name in optional:
            raise AttributeError(name)
        trace.throw(Revealed(path, "attribute", name, is_optional_attribute(sys._getframe(1))))
