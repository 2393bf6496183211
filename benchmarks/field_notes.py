"""What the kit says of real LightningModules, which nobody wrote for it.

Run it in the folder of the project, in an environment that has the packages::

    python -m benchmarks.field_notes --corpus FOLDER            # every case whose package is installed
    python -m benchmarks.field_notes --corpus FOLDER darts NBEATS
    python -m benchmarks.field_notes --demos                    # the classes of lightning.pytorch.demos
    python -m benchmarks.field_notes --corpus FOLDER --table    # the first lines as a Markdown table
    python -m benchmarks.field_notes --demos --environment auto # wherever they can run here, not on the CPU alone

``benchmarks/cases.py`` says what a corpus is. A name on the command line is that of a file, without ``case_``, or that
of a case.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case, corpus, demos, quiet, selected, silence
from lightning_conformance import Finding, Report, Verdict, check_module

OUTCOMES = ("passed", "failed", "not applicable", "inconclusive")


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
        return [(_name(v), f) for v in verdicts for f in v.findings if f.severity == severity]

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
                yield f"{verdict.outcome}: {_name(verdict)}: {verdict.reason}"


def _name(verdict: Verdict) -> str:
    return verdict.check if verdict.environment == "cpu" else f"{verdict.environment}::{verdict.check}"


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


def try_case(case: Case, environment: str = "cpu") -> Row:
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
        with silence():
            report = check_module(
                case.make, batch=case.batch, environment=environment.split(","), raise_on_failure=False
            )
    except Exception:
        return Row(case, time.perf_counter() - start, missing=f"the kit crashed:\n{traceback.format_exc()}")
    return Row(case, time.perf_counter() - start, report)


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
    lines += list(_completed([row.report for row in rows if row.report]))
    head = f"{len(judged)} cases: {errors} errors and {warned} warnings in {verdicts} verdicts, {seconds:.0f} s"
    return "\n".join([head, *lines])


def _completed(reports: list[Report]) -> Iterator[str]:
    """How many of the runs that end well on the CPU do so in each other environment."""
    ended = Counter(
        r.environment for report in reports if report.recordings[0].completed for r in report.recordings[1:]
    )
    well = Counter(
        r.environment
        for report in reports
        if report.recordings[0].completed
        for r in report.recordings[1:]
        if r.completed
    )
    for environment, of in ended.items():
        yield f"{environment}: {well[environment]} of {of} that train on the CPU run to the end"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a folder of case_*.py files")
    parser.add_argument("--demos", action="store_true", help="the classes of lightning.pytorch.demos")
    parser.add_argument("--environment", default="cpu", help="auto, or names with commas, cpu first (default: cpu)")
    parser.add_argument("--table", action="store_true", help="end with a Markdown table")
    parser.add_argument("names", nargs="*", help="files (without case_) or cases")
    arguments = parser.parse_args()
    if not arguments.corpus and not arguments.demos:
        parser.error("give --corpus FOLDER, --demos or both")
    quiet()
    cases = [*(corpus(arguments.corpus) if arguments.corpus else ()), *(demos() if arguments.demos else ())]
    try:
        cases = selected(cases, arguments.names)
    except LookupError as error:
        parser.error(str(error))
    rows = []
    for case in cases:
        rows.append(try_case(case, arguments.environment))
        print(rows[-1], flush=True)
    if arguments.table:
        print("", *table(rows), sep="\n")
    print(f"\n{total(rows)}")


if __name__ == "__main__":
    main()
