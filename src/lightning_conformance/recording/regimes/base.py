"""What the regimes have in common: a plain fit, with little written down."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.recording.facts import tensor_facts
from lightning_conformance.recording.instruments.hooks import hook_profiler
from lightning_conformance.recording.instruments.metrics import recording_logger
from lightning_conformance.recording.model import LossSeen
from lightning_conformance.recording.setup import Setup, unheard_warnings
from lightning_conformance.recording.tape import Tape


class DoesNotApply(Exception):
    """Raised by a regime that has nothing to show with this module; the message says why."""


@dataclass
class PlainRun:
    """A fit that is over: live objects, and the tape with hooks, logged values and losses."""

    module: Any
    trainer: Any
    tape: Tape

    @property
    def losses(self) -> list[float | None]:
        """What each call of ``training_step`` returned, in order; None where that is no number."""
        return [event.value for event in self.tape.events if isinstance(event, LossSeen)]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is there as long as the context."""
    with tempfile.TemporaryDirectory(prefix="lightning-conformance-") as name:
        yield Path(name)


def plain_fit(setup: Setup, where: Path, *, module: Any = None, ckpt_path: str | None = None, **more: Any) -> PlainRun:
    """Train a new instance, or the one that is given; warnings are not heard.

    Args:
        where: Folder to write into.
        ckpt_path: Checkpoint to go on from.
        more: Arguments of the Trainer that replace the usual ones.

    Raises:
        Exception: Whatever the run raises.
    """
    tape = Tape()
    module = setup.build() if module is None else module
    logger = recording_logger(setup.package, tape, where)
    trainer = setup.trainer(where, **{"logger": logger, "profiler": hook_profiler(setup.package, tape), **more})
    _note_losses(trainer, tape)
    with unheard_warnings(), setup.package.fresh_warning_caches():
        setup.fit(trainer, module, **({"ckpt_path": ckpt_path} if ckpt_path else {}))
    return PlainRun(module, trainer, tape)


def _note_losses(trainer: Any, tape: Tape) -> None:
    step = trainer.strategy.training_step

    def training_step(*args: Any, **kwargs: Any) -> Any:
        returned = step(*args, **kwargs)
        loss = returned.get("loss") if isinstance(returned, dict) else returned
        value = tensor_facts(loss).value if isinstance(loss, torch.Tensor) else None
        tape.epoch = int(trainer.current_epoch)
        tape.add(LossSeen(tape.now, value))
        return returned

    trainer.strategy.training_step = training_step
