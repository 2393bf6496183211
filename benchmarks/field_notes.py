"""What the kit says of real LightningModules, which nobody wrote for it.

Run it in the folder of the project, in an environment that has the packages::

    python -m benchmarks.field_notes --corpus FOLDER            # every case whose package is installed
    python -m benchmarks.field_notes --corpus FOLDER darts NBEATS
    python -m benchmarks.field_notes --demos                    # the classes of lightning.pytorch.demos
    python -m benchmarks.field_notes --corpus FOLDER --table    # the first lines as a Markdown table

A corpus is a folder of ``case_*.py`` files. Each has ``CASES``: a name, and a dict of two functions, ``build`` (gives
an instance) and ``batch`` (gives one batch for its ``training_step``). A name on the command line is that of a
file, without ``case_``, or that of a case.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import io
import logging
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_conformance import Finding, Report, check_module

OUTCOMES = ("passed", "failed", "not applicable", "inconclusive")


@dataclass
class Case:
    """One class to try: how to build it, and what to feed it (None: its own loaders)."""

    group: str
    name: str
    build: Callable[[], Any]
    batch: Any = None
    built: type | None = field(default=None, init=False)

    def make(self) -> Any:
        """Build, and remember the class."""
        with _silence():
            module = self.build()
        self.built = type(module)
        return module


@dataclass(frozen=True)
class Row:
    """What became of one case; ``missing`` names what kept it from being built."""

    case: Case
    seconds: float
    report: Report | None = None
    missing: str = ""

    def __str__(self) -> str:
        head = f"{self.case.group}/{self.case.name}"
        if self.report is None:
            return f"--  {head}  {self.missing}"
        counts = ", ".join(f"{n} {outcome}" for outcome, n in self.counts.items())
        lines = [
            f"{head}  {self.class_name}  {self.package}  {self.lightning}  {self.seconds:.1f}s  {counts}",
            *(f"    {line}" for line in self.details()),
        ]
        return "\n".join(lines)

    @property
    def class_name(self) -> str:
        built = self.case.built
        return f"{built.__module__}:{built.__qualname__}" if built else "?"

    @property
    def package(self) -> str:
        return _distribution(self.case.built.__module__.partition(".")[0]) if self.case.built else "?"

    @property
    def lightning(self) -> str:
        return self.report.recordings[0].lightning if self.report else ""

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(verdict.outcome for verdict in self.report.verdicts) if self.report else Counter[str]()
        return {outcome: counted[outcome] for outcome in OUTCOMES if counted[outcome]}

    def severity(self, severity: str) -> list[tuple[str, Finding]]:
        """The findings of one severity, with the checks that made them."""
        verdicts = self.report.verdicts if self.report else ()
        return [(v.check, f) for v in verdicts for f in v.findings if f.severity == severity]

    def details(self) -> Iterator[str]:
        """The batch, each finding, and each check that could not decide."""
        assert self.report is not None
        recording = self.report.recordings[0]
        yield f"batch     {_shortened(recording.batch_text, 160)} (from {recording.batch_source})"
        yield from (f"note      {note}" for note in recording.notes)
        for severity in ("error", "warning", "advice"):
            for check, finding in self.severity(severity):
                yield f"{severity:<9} {check}: {' '.join(finding.message.split())} ({_where(finding)})"
        for verdict in self.report.verdicts:
            if verdict.reason:
                yield f"{verdict.outcome}: {verdict.check}: {verdict.reason}"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Packages print while they are built and trained; what they print is not ours to report."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.chdir(".") if hasattr(contextlib, "chdir") else contextlib.nullcontext(),
    ):
        warnings.simplefilter("ignore")
        yield


def _distribution(top_level: str) -> str:
    names = importlib.metadata.packages_distributions().get(top_level) or [top_level]
    try:
        return f"{names[0]} {importlib.metadata.version(names[0])}"
    except importlib.metadata.PackageNotFoundError:
        return names[0]


def _where(finding: Finding) -> str:
    if finding.place is None:
        return "no place"
    # Paths from the package on: where it is installed is nobody's business.
    parts = Path(finding.place.file).parts
    start = parts.index("site-packages") + 1 if "site-packages" in parts else len(parts) - 1
    return f"{'/'.join(parts[start:])}:{finding.place.line}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def try_case(case: Case) -> Row:
    """Run the kit on one case."""
    start = time.perf_counter()
    try:
        case.make()
    except ModuleNotFoundError as error:
        return Row(case, time.perf_counter() - start, missing=f"not installed: {error}")
    except Exception as error:
        return Row(case, time.perf_counter() - start, missing=f"not built: {type(error).__name__}: {error}")
    start = time.perf_counter()
    try:
        with _silence():
            report = check_module(case.make, batch=case.batch, environment="cpu", raise_on_failure=False)
    except Exception:
        return Row(case, time.perf_counter() - start, missing=f"the kit crashed:\n{traceback.format_exc()}")
    return Row(case, time.perf_counter() - start, report)


def corpus(folder: Path) -> Iterator[Case]:
    """The cases of a folder's ``case_*.py`` files."""
    sys.path.insert(0, str(folder.resolve()))
    for path in sorted(folder.glob("case_*.py")):
        group = path.stem.removeprefix("case_")
        try:
            with _silence():
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

    plain = boring_classes.BoringModel, boring_classes.ManualOptimBoringModel
    yield from (Case("demos", cls.__name__, cls) for cls in plain)
    yield from (Case("demos", f"{cls.__name__}+batch", cls, "x: float[8,32]") for cls in plain)
    yield Case("demos", "DemoModel", boring_classes.DemoModel, "x: float[8,32]")
    yield Case(
        "demos",
        "LightningTransformer",
        offline(transformer.LightningTransformer),
        "inputs: int[8,12]<50, target: int[8,12]<50",
    )
    yield Case("demos", "LightningLSTM", offline(lstm.LightningLSTM), "inputs: int[12,8]<50, target: int[12,8]<50")


