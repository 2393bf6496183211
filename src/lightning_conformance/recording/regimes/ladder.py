"""Short fits with batches of other sizes, and ``forward`` on a batch of which one sample is replaced."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from lightning_conformance.recording.events_batches import SizeTried
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.model import Moment, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.regimes.rows import ForwardCalls
from lightning_conformance.recording.setup import Setup
from lightning_conformance.recording.tape import Tape
from lightning_conformance.subjects.batch_spec import slice_batch
from lightning_conformance.subjects.sources import MadeBatches, identity
from lightning_conformance.subjects.validating import WithValidation

_SMALL = (1, 2, 3)
# A prime, so that no other dimension of the batch is likely to be the same.
_PRIMES = (7, 11, 13)


def record(setup: Setup, blank: Recording) -> Recording:
    """A fit for each size."""
    made = made_batches(setup)
    usual = made.full_size if made is not None else None
    if made is None or usual is None:
        raise DoesNotApply("the batches come from a loader that decides their size")
    prime = next((p for p in _PRIMES if not re.search(rf"\b{p}\b", made.text)), _PRIMES[-1])
    # Training has tried the usual size and, as a rule, a smaller last batch.
    known = {usual, *(made.sizes(setup.plan, ragged=setup.settled.ragged) or ())}
    sizes = [size for size in _SMALL if size not in known and (made.sized or size < usual)]
    # Samples are compared in a batch whose size no other dimension has, where such a batch can be made.
    compared = prime if made.sized else usual
    events: list[Any] = []
    with folder() as where:
        plan = replace(setup.plan, epochs=1, batches=2, validation_batches=1)
        for size in (*sizes, compared):
            sized = _Sized(setup.subject, setup.environment, setup.source, plan, setup.settled, made=made, size=size)
            events += _try(sized, usual, where, rows=size == compared)
    return replace(blank, tape=tuple(events))


def made_batches(setup: Setup) -> MadeBatches | None:
    """The batches that the kit makes; None where a loader gives them."""
    source = setup.source.training if isinstance(setup.source, WithValidation) else setup.source
    return source if isinstance(source, MadeBatches) else None


@dataclass(frozen=True)
class _Sized(Setup):
    """One usual training batch, then one of another size; validation with the other size alone."""

    made: MadeBatches | None = None
    size: int = 0

    def _sized(self, index: int) -> Any:
        assert self.made is not None
        if self.made.sized:
            return self.made.make(index, self.size)
        return slice_batch(self.made.make(index, None), self.size)

    def fit_arguments(self, module: Any) -> dict[str, Any]:
        """The usual ones, with loaders over these batches."""
        assert self.made is not None
        arguments = super().fit_arguments(module)
        arguments["train_dataloaders"] = _loader([self.made.make(0, None), self._sized(1)])
        own = isinstance(self.source, WithValidation) or self.source.own_validation
        if "val_dataloaders" in arguments and not own:
            several = isinstance(arguments["val_dataloaders"], list)
            count = len(arguments["val_dataloaders"]) if several else 1
            loaders = [_loader([self._sized(1000)]) for _ in range(count)]
            arguments["val_dataloaders"] = loaders if several else loaders[0]
        return arguments


def _loader(batches: Any) -> Any:
    return DataLoader(batches, batch_size=None, collate_fn=identity)


def _try(setup: _Sized, usual: int, where: Path, *, rows: bool) -> list[Any]:
    module = setup.build()
    tape, places = Tape(), Places(source_files(module))
    calls = ForwardCalls(module) if rows else None
    at = Moment("train", 0, 1, "")
    try:
        run = plain_fit(setup, where, module=module, profiler=hook_profiler(setup.package, tape))
    except Exception as error:
        moment = tape.failed_at or tape.now
        failure = failure_of(error, stage="fit", at=moment, places=places)
        return [SizeTried(at, setup.size, usual, moment.hook, failure)]
    loss = run.losses[-1] if run.losses else None
    events: list[Any] = [SizeTried(at, setup.size, usual, loss=loss)]
    if calls is not None:
        events.append(calls.compare(setup.size, places, at))
    return events
