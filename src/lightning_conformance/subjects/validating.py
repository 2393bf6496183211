"""What feeds the steps that are not ``training_step``: usually the same batches, sometimes others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.subjects.batch_classes import has_objects
from lightning_conformance.subjects.batch_spec import BatchSpec, parse_batch_spec, spec_of
from lightning_conformance.subjects.feeding import FoundSpec, build_without_data, with_own_classes
from lightning_conformance.subjects.fingerprint import fingerprint
from lightning_conformance.subjects.inference import infer_batch
from lightning_conformance.subjects.sources import BatchSource, MadeBatches, Plan, from_spec

if TYPE_CHECKING:
    from lightning_conformance.subjects.subject import Subject

OPTION = "--lightning-val-batch"


@dataclass(frozen=True)
class WithValidation:
    """Training batches of one source, validation batches of another.

    Args:
        training: Feeds ``training_step``.
        validation: Feeds ``validation_step``.
    """

    training: BatchSource
    validation: BatchSource

    @property
    def origin(self) -> str:
        """Of the training batches."""
        return self.training.origin

    @property
    def text(self) -> str:
        """Of the training batches."""
        return self.training.text

    @property
    def inferred(self) -> bool:
        """Of the training batches."""
        return self.training.inferred

    @property
    def ragged(self) -> bool:
        """Of the training batches."""
        return self.training.ragged

    @property
    def own_validation(self) -> bool:
        """Whether the user said what a validation batch is."""
        return not self.validation.inferred

    def batch(self) -> Any:
        """A training batch."""
        return self.training.batch()

    def sizes(self, plan: Plan, *, ragged: bool) -> list[int] | None:
        """Of the training batches."""
        return self.training.sizes(plan, ragged=ragged)

    def fit_arguments(self, plan: Plan, *, ragged: bool, validation: bool) -> dict[str, Any]:
        """Those of the training batches, with the other validation loader."""
        arguments = self.training.fit_arguments(plan, ragged=ragged, validation=False)
        if not validation:
            return arguments
        loader = self.validation.fit_arguments(plan, ragged=ragged, validation=True)["val_dataloaders"]
        if "datamodule" not in arguments:
            return {**arguments, "val_dataloaders": loader}
        # The Trainer takes either a DataModule or loaders.
        datamodule = copy.copy(arguments["datamodule"])
        datamodule.val_dataloader = lambda: loader
        return {"datamodule": datamodule}


def with_validation(subject: Subject, source: BatchSource) -> BatchSource:
    """The source, with what was said or found of validation batches.

    Raises:
        UsageError: What was said cannot be meant.
        SubjectError: The user's function raises.
    """
    if subject.given_validation is not None:
        validation = subject.source_of(subject.given_validation, OPTION)
        if "datamodule" in validation.fit_arguments(Plan(), ragged=False, validation=True):
            advice = "Give it as --lightning-batch, or name a function that returns a batch."
            raise UsageError(f"{OPTION}: a LightningDataModule feeds training, too.", advice)
        return WithValidation(source, validation)
    found = subject.found_validation
    return source if found is None else WithValidation(source, _inferred(subject, found))


def with_searched_validation(subject: Subject, source: BatchSource) -> BatchSource | None:
    """The source, with validation batches that ``validation_step`` takes; None where the search finds no others."""
    training = training_spec(source)
    is_searched = subject.found_validation is None and subject.given_validation is None
    if training is None or source.own_validation or not is_searched:
        return None
    with suppress(SubjectError):
        found = _remembered(subject, training, lambda: searched(subject, "validation_step", training))
        if found.text != str(training):
            subject.found_validation = found.text
            return with_validation(subject, source)
    return None


def _inferred(subject: Subject, text: str) -> MadeBatches:
    spec = with_own_classes(parse_batch_spec(text), subject)
    return from_spec(spec, "inferred", subject.options.seed, inferred=True)


def _remembered(subject: Subject, training: BatchSpec, search: Callable[[], FoundSpec]) -> FoundSpec:
    is_kept = subject.specs is not None and not subject.constructor.needs_guess
    key = fingerprint(subject) if is_kept else ""
    if subject.specs is None or not key:
        return search()
    return subject.specs.find(f"{key}-validation-{sha256(str(training).encode()).hexdigest()[:8]}", search)


def training_spec(source: BatchSource) -> BatchSpec | None:
    """What a training batch is, as far as it can be made anew; None where it cannot."""
    if isinstance(source, WithValidation):
        return training_spec(source.training)
    if isinstance(source, MadeBatches) and source.spec is not None:
        return source.spec
    with suppress(UsageError, SubjectError):
        return parse_batch_spec(str(spec_of(source.batch()).symbolic()))
    return None


def searched(subject: Subject, step: str, training: BatchSpec) -> FoundSpec:
    """A batch for a step, sought from that of ``training_step``.

    Raises:
        SubjectError: None is found.
    """
    limits = subject.limits
    found = infer_batch(
        lambda: build_without_data(subject),
        budget_attempts=limits.attempts,
        budget_seconds=limits.seconds / 2,
        step=step,
        training=training,
    )
    return FoundSpec(str(found.spec), found.doubts)


def step_specs(subject: Subject) -> dict[str, BatchSpec]:
    """What ``test_step`` and ``predict_step`` take, each where the module can run it and a batch is found.

    Raises:
        UsageError: As :attr:`Subject.source`.
        SubjectError: As :attr:`Subject.source`.
    """
    training = training_spec(subject.source)
    if training is None:
        return {}
    package, module = subject.package, subject.sample
    predicts = any(package.is_overridden(name, module) for name in ("predict_step", "forward"))
    runs = {"test_step": package.is_overridden("test_step", module), "predict_step": predicts}
    found = {}
    for step in (name for name, is_there in runs.items() if is_there):
        with suppress(SubjectError):
            spec = parse_batch_spec(searched(subject, step, training).text)
            found[step] = with_own_classes(spec, subject) if has_objects(spec.root) else spec
    return found
