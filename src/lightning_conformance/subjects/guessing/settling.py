"""A guess is settled only with a batch: a network that can be built may still be the wrong one for the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import package_of
from lightning_conformance.subjects.guessing.outputs import checked_outputs
from lightning_conformance.subjects.guessing.slots import WrongGuess
from lightning_conformance.subjects.inference.live import make_trainer, quiet_and_traceless
from lightning_conformance.subjects.inference.steps import loader_of
from lightning_conformance.subjects.sources import BatchSource

Found = TypeVar("Found")
# Of one search for a batch: several guesses may each need one.
GUESSED_LIMITS: dict[str, Any] = {"budget_attempts": 80, "budget_seconds": 5.0}


class Unfit(SubjectError):
    """Batches that the user gave do not fit the module as it is guessed.

    Args:
        source: Those batches.
        cause: What the module raises.
    """

    def __init__(self, source: Any, cause: Exception) -> None:
        super().__init__("batch", f"training_step fails: {type(cause).__name__}: {cause}", cause=cause)
        self.source = source


def settled(
    find: Callable[[], Found],
    advance: Callable[[BaseException | None], bool],
    tell: Callable[[], str],
    restore: Callable[[], None],
) -> Found:
    """What ``find`` gives, with other guesses until it gives something.

    Args:
        find: Finds batches for the module as it is guessed.
        advance: Goes on to another guess, in answer to an error; False where there is none.
        tell: What was guessed, and how to say it instead; for the message.
        restore: Goes back to the first guess, where none led to a batch.

    Raises:
        SubjectError: No guess led to a batch.
    """
    first: SubjectError | None = None
    told = tell()
    while True:
        try:
            with checked_outputs():
                return find()
        except WrongGuess as wrong:
            if not advance(wrong):
                first = first or SubjectError("batch", str(wrong))
                break
        except SubjectError as error:
            if error.stage != "batch":
                raise
            first = first or error
            if not advance(error.cause):
                break
    restore()
    if isinstance(first, Unfit):
        return cast("Found", first.source)
    if type(first) is not SubjectError:
        raise first
    advice = f"{told}\n{first.advice}".strip()
    raise SubjectError("batch", first.message, advice, first.cause) from first.cause


def error_with(build: Callable[[], Any], source: BatchSource) -> Exception | None:
    """What a fit of a fresh module raises over two batches of a source."""
    with quiet_and_traceless() as folder:
        module = build()
        package = package_of(module)
        assert package is not None
        try:
            make_trainer(package, folder).fit(module, train_dataloaders=loader_of([source.batch(), source.batch()]))
        except (Exception, SystemExit) as error:
            return error if isinstance(error, Exception) else None
    return None
