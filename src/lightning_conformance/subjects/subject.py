"""The subject: a LightningModule under test, with how to construct it and how to feed it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_conformance.declaring import Declared, declared
from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.lightning_api import LightningPackage, is_datamodule, package_of
from lightning_conformance.subjects.arguments import parse_init
from lightning_conformance.subjects.batch_spec import BatchSpec, parse_batch_spec, spec_of
from lightning_conformance.subjects.config import configured_class, declared_file, load_config
from lightning_conformance.subjects.construct import Constructor
from lightning_conformance.subjects.feeding import SpecStore, inferred_source, own_source, with_own_classes
from lightning_conformance.subjects.guessing.settling import Unfit, error_with, settled
from lightning_conformance.subjects.own_loaders import first_own_batch
from lightning_conformance.subjects.sources import (
    BatchSource,
    LoaderBatches,
    from_batch,
    from_function,
    from_spec,
)
from lightning_conformance.subjects.target import Target, parse_target

_BATCH, _VAL_BATCH = "--lightning-batch", "--lightning-val-batch"
_TARGET_LIKE = re.compile(r"^[^\s\[\]{}()<>,]+:[A-Za-z_][\w.]*$")


@dataclass(frozen=True)
class SearchLimits:
    """What finding a batch may cost.

    Args:
        attempts: Training steps that may be tried to infer one.
        seconds: Seconds that inferring one may take.
        data_seconds: Seconds that the first batch of own dataloaders may take; None for no limit.
    """

    attempts: int = 200
    seconds: float = 8.0
    data_seconds: float | None = 30.0


@dataclass(frozen=True)
class SubjectOptions:
    """What the user said about one module.

    Args:
        init: Constructor arguments, each ``key=value`` or a JSON object; or a mapping of values.
        config: A file in LightningCLI's ``class_path``/``init_args`` form.
        batch: A batch spec, a target (``path:function``, ``path:DataModule``), a batch, or a callable.
        train_loss: Name under which the training loss is logged; empty for what the module's file declares.
        seed: Seeds construction, batches and the run.
        guess: Whether required constructor arguments that nobody gave may be guessed.
        val_batch: What a validation batch is, where it differs; as ``batch``, without a LightningDataModule.
    """

    init: tuple[str, ...] | Mapping[str, Any] = ()
    config: str = ""
    batch: Any = None
    train_loss: str = ""
    seed: int = 0
    guess: bool = False
    val_batch: Any = None


@dataclass(eq=False)
class Subject:
    """A LightningModule under test.

    Args:
        target: The user's words, parsed; or the class, factory or instance itself.
        options: What the user said about it.
        base: The folder that relative paths start from.
        name: A label for an object that no target names.
        limits: What finding a batch may cost.
        specs: Remembers what was inferred, where the caller has such a memory.

    ``own_data_fails`` becomes true when the module's own dataloaders were tried and do not work here;
    ``found_validation`` is a batch spec, once ``validation_step`` proved to take other batches than ``training_step``.
    """

    target: Target | Any
    options: SubjectOptions = field(default_factory=SubjectOptions)
    base: Path = field(default_factory=Path.cwd)
    name: str = ""
    limits: SearchLimits = field(default_factory=SearchLimits)
    specs: SpecStore | None = None
    own_data_fails: bool = field(default=False, init=False)
    doubts: tuple[str, ...] = field(default=(), init=False)
    found_validation: str | None = field(default=None, init=False)
    _remembered: str = field(default="", init=False, repr=False)
    _found: BatchSource | SubjectError | None = field(default=None, init=False, repr=False)

    @cached_property
    def label(self) -> str:
        """Short and stable, for node ids and messages."""
        if self.name:
            return self.name
        if isinstance(self.target, Target):
            return self.target.label
        named = self.target if hasattr(self.target, "__qualname__") else type(self.target)
        return f"{named.__module__}:{named.__qualname__}"

    @cached_property
    def object(self) -> Any:
        """The class, factory or instance.

        Raises:
            UsageError: The target does not name one.
            SubjectError: The user's file cannot be imported.
        """
        return self.target.resolve() if isinstance(self.target, Target) else self.target

    @cached_property
    def constructor(self) -> Constructor:
        """Makes fresh instances.

        Raises:
            UsageError: Constructor arguments that do not fit, a config that cannot be read.
        """
        obj, init = self.object, dict[str, Any]()
        declared, own = self.declared, declared_file(self.declared.config, self.object)
        for config, given in ((own, declared.init or ()), (self.options.config, self.options.init)):
            if config:
                class_path, configured = load_config(self.base / config)
                obj = configured_class(obj, class_path) if class_path else obj
                init.update(configured)
            init.update(given if isinstance(given, Mapping) else parse_init(given, obj))
        return Constructor(obj, label=self.label, init=init or None, guessing=self.options.guess)

    @cached_property
    def declared(self) -> Declared:
        """What the module's own file says about it.

        Raises:
            UsageError: It cannot be meant.
        """
        return declared(self.object, self.label)

    @property
    def train_loss(self) -> str:
        """Name under which the training loss is logged."""
        with suppress(SubjectError):
            return str(self.options.train_loss or self.declared.train_loss or "train_loss")
        return "train_loss"

    @property
    def given_batch(self) -> Any:
        """What is said of the batches: by the options, or else by the module's own file; None for nothing."""
        return self.declared.batch if self.options.batch is None else self.options.batch

    @property
    def given_validation(self) -> Any:
        """What is said of validation batches in particular; None for nothing."""
        return self.declared.val_batch if self.options.val_batch is None else self.options.val_batch

    def check_words(self) -> None:
        """See that what the user said can be meant: target, constructor arguments, batches.

        Raises:
            UsageError: It cannot.
            SubjectError: The user's file cannot be imported, so that nothing more can be said.
        """
        _ = self.object, self.constructor
        for given, option in ((self.given_batch, _BATCH), (self.given_validation, _VAL_BATCH)):
            if isinstance(given, str):
                self._read_batch(given, option)

    def build(self) -> Any:
        """A fresh instance; seed before you call.

        Raises:
            SubjectError: The user's file or constructor fails.
        """
        return self.constructor()

    @cached_property
    def sample(self) -> Any:
        """An instance to look at, never to run.

        Raises:
            SubjectError: As :meth:`build`.
        """
        return self.build()

    @cached_property
    def package(self) -> LightningPackage:
        """The Lightning package that the module subclasses.

        Raises:
            SubjectError: As :meth:`build`.
        """
        package = package_of(self.object if isinstance(self.object, type) else self.sample)
        if package is None:
            raise SubjectError("construct", f"{self.label} is no LightningModule.")
        return package

    @property
    def source(self) -> BatchSource:
        """What feeds the module: the user's words, its own data, or inference, in this order.

        Raises:
            UsageError: A batch spec or a target that cannot be read.
            SubjectError: The user's function raises, or no batch can be inferred.
        """
        # An outcome is kept either way: a search that failed is not made again for each check.
        if self._found is None:
            try:
                self._found = self._find_source()
            except SubjectError as error:
                self._found = error
        if isinstance(self._found, SubjectError):
            raise self._found
        return self._found

    def _find_source(self) -> BatchSource:
        if not self.constructor.needs_guess:
            return self._source_as_built()
        _ = self.sample
        return settled(self._source_as_guessed, self._guess_again, self.constructor.how_to_say, self._first_guess)

    def _source_as_guessed(self) -> BatchSource:
        source = self._source_as_built()
        if not source.inferred and (error := error_with(self.build, source)) is not None:
            raise Unfit(source, error)
        return source

    def _first_guess(self) -> None:
        vars(self).pop("sample", None)
        self.constructor.first_guess()

    def _guess_again(self, error: BaseException | None) -> bool:
        vars(self).pop("sample", None)
        self.notes.clear()
        return self.constructor.guess_again(error)

    def _source_as_built(self) -> BatchSource:
        if self.given_batch is not None:
            return self.source_of(self.given_batch, _BATCH)
        own = own_source(self)
        if own is not None:
            return own
        source, self._remembered = inferred_source(self)
        return source

    def renew_source(self) -> bool:
        """Forget a batch spec that an earlier run inferred, so that :attr:`source` searches again.

        Returns:
            Whether there was one: what was remembered must not become a verdict.
        """
        if not self._remembered or self.specs is None:
            return False
        self.specs.forget(self._remembered)
        self._remembered, self._found, self.doubts = "", None, ()
        self.notes.clear()
        self.notes.append("The batch that an earlier run inferred no longer fits; it was inferred anew.")
        return True

    @property
    def step_specs(self) -> dict[str, BatchSpec]:
        """What ``test_step`` and ``predict_step`` take, by name; searched at each call.

        Raises:
            UsageError: As :attr:`source`.
            SubjectError: As :attr:`source`.
        """
        from lightning_conformance.subjects.validating import step_specs

        return step_specs(self)

    def source_of(self, given: Any, option: str) -> BatchSource:
        """What feeds the module by the user's words under an option.

        Raises:
            UsageError: They cannot be read.
            SubjectError: The user's function raises.
        """
        seed = self.options.seed
        word = option.removeprefix("--lightning-").replace("-", "_")
        if not isinstance(given, str):
            return from_function(given, word, seed) if callable(given) else from_batch(given, word)
        named = self._read_batch(given, option)
        if isinstance(named, BatchSpec):
            return from_spec(with_own_classes(named, self), option, seed)
        if is_datamodule(named) or is_datamodule(type(named)):
            return self._datamodule_source(named() if isinstance(named, type) else named, given)
        return from_function(named, given, seed)

    def _read_batch(self, given: str, option: str) -> Any:
        """A batch spec, or the function or LightningDataModule that a target names."""
        if not _TARGET_LIKE.match(given):
            return parse_batch_spec(given)
        named = parse_target(given, self.base).resolve_any()
        if not (callable(named) or is_datamodule(type(named))):
            raise UsageError(f"{option}={given} names neither a function nor a LightningDataModule.")
        return named

    def _datamodule_source(self, datamodule: Any, origin: str) -> BatchSource:
        batch = first_own_batch(self.build, self.package, datamodule, self.limits.data_seconds)
        return LoaderBatches(origin, str(spec_of(batch)), datamodule, batch)

    @cached_property
    def notes(self) -> list[str]:
        """What the kit decided by itself, one sentence each."""
        return []

    @property
    def guessed(self) -> tuple[str, ...]:
        """Constructor arguments that nobody gave: options to paste, or words where an argument is no plain data."""
        return self.constructor.guessed

    @property
    def init_text(self) -> str:
        """How the module is constructed, pasteable; empty where nothing was said."""
        return self.constructor.describe()
