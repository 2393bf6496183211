"""A configuration that guesses each key when it is first read, and remembers it."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, ClassVar

from lightning_conformance.subjects.guessing.slots import Path, WrongGuess
from lightning_conformance.subjects.mappings import OpenDict

Read = Callable[[Path], Any]


class GuessedConfig(OpenDict):
    """Answers every key and attribute that is asked for.

    A default that the code gives itself (``get``, ``pop``, ``getattr`` with three arguments) is left in force.
    """

    _read: ClassVar[Read]
    _path: ClassVar[Path]

    def __missing__(self, key: Any) -> Any:
        """Guess a key."""
        if not isinstance(key, str):
            self._refuse()
        return self._guessed(key)

    def __getattr__(self, name: str) -> Any:
        """Guess an attribute; ``getattr`` and ``hasattr`` learn that it is not there."""
        if name.startswith("__") or not _is_attribute_read(sys._getframe(1)):
            raise AttributeError(f"'Namespace' object has no attribute '{name}'")
        return self._guessed(name)

    def _refuse(self, *_: Any) -> Any:
        """It is used as a number, a list or a function, which it cannot be."""
        if type(self)._path:
            raise WrongGuess(type(self)._path)
        raise TypeError("a configuration is no number")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = _refuse
    __lt__ = __gt__ = __le__ = __ge__ = __neg__ = __abs__ = __int__ = __float__ = __index__ = __call__ = _refuse

    def _guessed(self, key: str) -> Any:
        cls = type(self)
        value = cls._read((*cls._path, key))
        dict.__setitem__(self, key, value)
        return value

    def pop(self, key: str, *default: Any) -> Any:
        """As a dict's, with a guess where it would raise."""
        if key not in self and not default:
            return type(self)._read((*type(self)._path, key))
        return dict.pop(self, key, *default)

    def __deepcopy__(self, memo: dict[int, Any]) -> GuessedConfig:
        """A copy that goes on guessing."""
        import copy

        made = type(self)()
        for key, value in self.items():
            dict.__setitem__(made, key, copy.deepcopy(value, memo))
        return made


def guessed_config(read: Read, path: Path, known: Mapping[str, Any]) -> GuessedConfig:
    """A configuration at a path; ``read`` is asked for what it does not know."""
    cls = type("GuessedConfig", (GuessedConfig,), {"_read": staticmethod(read), "_path": path})
    made: GuessedConfig = cls()
    dict.update(made, known)
    return made


def _is_attribute_read(frame: FrameType) -> bool:
    """Whether the frame is at an expression ``x.name``, not at a call such as ``getattr(x, "name", 1)``."""
    code = frame.f_code.co_code
    if frame.f_lasti < 0 or frame.f_lasti >= len(code):
        return True
    return dis.opname[code[frame.f_lasti]].startswith(("LOAD_ATTR", "LOAD_METHOD"))
