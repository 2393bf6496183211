"""Fits under a plain Trainer, as a user would run them; nothing watches."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.subjects.inference.steps import needs_loader_index
from lightning_conformance.subjects.sources import Plan
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target
from lightning_conformance.subjects.validating import with_validation

PLAN = Plan()
EXAMPLES = {
    "classifier.py:Classifier": "x: float[8,20], y: int[8]<3",
    "regression.py:Regressor": "x: float[8,10], y: float[8,1]",
    "gan.py:GAN": "images: float[8,784], labels: int[8]<10",
    "language_model.py:LanguageModel": "{tokens: int[8,16]<64}",
    "own_dataloaders.py:Spirals": None,
}


def example_target(name: str) -> str:
    """Of a clean module of ``examples/``."""
    return str(Path(__file__).parents[1] / "examples" / name)


def example_subject(name: str) -> Subject:
    """A clean module of ``examples/``, with its batches."""
    return Subject(parse_target(example_target(name), Path.cwd()), SubjectOptions(batch=EXAMPLES[name]))


def plain_trainer(package: LightningPackage, folder: str, **arguments: Any) -> Any:
    """A Trainer on the CPU that writes into ``folder`` alone, and no progress bar to the terminal."""
    quiet = {"enable_progress_bar": False, "default_root_dir": folder}
    return package.Trainer(**{"accelerator": "cpu", "devices": 1, **quiet, **arguments})


def two_epochs(package: LightningPackage, folder: str) -> Any:
    """A Trainer of 2 epochs of 4 batches, with a logger, checkpoints, a sanity check and the summary."""
    logger = importlib.import_module(f"{package.name}.loggers.csv_logs").CSVLogger(folder)
    return plain_trainer(
        package,
        folder,
        max_epochs=PLAN.epochs,
        limit_train_batches=PLAN.batches,
        limit_val_batches=PLAN.validation_batches,
        log_every_n_steps=1,
        logger=logger,
    )


def one_batch(package: LightningPackage, folder: str) -> Any:
    """``Trainer(fast_dev_run=True)``."""
    return plain_trainer(package, folder, fast_dev_run=True)


def loaders(subject: Subject, module: Any) -> dict[str, Any]:
    """What ``Trainer.fit`` is given beside the module: batches as the kit makes them, the last one smaller.

    Raises:
        SubjectError: There is nothing to feed it.
    """
    package = subject.package
    if subject.given_batch is None and package.is_overridden("train_dataloader", module):
        return {}
    source = with_validation(subject, subject.source)
    validates = package.is_overridden("validation_step", module)
    arguments = source.fit_arguments(PLAN, ragged=source.ragged, validation=validates)
    if "val_dataloaders" in arguments and needs_loader_index(module.validation_step):
        arguments["val_dataloaders"] = [arguments["val_dataloaders"]] * 2
    return arguments


def fit_plainly(subject: Subject, trainer_of: Any) -> None:
    """Fit a new instance under the Trainer that ``trainer_of(package, folder)`` makes.

    Raises:
        Exception: Whatever the module or the Trainer raises.
    """
    module = subject.build()
    arguments = loaders(subject, module)
    with tempfile.TemporaryDirectory() as folder:
        trainer_of(subject.package, folder).fit(module, **arguments)
