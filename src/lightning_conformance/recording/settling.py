"""Train; where the kit's own choice of data may be what failed, train again without it."""

from __future__ import annotations

import re
from dataclasses import replace
from textwrap import shorten
from typing import Any

from lightning_conformance.recording.fit import record_fit
from lightning_conformance.recording.model import BackwardRan, Failure, OptimizerStepped, Recording
from lightning_conformance.recording.ranks import record_on_ranks
from lightning_conformance.recording.setup import Setup
from lightning_conformance.subjects.inference.steps import may_take_loader_index
from lightning_conformance.subjects.sources import BatchSource
from lightning_conformance.subjects.subject import Subject
from lightning_conformance.subjects.validating import WithValidation, with_searched_validation

# More than the batches that accumulation or a critic's turns usually take between two steps.
_MANY_BATCHES = 33
# Validation has no graph; and the precision is not the batch's.
_WHATEVER_THE_BATCH = re.compile(r"does not require grad|BFloat16|Half")
_BATCH_MAY_BE_WRONG = (KeyError, IndexError, ValueError, TypeError, RuntimeError, AssertionError)


def record_steadily(setup: Setup, blank: Recording) -> Recording:
    """Record the ``train`` regime; the recording's ``settled`` says what the subject needs.

    Args:
        blank: What is known before the run.

    Raises:
        SubjectError: The module cannot be built.
    """
    while True:
        recording = _record(setup, blank)
        failure = recording.failure
        if failure is None and setup.plan.batches < _MANY_BATCHES and _may_step_later(recording):
            setup = replace(setup, plan=replace(setup.plan, batches=_MANY_BATCHES))
            blank = _noted(
                blank,
                f"An optimizer was not stepped at first; the run was repeated with {_MANY_BATCHES} batches an epoch.",
            )
            continue
        if failure is None or failure.stage == "timeout" or failure.at is None:
            return recording
        again = _without_what_failed(setup, blank, failure)
        if again is None:
            # What happens without the smaller batch, or without validation, too, is not their fault.
            unlike = None if _same_error(failure, blank.validation_failure) else blank.validation_failure
            return replace(recording, ragged_failure=None, validation_failure=unlike)
        setup, blank = again


def _record(setup: Setup, blank: Recording) -> Recording:
    return (record_on_ranks if setup.environment.ranks > 1 else record_fit)(setup, blank)


def _without_what_failed(setup: Setup, blank: Recording, failure: Failure) -> tuple[Setup, Recording] | None:
    """Another setup to try; None where the failure is the module's own."""
    settled, at = setup.settled, failure.at
    if at is None:
        return None
    if settled.ragged and at.stage == "train" and at.batch == setup.plan.batches - 1:
        return replace(setup, settled=replace(settled, ragged=False)), replace(blank, ragged_failure=failure)
    if settled.validation and settled.loaders == 1 and _may_want_loaders(failure, setup.source, setup.subject):
        two = replace(setup, settled=replace(settled, loaders=2))
        if _record(two, blank).failure is None:
            note = "validation_step fails with one validation loader, and got two: it takes a dataloader_idx."
            return two, _noted(blank, note)
    if settled.validation and _validation_batch_may_be_wrong(failure, setup.source):
        other = with_searched_validation(setup.subject, setup.source)
        if other is not None:
            return replace(setup, source=other), replace(blank, **validation_words(other))
        without = replace(setup, settled=replace(settled, validation=False))
        return without, replace(blank, validation_failure=failure, validation_source="", validation_text="")
    if at.hook == "prepare_data" and not (setup.source.own_validation or setup.subject.own_data_fails):
        # It prepares data that nobody asked for: the batches come from elsewhere.
        setup.subject.own_data_fails = True
        said = shorten(f"{failure.type}: {failure.message}", 160, placeholder="...")
        return setup, _noted(blank, f"Its own prepare_data fails, and was left out: {said}")
    return None


def _noted(blank: Recording, note: str) -> Recording:
    return replace(blank, notes=(*blank.notes, note))


def validation_words(source: BatchSource) -> dict[str, Any]:
    """What the recording says of validation batches that are others than those of training."""
    if not isinstance(source, WithValidation):
        return {}
    return {"validation_source": source.validation.origin, "validation_text": source.validation.text}


def _may_want_loaders(failure: Failure, source: BatchSource, subject: Subject) -> bool:
    """Whether validation fails, and the module's own data may be several validation loaders."""
    is_there = failure.at is not None and failure.at.stage in ("sanity", "validate")
    own_loaders = source.own_validation and not isinstance(source, WithValidation)
    if not is_there or own_loaders or failure.type not in {cls.__name__ for cls in _BATCH_MAY_BE_WRONG}:
        return False
    return may_take_loader_index(subject.sample.validation_step)


def _same_error(failure: Failure, other: Failure | None) -> bool:
    return other is not None and (failure.type, failure.message) == (other.type, other.message)


def _may_step_later(recording: Recording) -> bool:
    """Manual optimization may step an optimizer every so many batches only: accumulation, a critic's turns."""
    stepped = {event.optimizer for event in recording.all(OptimizerStepped)}
    configured = {index for index, facts in enumerate(recording.optimizers) if facts.configured}
    return not recording.automatic and bool(configured - stepped) and any(recording.all(BackwardRan))


def _validation_batch_may_be_wrong(failure: Failure, source: BatchSource) -> bool:
    at = failure.at
    return (
        not source.own_validation
        and not failure.from_lightning
        and at is not None
        and at.hook == "validation_step"
        and failure.type in {cls.__name__ for cls in _BATCH_MAY_BE_WRONG}
        and not _WHATEVER_THE_BATCH.search(failure.message)
    )
