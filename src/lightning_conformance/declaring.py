"""What a user's own file says about a module: the decorator ``conformance``, or a plain class attribute."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import UsageError

ATTRIBUTE = "lightning_conformance"
KEYS = ("init", "batch", "config", "train_loss", "val_batch", "expected_failures")
# How the module is built: no business of a subclass with a constructor of its own.
_ABOUT_CONSTRUCTION = {"init", "config"}

T = TypeVar("T")


def conformance(
    *,
    init: Any = None,
    batch: Any = None,
    config: Any = None,
    train_loss: Any = None,
    val_batch: Any = None,
    expected_failures: Any = None,
    **unknown: Any,
) -> Callable[[T], T]:
    """Say beside a LightningModule, or beside a factory of one, how it is checked.

    Options on the command line win over it. A plain attribute says the same without any import:
    ``lightning_conformance = {"init": {"features": 4}}`` in the class's body.

    Args:
        init: Constructor arguments by name, or a function without arguments that returns them.
        batch: A batch spec, a target (``path:function``, ``path:DataModule``), a batch, or a function that
            returns one.
        config: A file in LightningCLI's form, relative to the file of the class.
        train_loss: Name under which the training loss is logged.
        val_batch: What ``validation_step`` takes, where it is no batch of ``training_step``: a batch spec, a target of
            a function, a batch, or a function.
        expected_failures: Reasons why checks fail, by the check's name, or by ``environment::name``.
        unknown: A wrong key, told when the module is checked, not when the user's file is imported.
    """
    words = {"init": init, "batch": batch, "config": config, "train_loss": train_loss, "val_batch": val_batch}
    words["expected_failures"] = expected_failures
    words.update(unknown)

    def declare(obj: T) -> T:
        own = vars(obj).get(ATTRIBUTE) if hasattr(obj, "__dict__") else None
        said = {key: value for key, value in words.items() if value is not None}
        setattr(obj, ATTRIBUTE, {**(own if isinstance(own, Mapping) else {}), **said})
        return obj

    return declare


@dataclass(frozen=True)
class Declared:
    """What a file says about a module; None where it says nothing.

    Args:
        init: Constructor arguments by name, or ``key=value`` texts.
        batch: As in ``conformance``.
        config: A file in LightningCLI's form.
        train_loss: Name under which the training loss is logged.
        val_batch: As in ``conformance``.
        expected_failures: As in ``conformance``.
    """

    init: Any = None
    batch: Any = None
    config: Any = None
    train_loss: Any = None
    val_batch: Any = None
    expected_failures: Any = None


def declared(obj: Any, label: str) -> Declared:
    """What is declared of a class, a callable or an instance.

    Raises:
        UsageError: A key is unknown, ``init`` is no mapping, or its function raises.
    """
    found: dict[str, Any] = {}
    for words, is_own in _words(obj):
        _require_known(words, label)
        kept = {key: value for key, value in words.items() if is_own or key not in _ABOUT_CONSTRUCTION}
        found = {**kept, **found}
    if callable(found.get("init")):
        found["init"] = _called(found["init"], label)
    if not isinstance(found.get("init", {}), Mapping | list | tuple | None):
        raise UsageError(f"{label}: `init` of {ATTRIBUTE} is a {type(found['init']).__name__}, not a dict.")
    if not isinstance(found.get("expected_failures", {}), Mapping):
        kind = type(found["expected_failures"]).__name__
        raise UsageError(f"{label}: `expected_failures` of {ATTRIBUTE} is a {kind}, not a dict of reasons.")
    return Declared(**found)


def _words(obj: Any) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """What is said, nearest first; with whether it may say how ``obj`` itself is constructed."""
    function = getattr(obj, "__func__", obj)
    if isinstance(obj, type):
        yield from _words_of_class(obj, True)
        return
    own = getattr(function, "__dict__", {}).get(ATTRIBUTE)
    if isinstance(own, Mapping):
        yield own, True
    owner = getattr(obj, "__self__", None) if function is not obj else type(obj)
    if isinstance(owner, type):
        yield from _words_of_class(owner, False)


def _words_of_class(cls: type, constructs: bool) -> Iterator[tuple[Mapping[str, Any], bool]]:
    for base in cls.__mro__:
        words = vars(base).get(ATTRIBUTE)
        if isinstance(words, Mapping):
            yield words, constructs
        constructs = constructs and "__init__" not in vars(base)


def _require_known(words: Mapping[str, Any], label: str) -> None:
    for key in words:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            raise UsageError(f"{label}: {ATTRIBUTE} has no key `{key}`.", f"{hint}Valid are: {', '.join(KEYS)}.")


def _called(make: Callable[[], Any], label: str) -> Any:
    try:
        return make()
    except Exception as error:
        message = f"{label}: the function under `init` of {ATTRIBUTE} raised {type(error).__name__}: {error}"
        raise UsageError(message) from error
