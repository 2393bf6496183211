"""A dict that can be read by attribute, too: what code expects of a configuration that is handed to it whole."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

_CONFIGS = re.compile(
    r"(\w+_)?(h_?params?|hyper_?params?|hyper_?parameters|cfg|config|conf|configuration|args|arguments|opts?|options"
    r"|params?|flags|kwargs|settings|hp)(_\w+)?"
)


def means_config(name: str) -> bool:
    """Whether a name is that of a configuration."""
    return _CONFIGS.fullmatch(name.lower()) is not None


class OpenDict(dict[str, Any], argparse.Namespace):
    """A dict and a Namespace in one, nested ones included, so that ``c["a"]``, ``c.a`` and ``vars(c)`` all work."""

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        dict.__init__(self, {key: opened(value) for key, value in (content or {}).items()})
        object.__setattr__(self, "__dict__", self)

    __hash__ = None
    __eq__ = dict.__eq__
    __contains__ = dict.__contains__
    __repr__ = dict.__repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenDict:
        """A copy whose attributes are its own items."""
        import copy

        return type(self)({key: copy.deepcopy(value, memo) for key, value in self.items()})

    def __reduce__(self) -> Any:
        """Pickled as what it holds."""
        return OpenDict, (dict(self),)


def opened(value: Any) -> Any:
    """Plain dicts, also within, as ``OpenDict``; anything else as it is."""
    return OpenDict(value) if type(value) is dict else value
