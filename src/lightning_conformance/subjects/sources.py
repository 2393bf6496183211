"""Where batches come from: a spec, the user's function, loaders, a DataModule, or inference."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.distributed import DistributedSampler

from lightning_conformance.errors import SubjectError
from lightning_conformance.subjects.batch_spec import BatchSpec, batch_size_of, describe, slice_batch
from lightning_conformance.subjects.loaders import are_loaders, first_of


@dataclass(frozen=True)
class Plan:
    """How long a run is.

    Args:
        epochs: Training epochs.
        batches: Training batches an epoch.
        validation_batches: Validation batches an epoch.
        seed: Seeds the module, the run and the batches.
        ranks: Processes that share the batches; each gets as many.
        rank: Which of them this is.
    """

    epochs: int = 2
    batches: int = 4
    validation_batches: int = 2
    seed: int = 0
    ranks: int = 1
    rank: int = 0


class BatchSource(Protocol):
    """Something that feeds a run."""

    @property
    def origin(self) -> str:
        """Where the batches come from, in the user's words."""
        ...

    @property
    def text(self) -> str:
        """What a batch looks like; the pasteable notation where there is one."""
        ...

    @property
    def inferred(self) -> bool:
        """Whether the kit, not the user, decided what a batch is."""
        ...

    @property
    def ragged(self) -> bool:
        """Whether the source can make the last batch smaller."""
        ...

    @property
    def own_validation(self) -> bool:
        """Whether validation batches are the user's own, not training batches used again."""
        ...

    def batch(self) -> Any:
        """One batch, on the CPU."""
        ...

    def sizes(self, plan: Plan, *, ragged: bool) -> list[int] | None:
        """Samples in each planned training batch; None where only the batch itself can tell."""
        ...

    def fit_arguments(self, plan: Plan, *, ragged: bool, validation: bool) -> dict[str, Any]:
        """Arguments of ``Trainer.fit`` that feed it."""
        ...


def identity(batch: Any) -> Any:
    """Collate nothing (a DataLoader's default would turn tuples into lists)."""
    return batch


class _Batches(Dataset[Any]):
    """Batches by index, made anew each time, so that a batch changed in place stays one batch."""

    def __init__(self, make: Callable[[int], Any], length: int) -> None:
        self._make, self._length = make, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return self._make(index)


def _loader(make: Callable[[int], Any], length: int, plan: Plan) -> DataLoader[Any]:
    batches = _Batches(make, length * plan.ranks)
    dealt: Sampler[int] | None = None
    if plan.ranks > 1:
        # Lightning's own would shuffle them.
        dealt = DistributedSampler(batches, plan.ranks, plan.rank, shuffle=False)
    return DataLoader(batches, batch_size=None, collate_fn=identity, sampler=dealt)


