"""Constructing the subject: a fresh instance at each call."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import SubjectError
from .arguments import checked_init, instantiated_arguments, option
from .lookup import describe
from .parameters import Parameter, is_lightning_module, parameters, takes_any_keyword
from .tracebacks import user_place

if TYPE_CHECKING:
    from .guessing import Guess


class Constructor:
    """Gives a fresh LightningModule at each call; seeding is the caller's job.

    Args:
        obj: A LightningModule class, a callable that returns a LightningModule, or a LightningModule.
        label: How messages name it.
        init: Arguments by name: plain data, as ``parse_init`` returns it, is typed and instantiated anew at
            each call, or passed as it is where it does not fit its annotation; any other object is copied.
        guessing: Whether required arguments that ``init`` lacks may be guessed.

    Raises:
        UsageError: ``init`` has a name that the callable does not take, or a written scalar of a wrong type.
        SubjectError: Stage ``construct``: an instance that cannot be copied.

    """

    def __init__(
        self, obj: Any, label: str = "", init: Mapping[str, Any] | None = None, guessing: bool = False
    ) -> None:
        self.obj = obj
        self.label = label or getattr(obj, "__qualname__", type(obj).__name__)
        self.is_instance = is_lightning_module(obj)
        self.init = checked_init(dict(init or {}), obj, self.label, strict=False)
        self._pristine = _copied(obj, self.label) if self.is_instance else None
        self._guessing = guessing
        self._guess: Guess | None = None

    def __call__(self) -> Any:
        """Construct one.

        Raises:
            SubjectError: Stage ``construct``: arguments are missing, the constructor raises, or what it
                returns is no LightningModule.

        """
        if self.is_instance:
            return _copied(self._pristine, self.label)
        missing = [p for p in parameters(self.obj) if p.required and p.name not in self.init]
        if missing and not self._guessing:
            raise SubjectError("construct", *missing_arguments(missing, self.obj, self.label))
        module = self._guessed(missing) if self.needs_guess else _call(self.obj, self.init, self.label)
        if not is_lightning_module(module):
            message = f"{self.label} returned {describe(module)}, not a LightningModule."
            raise SubjectError("construct", message, "A factory function returns the module that it makes.")
        return module

    def _guessed(self, missing: Sequence[Parameter]) -> Any:
        """Construct with guesses of what is missing."""
        from .guessing import Guess, NotGuessed

        try:
            if self._guess is None:
                self._guess = Guess(self.obj, missing, any_keyword=takes_any_keyword(self.obj))
            return self._guess.construct(
                lambda values: self.obj(**instantiated_arguments(self.obj, self.init), **values)
            )
        except NotGuessed as failed:
            if failed.cause is not None and not missing:
                raise SubjectError(
                    "construct", _failure(self.label, failed.cause, self.obj), cause=failed.cause
                ) from failed.cause
            said = missing_arguments(missing, self.obj, self.label, failed.unknown, failed.tried, failed.cause)
            raise SubjectError("construct", *said, failed.cause) from failed.cause

    @property
    def needs_guess(self) -> bool:
        """Whether arguments are missing, and may be guessed."""
        if not self._guessing or self.is_instance:
            return False
        required = [p for p in parameters(self.obj) if p.required and p.name not in self.init]
        return bool(required) or takes_any_keyword(self.obj)

    @property
    def guessed(self) -> tuple[str, ...]:
        """What was guessed, an argument each; an option to paste where it can be one."""
        return self._guess.texts() if self._guess else ()

    def guess_again(self, error: BaseException | None) -> bool:
        """Guess differently, since the module cannot be fed as it is; False where there is nothing left to try."""
        return self._guess is not None and self._guess.advance(error)

    def first_guess(self) -> None:
        """Go back to the first guess with which the constructor ran."""
        if self._guess is not None:
            self._guess.restore()

    def how_to_say(self) -> str:
        """What was guessed, and how to say it instead; empty where nothing was."""
        if not self.guessed:
            return ""
        given = [p for p in parameters(self.obj) if p.required and p.name not in self.init]
        return f"{guessed_text(self.guessed)}.\nIf they are wrong, say them: {_ways(given, self.obj, self.label)}"

    def describe(self) -> str:
        """The arguments as options to paste; empty where there are none."""
        return " ".join(option(name, value) for name, value in self.init.items())


def _call(obj: Any, init: Mapping[str, Any], label: str) -> Any:
    try:
        return obj(**instantiated_arguments(obj, init))
    except (Exception, SystemExit) as exc:
        raise SubjectError("construct", _failure(label, exc, obj), cause=exc) from exc


def _failure(label: str, exc: BaseException, obj: Any) -> str:
    place = user_place(exc, keep=source_files(obj))
    where = f" ({place[0]}:{place[1]})" if place else ""
    return f"{label} cannot be constructed: {type(exc).__name__}: {exc}{where}"


def source_files(obj: Any) -> list[str]:
    """The file that defines an object or its class, if Python knows it."""
    with suppress(TypeError, OSError):
        return [inspect.getfile(obj if isinstance(obj, type) or inspect.isroutine(obj) else type(obj))]
    return []


def _copied(instance: Any, label: str) -> Any:
    try:
        return copy.deepcopy(instance)
    except Exception as exc:
        name = type(instance).__name__
        message = f"{label} is an instance that cannot be copied: {type(exc).__name__}: {exc}"
        advice = f"Write a factory function, `def make_module(): return {name}(...)`, and name it as the target."
        raise SubjectError("construct", message, advice, exc) from exc


def guessed_text(guessed: Sequence[str]) -> str:
    """What was guessed, in a sentence."""
    return f"Constructor arguments were guessed: {' '.join(guessed)}"


def missing_arguments(
    missing: Sequence[Parameter],
    obj: Any,
    label: str,
    unknown: Sequence[str] = (),
    tried: Sequence[str] = (),
    cause: BaseException | None = None,
) -> tuple[str, str]:
    """The message that lists every required argument with its type, and the advice that says how to give them.

    Args:
        unknown: Arguments of which nothing could be guessed.
        tried: What was guessed last, in vain.
        cause: What the constructor raised then.
    """
    width = max(len(parameter.name) for parameter in missing)
    lines = [f"  {parameter.name:<{width}}  {parameter.type_text}" for parameter in missing]
    message = f"{label} has required arguments without a value:\n" + "\n".join(lines)
    if unknown:
        message += f"\nNothing is known of {', '.join(unknown)} by which a value could be guessed."
    if cause is not None:
        place = user_place(cause, keep=source_files(obj))
        where = f" ({place[0]}:{place[1]})" if place else ""
        message += f"\nTried last: {' '.join(tried)}\nwhich raised {type(cause).__name__}: {cause}{where}"
    return message, _ways(missing, obj, label)


def _ways(missing: Sequence[Parameter], obj: Any, label: str) -> str:
    """The option to type, a factory, and the decorator."""
    options = " ".join(f"--lightning-init {p.name}=<{_placeholder(p)}>" for p in missing)
    arguments = ", ".join(f"{p.name}=..." for p in missing)
    name = getattr(obj, "__qualname__", type(obj).__name__).rpartition("<locals>.")[2]
    factory = f"def make_module(): return {name}({arguments})"
    place = label.rpartition(":")[0]
    place = place if place.endswith(".py") else "path/to/file.py"
    return (
        f"{options}\nor write `{factory}` and --lightning-module={place}:make_module\n"
        f"or write above it `@conformance(init=lambda: dict({arguments}))`, "
        "with `from lightning_conformance import conformance`"
    )


def _placeholder(parameter: Parameter) -> str:
    return parameter.type_text if parameter.annotation is not inspect.Parameter.empty else "value"
