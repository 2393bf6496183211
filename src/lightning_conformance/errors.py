"""What can go wrong before a module has run: the user's words, or the user's code."""

from __future__ import annotations

from typing import Literal

Stage = Literal["import", "construct", "batch"]


class KitError(Exception):
    """Base of every error that the kit raises for its user to read.

    Args:
        message: What is wrong, in one or two sentences.
        advice: What to type or write next; empty where the message says it all.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message


class Signal(BaseException):
    """What the kit throws through the user's code; no ``except Exception`` there may swallow it."""


class UsageError(KitError):
    """The user's words are wrong: an unknown option value, a target that does not exist. Exit code 4."""


class SubjectError(KitError):
    """The user's code failed before its first training step, at a named stage.

    Args:
        stage: ``import`` (its file), ``construct`` (its constructor) or ``batch`` (feeding it).
        message: What is wrong.
        advice: What to type or write next.
        cause: The exception that the user's code raised, if it raised one.
    """

    def __init__(self, stage: Stage, message: str, advice: str = "", cause: BaseException | None = None) -> None:
        super().__init__(message, advice)
        self.stage: Stage = stage
        self.cause = cause
