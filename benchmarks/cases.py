"""The LightningModules that the benchmarks try.

A corpus is a folder of ``case_*.py`` files. Each has ``CASES``: a name, and a dict of two functions, ``build`` (gives
an instance) and ``batch`` (gives one batch for its ``training_step``).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.agreement import pattern_disagreements
from lightning_conformance.lightning_api import LOGGER_NAMES
from lightning_conformance.subjects.batch_spec import BatchSpec

TESTS = Path(__file__).parents[1] / "tests"


@dataclass
class Case:
    """One class to try: how to build it, and what to feed it (None: its own loaders)."""

    group: str
    name: str
    build: Callable[[], Any]
    batch: Any = None
    source: str = "corpus"
    # In place of a hand-made batch: what is expected, in words, and how a spec differs from it.
    expected: tuple[str, Callable[[BatchSpec], list[str]]] | None = None
    built: type | None = field(default=None, init=False)

    def make(self) -> Any:
        """Build, and remember the class."""
        with silence():
            module = self.build()
        self.built = type(module)
        return module


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Packages print while they are built and trained; what they print is not ours to report."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.chdir(".") if hasattr(contextlib, "chdir") else contextlib.nullcontext(),
    ):
        warnings.simplefilter("ignore")
        yield


def quiet() -> None:
    """No warnings, and of Lightning's messages the errors alone, for the whole process."""
    warnings.filterwarnings("ignore")
    for name in LOGGER_NAMES:
        logging.getLogger(name).setLevel(logging.ERROR)


def corpus(folder: Path) -> Iterator[Case]:
    """The cases of a folder's ``case_*.py`` files."""
    sys.path.insert(0, str(folder.resolve()))
    for path in sorted(folder.glob("case_*.py")):
        group = path.stem.removeprefix("case_")
        try:
            with silence():
                cases = importlib.import_module(path.stem).CASES
        except ImportError as error:
            print(f"--  {group}  not installed: {error}")
            continue
        yield from (Case(group, name, case["build"], case["batch"]) for name, case in cases.items())


def demos() -> Iterator[Case]:
    """The classes of ``lightning.pytorch.demos``; the two language models without their download."""
    from lightning.pytorch.demos import boring_classes, lstm, transformer

    def offline(cls: type) -> Callable[[], Any]:
        def build() -> Any:
            module = cls(vocab_size=50)
            module.prepare_data = lambda: None
            return module

        return build

    def case(name: str, build: Callable[[], Any], batch: str | None = None) -> Case:
        return Case("demos", name, build, batch, "demos")

    plain = boring_classes.BoringModel, boring_classes.ManualOptimBoringModel
    yield from (case(cls.__name__, cls) for cls in plain)
    yield from (case(f"{cls.__name__}+batch", cls, "x: float[8,32]") for cls in plain)
    yield case("DemoModel", boring_classes.DemoModel, "x: float[8,32]")
    yield case(
        "LightningTransformer",
        offline(transformer.LightningTransformer),
        "inputs: int[8,12]<50, target: int[8,12]<50",
    )
    yield case("LightningLSTM", offline(lstm.LightningLSTM), "inputs: int[12,8]<50, target: int[12,8]<50")


def own() -> Iterator[Case]:
    """The modules of ``tests/`` that have the batch that is expected written beside them."""
    sys.path.insert(0, str(TESTS))
    from inference_modules import EXPECTED
    from inference_suite import SUITE

    for cls, wanted in EXPECTED.items():
        text = ", ".join("?" if leaf is None else leaf for leaf in wanted)
        yield Case("inference_modules", cls.__name__, cls, source="own", expected=(text, _leaves(wanted)))
    for cls, expectation in SUITE.items():
        text = " or ".join(expectation.patterns)
        group = cls.__module__.rpartition(".")[2]
        yield Case(group, cls.__name__, cls, source="suite", expected=(text, _patterns(expectation.patterns)))


def _leaves(wanted: tuple[str | None, ...]) -> Callable[[BatchSpec], list[str]]:
    """Compares dtype and rank of each leaf, in order."""

    def compare(spec: BatchSpec) -> list[str]:
        found = [f"{tensor.dtype}{len(tensor.shape)}" for tensor in spec.tensors]
        fits = len(found) == len(wanted) and all(w in (None, f) for w, f in zip(wanted, found, strict=True))
        return [] if fits else [f"the leaves are {', '.join(found)}"]

    return compare


def _patterns(patterns: tuple[str, ...]) -> Callable[[BatchSpec], list[str]]:
    return lambda spec: pattern_disagreements(patterns, spec.root, exact=False)


def selected(cases: Iterable[Case], names: Iterable[str]) -> list[Case]:
    """The cases with one of these names, their groups' included; all of them where no name is given.

    Raises:
        LookupError: A name that no case and no group has.
    """
    cases, wanted = list(cases), set(names)
    if unknown := wanted - {name for case in cases for name in (case.group, case.name)}:
        raise LookupError(f"no such file or case: {', '.join(sorted(unknown))}")
    return [case for case in cases if not wanted or {case.group, case.name} & wanted]
