"""Ranks: what one of several processes asks of the others, writes, and has in the end.

It runs in a process that was forked for this run alone and ends with it, so that little is undone.
"""

from __future__ import annotations

import builtins
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch

from lightning_conformance.recording.digests import Digests
from lightning_conformance.recording.events_ranks import GRADIENTS, Collective, RankState
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.metrics import as_number
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import LogCall, Place, Seen
from lightning_conformance.recording.setup import Rank

# Methods of a process group, by what torch.distributed calls them.
_COLLECTIVES = {
    "allreduce": "all_reduce",
    "allreduce_coalesced": "all_reduce",
    "allgather": "all_gather",
    "allgather_coalesced": "all_gather",
    "_allgather_base": "all_gather",
    "broadcast": "broadcast",
    "barrier": "barrier",
    "monitored_barrier": "barrier",
    "reduce": "reduce",
    "gather": "gather",
    "scatter": "scatter",
    "reduce_scatter": "reduce_scatter",
    "_reduce_scatter_base": "reduce_scatter",
    "alltoall": "all_to_all",
    "alltoall_base": "all_to_all",
}
# The process that started this one is the judge of what takes too long.
_NEVER = timedelta(days=1)


class RankWatch(Instrument):
    """Lets the processes meet, and watches one of them."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._rank: Rank | None = run.setup.rank
        self._written: Counter[tuple[str, Place]] = Counter()
        self._unused: tuple[str, ...] = ()
        self._trained: list[str] = []
        self._averages = self._is_over = False
        self._logged: set[tuple[str, Place | None]] = set()
        if self._rank is not None:
            moved, add = self._rank.moved, run.tape.add
            run.tape.listeners.append(lambda owner, name, begins: moved())

            def tell_and_add(event: Seen) -> None:
                self._tell_log(event)
                add(event)

            run.tape.add = tell_and_add  # type: ignore[method-assign]

    def watching(self) -> AbstractContextManager[Any]:
        """Watch what the process writes."""
        if self._rank is None:
            return nullcontext()
        sys.addaudithook(self._audit)
        return self._saving()

    def begin(self, trainer: Any) -> None:
        """Have the process group made where Lightning would, without a port."""
        rank = self._rank
        if rank is None:
            return
        # Not every torch has it.
        from torch.distributed import FileStore  # type: ignore[attr-defined]

        strategy, run = trainer.strategy, self.run
        environment = strategy.setup_environment

        def setup_environment(*args: Any, **kwargs: Any) -> Any:
            count = run.setup.environment.ranks
            store = FileStore(str(rank.folder / "store"), count)
            torch.distributed.init_process_group("gloo", None, _NEVER, count, rank.number, store)
            self._watch_group()
            return environment(*args, **kwargs)

        strategy.setup_environment = setup_environment
        if hasattr(strategy, "on_exception"):
            self._read_before_it_is_reworded(strategy)

    def _read_before_it_is_reworded(self, strategy: Any) -> None:
        """Lightning 2 puts words of its own in the place of DDP's, which name parameters; 1.9 does not."""
        reword = strategy.on_exception

        def on_exception(error: BaseException, *args: Any, **kwargs: Any) -> Any:
            self._unused = self._unused_in(str(error))
            return reword(error, *args, **kwargs)

        strategy.on_exception = on_exception

    def callback(self) -> Any:
        """Told of an exception: what a rank then calls on its way out is no operation of the run."""

        def is_over() -> None:
            self._is_over = True

        class Ending(self.run.package.Callback):  # type: ignore[misc, name-defined]
            def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
                is_over()

        return Ending() if self._rank is not None else None

    def end(self, trainer: Any) -> None:
        """Write down what is compared with the other ranks."""
        if self._rank is None:
            return
        metrics = dict(getattr(trainer, "callback_metrics", {})) if trainer is not None else {}
        numbers = {str(name): as_number(value) for name, value in metrics.items()}
        known = {name: value for name, value in numbers.items() if value is not None}
        parameters = Digests(self.run.module).parameters
        self.run.tape.add(RankState(self.run.tape.now, parameters, known, dict(self._written), self._unused))

    def _watch_group(self) -> None:
        group = type(torch.distributed.distributed_c10d._get_default_group())
        for method, operation in _COLLECTIVES.items():
            if hasattr(group, method):
                setattr(group, method, self._telling(getattr(group, method), operation))
        _after_init(torch.nn.parallel.DistributedDataParallel, self._watch_gradients)

    def _telling(self, method: Any, operation: str) -> Any:
        def told(group: Any, *args: Any, **kwargs: Any) -> Any:
            if self._averages or self._is_over or group.size() < self.run.setup.environment.ranks:
                return method(group, *args, **kwargs)
            self._tell(operation)
            return method(group, *args, **kwargs)

        return told

    def _tell(self, operation: str) -> None:
        assert self._rank is not None
        self._rank.tell(Collective(self.run.tape.now, operation, self.run.places.here()))
        self._rank.moved()

    def _tell_log(self, event: Seen) -> None:
        """The first call of each name and line: what only one rank logs may be reduced without the others."""
        if self._rank is not None and isinstance(event, LogCall) and (event.name, event.place) not in self._logged:
            self._logged.add((event.name, event.place))
            self._rank.tell(event)

    def _watch_gradients(self, model: Any) -> None:
        # Lightning 2.0 wraps the module, and its parameters have other names there.
        names = {id(p): name for name, p in self.run.module.named_parameters()}
        self._trained = [names.get(id(p), name) for name, p in model.module.named_parameters() if p.requires_grad]
        # torch reads the annotations of a function, and takes the words of this file for others.
        model.register_comm_hook(None, lambda state, bucket: self._average(bucket))

    def _average(self, bucket: Any) -> Any:
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        self._tell(GRADIENTS)
        self._averages = True
        try:
            return allreduce_hook(None, bucket)  # type: ignore[arg-type]
        finally:
            self._averages = False

    def _unused_in(self, message: str) -> tuple[str, ...]:
        """The parameters that DDP's message means, by their place among those that are trained."""
        match = re.search(r"Parameter indices which did not receive grad for rank \d+: ([\d ]+)", message)
        indices = map(int, match[1].split()) if match else ()
        return tuple(self._trained[index] for index in indices if index < len(self._trained))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and set("wax+") & set(str(arguments[1] or "")):
            self._wrote(arguments[0])

    @contextmanager
    def _saving(self) -> Iterator[None]:
        def save(original: Any, what: Any, file: Any, *args: Any, **kwargs: Any) -> Any:
            if not hasattr(file, "write"):
                self._wrote(str(file))
            return original(what, file, *args, **kwargs)

        def say(original: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("file") in (None, sys.stdout, sys.stderr):
                self._wrote("")
            return original(*args, **kwargs)

        with wrapped(torch, "save", save), wrapped(builtins, "print", say):
            yield

    def _wrote(self, path: str) -> None:
        """Count what the user's own line prints or writes; a file's name is that of all ranks' common folder."""
        place = self.run.places.here()
        if place is not None and self.run.places.is_own(place.file):
            self._written[path.replace(str(self.run.folder), "").lstrip("/"), place] += 1


def _after_init(cls: Any, then: Any) -> None:
    init = cls.__init__

    def initialised(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        then(self)

    cls.__init__ = initialised
