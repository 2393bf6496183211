"""What the user asked for, read from options and ini keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_conformance.errors import UsageError

if TYPE_CHECKING:
    from lightning_conformance.environments import Environment
    from lightning_conformance.subjects.target import Target


SEVERITIES = ("error", "warning", "advice")


class Said(NamedTuple):
    """One word about a module that is in force, and who said it.

    Args:
        word: As the options have it, without ``--lightning-``.
        origin: The command line, or the name of a file.
    """

    word: str
    value: Any
    origin: str


@dataclass
class Choice:
    """Which checks are judged, and which are expected to fail.

    Args:
        select: Words that name checks; empty for all.
        ignore: Words that name checks which are left out.
        expect: Reasons why checks fail, by the check's name, or by ``environment::name``.
    """

    select: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    expect: dict[str, str] = field(default_factory=dict)

    def checks(self, environments: Sequence[Environment]) -> dict[str, list[str]]:
        """Names of the chosen checks that each environment judges, by the environment's name.

        Raises:
            UsageError: A word names no check, or none of the environments judges any of them.
        """
        from lightning_conformance.checks.choosing import chosen, judged_in

        judged = judged_in(environments, chosen(self.select, self.ignore))
        return {place: [check.name for check in checks] for place, checks in judged.items()}

    def reason(self, environment: str, check: str) -> str | None:
        """Why a check is expected to fail; None where it is not."""
        return self.expect.get(f"{environment}::{check}", self.expect.get(check))


@dataclass
class Request:
    """What the user asked for about one module, still words.

    Args:
        line: The line of the ini file which says so; empty where none does.
        number: The place among the tables of ``pyproject.toml`` of the one which says so; None where none does.
        said: What is in force, word by word.
    """

    target: Target
    init: list[str] = field(default_factory=list)
    config: str = ""
    batch: str | None = None
    val_batch: str | None = None
    train_loss: str = ""
    line: str = ""
    number: int | None = None
    choice: Choice = field(default_factory=Choice)
    said: list[Said] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """The options, read.

    Args:
        requests: The modules.
        environments: Names of the environments.
        timeout: Seconds for one run; None for no limit.
        strict: Whether warnings fail.
        only: Node ids that select items.
        infer_attempts: Training steps that the inference of a batch may try.
        infer_seconds: Seconds that it may take.
        freeze: Whether to write what was inferred into the configuration.
        guess: Whether constructor arguments that nobody gave are guessed.
        choice: The checks for modules that do not say it themselves.
        severity: The lowest level of findings that are reported.
        baseline: File of known failures.
        update_baseline: Whether to write it anew.
        reports: Files to write reports into.
        train_loss: The name of the logged training loss, for modules that do not say it themselves.
        said: What is no default, and who said it.
    """

    requests: tuple[Request, ...]
    environments: tuple[str, ...]
    timeout: float | None
    strict: bool
    only: tuple[str, ...] = ()
    infer_attempts: int = 200
    infer_seconds: float = 8.0
    freeze: bool = False
    guess: bool = True
    choice: Choice = field(default_factory=Choice)
    severity: str = "advice"
    baseline: Path | None = None
    update_baseline: bool = False
    reports: tuple[Path, ...] = ()
    train_loss: str = ""
    said: tuple[Said, ...] = ()


def seconds(option: str, text: str) -> float | None:
    """Read a number of seconds; 0 is for no limit.

    Raises:
        UsageError: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{option}={text}: not a number of seconds.") from None
    if number < 0:
        raise UsageError(f"{option}={text}: less than nothing.")
    if not math.isfinite(number):
        raise UsageError(f"{option}={text}: not a number of seconds.", "0 is for no limit.")
    return number or None


def limited_seconds(option: str, text: str) -> float:
    """Read a number of seconds that is no less than a little.

    Raises:
        UsageError: It is none, or 0: no search goes on for ever.
    """
    number = seconds(option, text)
    if number is None:
        raise UsageError(f"{option}={text}: a search needs some time, and a limit.")
    return number


def attempts(option: str, text: str) -> int:
    """Read a number of attempts.

    Raises:
        UsageError: It is none.
    """
    if not text.strip().isdecimal() or int(text) < 1:
        raise UsageError(f"{option}={text}: not a number of attempts.", "A whole number, 1 or more.")
    return int(text)