@dataclass(frozen=True)
class MadeBatches:
    """Batches made one by one: from a spec, or by a function.

    Args:
        make: ``make(index, size)`` gives a batch; ``size`` None means its own size. Batches differ
            by index and are the same for the same index.
        full_size: Samples in a full batch, where known.
        sized: Whether ``make`` heeds ``size``; if not, a smaller batch is sliced.
        spec: What they are made from, where it is a spec.
    """

    origin: str
    text: str
    make: Callable[[int, int | None], Any]
    full_size: int | None
    sized: bool
    inferred: bool = False
    own_validation: bool = False
    spec: BatchSpec | None = None

    @property
    def ragged(self) -> bool:
        """A last batch can be smaller where a full one has at least three samples."""
        return self._smaller is not None

    @property
    def _smaller(self) -> int | None:
        # Never one: BatchNorm rightly refuses to train on a batch of one.
        return max(2, (self.full_size + 1) // 2) if self.full_size and self.full_size > 2 else None

    def batch(self) -> Any:
        """The first batch."""
        return self.make(0, None)

    def sizes(self, plan: Plan, *, ragged: bool) -> list[int] | None:
        """The sizes that ``make`` is asked for."""
        if not self.sized or self.full_size is None:
            return None
        smaller = self._smaller if ragged else None
        return [self.full_size] * (plan.batches - 1) + [smaller or self.full_size]

    def fit_arguments(self, plan: Plan, *, ragged: bool, validation: bool) -> dict[str, Any]:
        """A training loader, and a validation loader where there is something to validate."""
        arguments = {"train_dataloaders": self._stream(0, plan.batches, plan, ragged)}
        if validation:
            arguments["val_dataloaders"] = self._stream(1000, plan.validation_batches, plan, ragged)
        return arguments

    def _stream(self, offset: int, length: int, plan: Plan, ragged: bool) -> DataLoader[Any]:
        def make(index: int) -> Any:
            last = ragged and self.ragged and index // plan.ranks == length - 1
            return self._small(offset + index) if last else self.make(offset + index, None)

        return _loader(make, length, plan)

    def _small(self, index: int) -> Any:
        if self.sized:
            return self.make(index, self._smaller)
        batch = self.make(index, None)
        sliced = slice_batch(batch, self._smaller) if self._smaller else None
        return batch if sliced is None else sliced


def from_spec(spec: BatchSpec, origin: str, seed: int, *, inferred: bool = False) -> MadeBatches:
    """Batches with the structure of a spec and new values each."""

    def make(index: int, size: int | None) -> Any:
        generator = torch.Generator().manual_seed(seed * 100_003 + index)
        return spec.generate(batch_size=size, generator=generator)

    return MadeBatches(origin, str(spec), make, spec.batch_size, True, inferred, spec=spec)


def from_function(function: Callable[..., Any], origin: str, seed: int) -> BatchSource:
    """Batches that the user's function makes.

    The function takes nothing, or a ``batch_size``. It may return a batch, or a DataLoader, or several: a dict or list
    of them, or a ``CombinedLoader``.

    Raises:
        SubjectError: The function raises.
    """
    takes_size = "batch_size" in inspect.signature(function).parameters

    def make(index: int, size: int | None) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 100_003 + index)
            return function(**({"batch_size": size} if takes_size and size is not None else {}))

    try:
        first = make(0, None)
    except Exception as error:
        raise SubjectError("batch", f"{origin} raised {type(error).__name__}: {error}", cause=error) from error
    if are_loaders(first):
        return LoaderBatches(origin, describe(first_of(first)), first)
    return MadeBatches(origin, describe(first), make, batch_size_of(first), takes_size)


def from_batch(batch: Any, origin: str) -> MadeBatches:
    """The same batch again and again (cloned, so that a change in place does not last)."""
    return MadeBatches(origin, describe(batch), lambda index, size: copy.deepcopy(batch), batch_size_of(batch), False)


@dataclass(frozen=True)
class LoaderBatches:
    """Batches of the user's own loader, DataModule or ``train_dataloader``.

    Args:
        loader: One loader or several, a LightningDataModule, or None for the module's own loaders.
    """

    origin: str
    text: str
    loader: Any = None
    first: Any = None
    inferred: bool = False
    ragged: bool = False

    @property
    def own_validation(self) -> bool:
        """A DataModule and a module bring their own validation batches."""
        return not are_loaders(self.loader)

    def batch(self) -> Any:
        """The first batch."""
        return first_of(self.loader) if are_loaders(self.loader) else copy.deepcopy(self.first)

    def sizes(self, plan: Plan, *, ragged: bool) -> list[int] | None:
        """The loader decides."""
        return None

    def fit_arguments(self, plan: Plan, *, ragged: bool, validation: bool) -> dict[str, Any]:
        """The loader, the DataModule, or nothing."""
        if self.loader is None:
            return {}
        if not are_loaders(self.loader):
            return {"datamodule": self.loader}
        arguments = {"train_dataloaders": self.loader}
        if validation:
            # Several validation loaders would be taken one after the other, where training takes them together.
            is_one = isinstance(self.loader, DataLoader)
            arguments["val_dataloaders"] = (
                self.loader if is_one else _loader(lambda index: self.batch(), plan.validation_batches, plan)
            )
        return arguments
