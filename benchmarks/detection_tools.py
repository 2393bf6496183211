"""What is asked about the modules of the suites: this kit, and what people run without it.

Another tool is an object with a ``name`` and a method ``ask``, in :data:`TOOLS`.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.cases import quiet, silence
from benchmarks.children import ChildLost, in_child
from benchmarks.plain import example_subject, fit_plainly, one_batch, two_epochs
from benchmarks.suites import Case, Outcome, fault_outcome, legitimate_outcome, settings
from lightning_conformance import check_module
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import LightningPackage, installed_packages
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target

SECONDS = 180.0
# A module of each package in which nothing is wrong.
CLEAN = {"pytorch_lightning": "classifier.py:Classifier", "lightning": "regression.py:Regressor"}


class Tool(Protocol):
    """Something that can be asked about a module."""

    @property
    def name(self) -> str:
        """What it is called in tables and on the command line."""
        ...

    def ask(self, case: Case) -> Outcome:
        """What it makes of a module."""
        ...


class Kit:
    """This kit, without any configuration but the batch."""

    name = "kit"

    def ask(self, case: Case) -> Outcome:
        return isolated(case, lambda: self._ask(case))

    def _ask(self, case: Case) -> Outcome:
        try:
            report = check_module(case.target, **settings(case), raise_on_failure=False)
        except Exception as error:
            return Outcome("missed" if case.is_faulty else "accused", f"it raises {told(error)}")
        return fault_outcome(case, report) if case.is_faulty else legitimate_outcome(report)


@dataclass(frozen=True)
class PlainTrainer:
    """``Trainer.fit``, which catches a fault where it raises; a warning is one that no clean module gets.

    Args:
        trainer_of: Makes the Trainer of a package, in a folder.
    """

    name: str
    trainer_of: Callable[[LightningPackage, str], Any]

    def ask(self, case: Case) -> Outcome:
        usual = usual_warnings(self, case.package)
        return isolated(case, lambda: self._ask(case, usual))

    def _ask(self, case: Case, usual: frozenset[str]) -> Outcome:
        torch.manual_seed(0)
        try:
            heard = self.warnings(Subject(parse_target(case.target, Path.cwd()), _options(case)))
        except SubjectError as error:
            if error.stage == "batch":
                return Outcome("not run", told(error))
            return _raised(case, error.cause or error)
        except (Exception, SystemExit) as error:
            return _raised(case, error)
        if unusual := [text for text in heard if text not in usual]:
            return Outcome("warned", "; ".join(unusual))
        return Outcome("missed" if case.is_faulty else "quiet")

    def warnings(self, subject: Subject) -> list[str]:
        """The warnings that a fit gives, each once.

        Raises:
            Exception: Whatever the module or the Trainer raises.
        """
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            fit_plainly(subject, self.trainer_of)
        return list(dict.fromkeys(map(_pattern, heard)))


def _options(case: Case) -> SubjectOptions:
    told = settings(case)
    del told["environment"]
    return SubjectOptions(**told)


def _raised(case: Case, error: BaseException) -> Outcome:
    return Outcome("raised") if case.is_faulty else Outcome("accused", f"it raises {told(error)}")


def isolated(case: Case, ask: Callable[[], Outcome], seconds: float = SECONDS) -> Outcome:
    """An outcome, found in a process of its own: Lightning gives many warnings only once a process."""
    importlib.import_module(case.package)  # once for all children
    try:
        outcome: Outcome = in_child(lambda: _quietly(ask), seconds)
    except ChildLost as lost:
        return Outcome("missed" if case.is_faulty else "accused", str(lost))
    return outcome


def _quietly(function: Callable[[], Any]) -> Any:
    quiet()
    with silence():
        return function()


@functools.cache
def usual_warnings(tool: PlainTrainer, package: str) -> frozenset[str]:
    """What a clean module of a package hears in such a run: of workers, of folders, of what is deprecated."""
    importlib.import_module(package)  # once for all children
    return frozenset(in_child(lambda: _quietly(lambda: tool.warnings(example_subject(CLEAN[package]))), SECONDS))


def _pattern(heard: warnings.WarningMessage) -> str:
    """A warning's text without what differs from run to run: numbers, folders."""
    text = re.sub(r"/\S+", "PATH", str(heard.message).strip().partition("\n")[0])
    return f"{heard.category.__name__}: {re.sub(r'[0-9]+', 'N', text)}"


def told(error: BaseException) -> str:
    """An exception's class and first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def versions() -> str:
    """Which Lightning and torch the modules met, in words."""
    releases = sorted({package.version for package in installed_packages()})
    return f"Lightning {', '.join(releases)}, torch {torch.__version__}."


FAST_DEV_RUN = PlainTrainer("fast_dev_run", one_batch)
FIT = PlainTrainer("fit", two_epochs)
TOOLS: dict[str, Tool] = {tool.name: tool for tool in (Kit(), FAST_DEV_RUN, FIT)}
