"""Turn an exception into a Failure: what was raised, in which hook, on which of the user's lines."""

from __future__ import annotations

import traceback

from lightning_conformance.deadline import RunTimeout
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import is_lightning_file
from lightning_conformance.recording.model import Failure, Moment
from lightning_conformance.recording.places import Places
from lightning_conformance.subjects.environment_errors import environment_problem
from lightning_conformance.subjects.tracebacks import user_traceback


def failure_of(error: BaseException, *, stage: str, at: Moment | None = None, places: Places | None = None) -> Failure:
    """The facts of an exception.

    Args:
        stage: Where it happened; a SubjectError knows better.
        at: The moment of the run.
        places: Tells the user's files; None before the module was built.
    """
    places = places or Places(())
    advice = ""
    if isinstance(error, SubjectError):
        stage, advice = error.stage, error.advice
    elif isinstance(error, RunTimeout):
        stage = "timeout"
    cause = error.cause if isinstance(error, SubjectError) else error
    message = error.message if isinstance(error, SubjectError) else _message(error)
    problem = environment_problem(cause)
    return Failure(
        stage,
        type(cause or error).__name__,
        message,
        advice or (problem.advice if problem else ""),
        at,
        places.of_exception(cause) if cause is not None else None,
        _raised_by_lightning(cause),
        user_traceback(cause, keep=places.user_files) if cause is not None else "",
        problem.message if problem else "",
    )


def _message(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _raised_by_lightning(error: BaseException | None) -> bool:
    if error is None or error.__traceback__ is None:
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return is_lightning_file(frame.f_code.co_filename)