def table(rows: Iterable[Row]) -> Iterator[str]:
    """One Markdown line a case, and the totals."""
    yield "| case | Lightning package | " + " | ".join(OUTCOMES) + " | errors | warnings |"
    yield "| --- " * (len(OUTCOMES) + 4) + "|"
    for row in rows:
        if row.report is not None:
            numbers = [row.counts.get(outcome, 0) for outcome in OUTCOMES]
            numbers += [len(row.severity("error")), len(row.severity("warning"))]
            yield f"| {row.case.group}/{row.case.name} | {row.lightning} | {' | '.join(map(str, numbers))} |"


def total(rows: list[Row]) -> str:
    """For example ``39 cases: 30 errors and 4 warnings in 310 verdicts, 55 s``."""
    judged = [row for row in rows if row.report]
    errors, warned = (sum(len(row.severity(s)) for row in judged) for s in ("error", "warning"))
    verdicts = sum(sum(row.counts.values()) for row in judged)
    seconds = sum(row.seconds for row in judged)
    by_check = Counter((check, s) for row in judged for s in ("error", "warning") for check, _ in row.severity(s))
    lines = [f"{n:4} {severity:<8} {check}" for (check, severity), n in sorted(by_check.items())]
    head = f"{len(judged)} cases: {errors} errors and {warned} warnings in {verdicts} verdicts, {seconds:.0f} s"
    return "\n".join([head, *lines])


def _quiet() -> None:
    warnings.filterwarnings("ignore")
    for name in (
        "pytorch_lightning",
        "lightning",
        "lightning.pytorch",
        "lightning.fabric",
        "lightning_fabric",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a folder of case_*.py files")
    parser.add_argument("--demos", action="store_true", help="the classes of lightning.pytorch.demos")
    parser.add_argument("--table", action="store_true", help="end with a Markdown table")
    parser.add_argument("names", nargs="*", help="files (without case_) or cases")
    arguments = parser.parse_args()
    if not arguments.corpus and not arguments.demos:
        parser.error("give --corpus FOLDER, --demos or both")
    _quiet()
    cases = [*(corpus(arguments.corpus) if arguments.corpus else ()), *(demos() if arguments.demos else ())]
    wanted = set(arguments.names)
    if unknown := wanted - {name for case in cases for name in (case.group, case.name)}:
        parser.error(f"no such file or case: {', '.join(sorted(unknown))}")
    rows = []
    for case in cases:
        if not wanted or {case.group, case.name} & wanted:
            rows.append(try_case(case))
            print(rows[-1], flush=True)
    if arguments.table:
        print("", *table(rows), sep="\n")
    print(f"\n{total(rows)}")


if __name__ == "__main__":
    main()
