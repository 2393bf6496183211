"""What feeds a subject that nobody said a batch for: its own data, or inference.

In this order: a LightningDataModule that the module carries, the module's own ``train_dataloader``, and a search,
which starts from ``example_input_array`` and from the annotations of ``training_step`` and ``forward``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from lightning_conformance.deadline import deadline
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import is_datamodule
from lightning_conformance.subjects.annotations import annotated_batch, annotated_inputs
from lightning_conformance.subjects.batch_classes import classes_known_to, has_objects, with_classes
from lightning_conformance.subjects.batch_spec import (
    BatchSpec,
    Node,
    map_tensors,
    parse_batch_spec,
    spec_of,
    tensors_of,
)
from lightning_conformance.subjects.environment_errors import told
from lightning_conformance.subjects.fingerprint import fingerprint
from lightning_conformance.subjects.guessing.settling import GUESSED_LIMITS
from lightning_conformance.subjects.inference import infer_batch
from lightning_conformance.subjects.own_loaders import TooSlow, first_own_batch
from lightning_conformance.subjects.sources import BatchSource, LoaderBatches, from_spec

if TYPE_CHECKING:
    from lightning_conformance.subjects.subject import Subject


@dataclass(frozen=True)
class FoundSpec:
    """What a search found, in words that can be kept.

    Args:
        text: The batch spec.
        doubts: What makes it less than certain.
        notes: How it was found.
        remembered: Whether an earlier search found it.
    """

    text: str
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remembered: bool = False


class SpecStore(Protocol):
    """Remembers what searches found, under what they depend on."""

    def find(self, key: str, search: Any) -> FoundSpec:
        """What is remembered under ``key``; else what ``search()`` finds, which is remembered from now on."""
        ...

    def forget(self, key: str) -> None:
        """What was remembered proved wrong."""
        ...


def own_source(subject: Subject) -> BatchSource | None:
    """The data that the module brings along; None, with a note, where it does not work here."""
    carried = [(name, value) for name, value in vars(subject.sample).items() if is_datamodule(type(value))]
    if len(carried) == 1:
        name, datamodule = carried[0]
        found = _tried(subject, f"its own {name}", f"Its own datamodule (self.{name})", datamodule)
        if found is not None:
            return found
    if subject.package.is_overridden("train_dataloader", subject.sample):
        return _tried(subject, "its own train_dataloader", "Its own train_dataloader", None)
    return None


def _tried(subject: Subject, origin: str, called: str, datamodule: Any) -> BatchSource | None:
    try:
        batch = first_own_batch(subject.build, subject.package, datamodule, subject.limits.data_seconds)
    except SubjectError as error:
        subject.own_data_fails = subject.own_data_fails or datamodule is None
        subject.notes.append(f"{called} could not be used: {error.message}")
        return None
    return LoaderBatches(origin, str(spec_of(batch)), datamodule, batch)


def inferred_source(subject: Subject) -> tuple[BatchSource, str]:
    """Batches of the spec that a search finds, or found before; and the key under which it is remembered.

    Raises:
        SubjectError: None is found.
    """
    # With guessed arguments the batch depends on the guess, which the search may change.
    is_kept = subject.specs is not None and not subject.constructor.needs_guess
    key = fingerprint(subject) if is_kept else ""
    if subject.specs is not None and key:
        found = subject.specs.find(key, lambda: searched(subject))
    else:
        found = searched(subject)
    if found.remembered:
        subject.notes.append("The batch was inferred in an earlier run, and nothing that it depends on has changed.")
    subject.notes.extend(found.notes)
    subject.doubts = found.doubts
    spec = with_own_classes(parse_batch_spec(found.text), subject)
    return from_spec(spec, "inferred", subject.options.seed, inferred=True), key if found.remembered else ""


def searched(subject: Subject) -> FoundSpec:
    """Search, from what the module says of its batch.

    Raises:
        SubjectError: None is found.
    """
    seed = _annotation(subject)
    example, told_by = _examples(subject)
    limits = subject.limits
    guessed = GUESSED_LIMITS if subject.constructor.needs_guess else {}
    found = infer_batch(
        lambda: build_without_data(subject),
        **{"budget_attempts": limits.attempts, "budget_seconds": limits.seconds, **guessed},
        example=example,
        seed=seed,
    )
    notes = []
    if found.seeded:
        notes.append("The search started from the annotation of training_step's batch.")
    elif seed is not None:
        notes.append("No step runs with a batch as training_step annotates it; the annotation was left aside.")
    if told_by and not found.seeded:
        notes.append(f"The search took its inputs from {told_by}.")
    return FoundSpec(str(found.spec), found.doubts, tuple(notes))


def with_own_classes(spec: BatchSpec, subject: Subject) -> BatchSpec:
    """A spec whose objects are of the user's own classes, where he has classes of these names."""
    if not has_objects(spec.root):
        return spec
    cls = type(subject.sample)
    return replace(spec, root=with_classes(spec.root, classes_known_to(cls, _annotation(subject))))


def _annotation(subject: Subject) -> Node | None:
    # Annotations are somebody's expressions: evaluating them may do anything.
    with suppress(Exception):
        return annotated_batch(type(subject.sample))
    return None


def _examples(subject: Subject) -> tuple[Node | None, str]:
    """The inputs that are known, and what says so."""
    with suppress(Exception):
        example = getattr(subject.sample, "example_input_array", None)
        if example is not None:
            return _example_node(example), "example_input_array"
    with suppress(Exception):
        inputs = annotated_inputs(type(subject.sample))
        return inputs, "the annotations of forward" if inputs is not None else ""
    return None, ""


def _example_node(example: Any) -> Node:
    """The example's structure; a placeholder of nothing but zeros or ones says nothing about ranges."""
    root = spec_of(example).symbolic().root
    seen = list(tensors_of(example))
    constant = [bool((tensor == tensor.flatten()[:1]).all()) for tensor in seen]
    if len(constant) != len(BatchSpec(root).tensors):
        return root
    each = iter(constant)
    return map_tensors(root, lambda spec: replace(spec, low=None, high=None, whole=False) if next(each) else spec)


def build_without_data(subject: Subject) -> Any:
    """A fresh instance whose ``prepare_data`` may fail: a search for batches does not need its data."""
    module = subject.build()
    if subject.package.is_overridden("prepare_data", module):
        prepare, limits = module.prepare_data, subject.limits

        def prepare_data() -> None:
            if subject.own_data_fails:
                return
            try:
                with deadline(min(limits.data_seconds or limits.seconds, limits.seconds / 2), TooSlow):
                    prepare()
            except (Exception, TooSlow) as error:
                subject.own_data_fails = True
                subject.notes.append(f"Its own prepare_data fails, and was left out: {told(error)}")

        module.prepare_data = prepare_data
    return module
