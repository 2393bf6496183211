"""How a subject is run in an environment, once it was found out what does not fit it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_conformance.environments import Environment
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.recording.isolation import quiet_lightning, seed_everything
from lightning_conformance.recording.model import Settled
from lightning_conformance.subjects.inference.steps import needs_loader_index
from lightning_conformance.subjects.sources import BatchSource, Plan
from lightning_conformance.subjects.subject import Subject

FIND_UNUSED = "ddp_find_unused_parameters_true"


@dataclass(frozen=True)
class Rank:
    """This process, where several train together.

    Args:
        number: Which one it is, from 0.
        folder: A folder of this run that all of them share.
        tell: Sends something to the process that started them, at once.
        moved: Says that it is not stuck.
    """

    number: int
    folder: Path
    tell: Callable[[Any], None]
    moved: Callable[[], None]


@dataclass(frozen=True)
class Setup:
    """What every run of a subject in an environment has in common.

    Args:
        source: Feeds the run.
        plan: How long the run is.
        settled: What the ``train`` regime found out that the subject needs.
        rank: This process, where several train together; None for the one process of an ordinary run.
    """

    subject: Subject
    environment: Environment
    source: BatchSource
    plan: Plan
    settled: Settled = field(default_factory=Settled)
    rank: Rank | None = None

    @property
    def package(self) -> LightningPackage:
        """The Lightning package that the subject belongs to."""
        return self.subject.package

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder for the run to write into, which goes away with it."""
        if self.rank is not None:
            yield self.rank.folder
            return
        with tempfile.TemporaryDirectory(prefix="lightning-conformance-") as name:
            yield Path(name)

    def build(self) -> Any:
        """A new instance, built with the plan's seed.

        Raises:
            SubjectError: It cannot be built, or is no initialised module.
        """
        seed_everything(self.plan.seed)
        with unheard_warnings():
            module = _initialised(self.subject.build(), self.subject.label)
        # The user's factory may have imported Lightning only now, and Lightning sets its log level then.
        quiet_lightning()
        return module

    def trainer(self, folder: Path, **more: Any) -> Any:
        """A Trainer of the plan's length in the environment, which writes nothing but into ``folder``.

        Args:
            more: Arguments of the Trainer that add to those, or replace them.
        """
        arguments: dict[str, Any] = {
            **self.environment.trainer_arguments(),
            **({"strategy": FIND_UNUSED} if self.settled.find_unused else {}),
            "max_epochs": self.plan.epochs,
            "limit_train_batches": self.plan.batches,
            "limit_val_batches": self.plan.validation_batches,
            "log_every_n_steps": 1,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(folder),
            "plugins": self.package.single_device_plugins(),
        }
        return self.package.Trainer(**{**arguments, **more})

    def fit(self, trainer: Any, module: Any, **more: Any) -> None:
        """Train, seeded, with the batches of the source.

        Args:
            more: Further arguments of ``Trainer.fit``, such as ``ckpt_path``.
        """
        arguments = self.fit_arguments(module)
        if "train_dataloaders" in arguments and self.subject.own_data_fails:
            module.prepare_data = _nothing
        seed_everything(self.plan.seed)
        trainer.fit(module, **{**arguments, **more})
        if str(getattr(trainer.state, "status", "")).lower().endswith("interrupted"):
            raise KeyboardInterrupt

    def fit_arguments(self, module: Any) -> dict[str, Any]:
        """The arguments of ``Trainer.fit`` that feed the module: loaders, a DataModule, or none."""
        settled = self.settled
        validation = settled.validation and self.package.is_overridden("validation_step", module)
        arguments = self.source.fit_arguments(self.plan, ragged=settled.ragged, validation=validation)
        if "val_dataloaders" in arguments:
            loaders = max(settled.loaders, 1 + needs_loader_index(module.validation_step))
            if loaders > 1:
                arguments["val_dataloaders"] = [arguments["val_dataloaders"]] * loaders
        return arguments


@contextmanager
def unheard_warnings() -> Iterator[None]:
    """Give no Python warning meanwhile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _initialised(module: Any, label: str) -> Any:
    """The module, as it is.

    Raises:
        SubjectError: Its constructor never called that of LightningModule.
    """
    if "_parameters" not in vars(module):
        message = f"{label} cannot be used: its __init__ does not call super().__init__()."
        raise SubjectError("construct", message, "super().__init__()  # first line of __init__")
    return module


def _nothing() -> None:
    """Stands for a ``prepare_data`` that cannot work here."""
