"""Replace an attribute for a while."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MISSING = object()


@contextmanager
def wrapped(owner: Any, name: str, around: Callable[..., Any]) -> Iterator[None]:
    """Call ``around(original, *args, **kwargs)`` in place of ``owner.name(*args, **kwargs)``.

    The original's name and signature stay visible. An attribute that the owner only inherits is
    removed again, not copied down.
    """
    original = getattr(owner, name)
    own = vars(owner).get(name, _MISSING)

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, wrapper)
    try:
        yield
    finally:
        if own is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
