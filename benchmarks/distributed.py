"""Two processes, held against the one that they are compared with: what they catch, what they accuse, what they cost.

    python -m benchmarks.distributed                  # the faults of the family, and all of tests/legitimate
    python -m benchmarks.distributed --case devices   # only cases whose file or class contains this

A legitimate module is judged by the checks of the family, and by whether it trains to the end. Some are right on one
process and wrong on several, as their ``on_ranks`` says, or nothing that DDP trains: they are listed. The cost is the
time of one run on two processes over that of one fit on the plain CPU, both from this process, one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from typing import Any

from benchmarks.suites import Case, cases, fault_outcome, settings
from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS

FAMILY = [check.name for check in CHECKS.values() if check.family == "distributed"]
COMPLETION = "training_completes"
TWO = "ddp-2"


def main() -> None:
    """Print the table of faults, the accusations and the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="", help="only cases whose file or class contains this")
    part = parser.parse_args().case
    warnings.simplefilter("ignore")
    faults([case for case in _chosen("faults", "EXPECTED", part) if case.file.stem.startswith("distributed")])
    legitimate(list(_chosen("legitimate", "LEGITIMATE", part)))


def _chosen(folder: str, name: str, part: str) -> Iterator[Case]:
    for case in cases(folder, name):
        if part in f"{case.file.stem}:{case.name}" and not case.why_not_here():
            yield case


def faults(chosen: list[Case]) -> None:
    """One row a fault: whether one process shows it, and whether two do."""
    print("| fault | module | cpu | ddp-2 | check |\n| --- | --- | --- | --- | --- |")
    caught = 0
    for case in sorted(chosen, key=lambda case: str(case.expected["fault"])):
        check, where = case.expected["check"], case.expected["environment"]
        alone = check_module(**_settings(case, "cpu"), select=[COMPLETION], raise_on_failure=False)
        stops = "stops" if alone.verdict(COMPLETION, "cpu").failed else "-"
        kind = fault_outcome(case, check_module(**_settings(case, where), select=[check], raise_on_failure=False)).kind
        caught += kind == "caught"
        shown = (stops, kind) if where == TWO else (kind, "-")
        print(f"| {case.expected['fault']} | `{case.name}` | {' | '.join(shown)} | `{check}` |", flush=True)
    print(f"\n{caught} of {len(chosen)} faults are caught.\n")


def legitimate(chosen: list[Case]) -> None:
    """What is said of modules with which nothing is wrong, and what it costs."""
    ratios, times, accused, ended, apart = [], [], 0, 0, 0
    for case in chosen:
        alone, _ = _timed(case, "cpu", [COMPLETION])
        seconds, report = _timed(case, TWO, [COMPLETION, *FAMILY])
        ratios.append(seconds / alone)
        times.append(seconds)
        rightly = case.expected.get("on_ranks", [])
        said = [(v.check, f) for v in report.verdicts for f in v.findings if f.severity != "advice"]
        said = [(check, finding) for check, finding in said if check not in rightly]
        recording = report.recordings[0]
        stopped = recording.failure
        accused += bool(said)
        apart += bool(rightly or recording.inapplicable)
        ended += stopped is None and not recording.inapplicable
        for check, finding in said:
            print(f"{case.file.stem}:{case.name}: {check} ({finding.severity}): {finding.message} ({finding.place})")
        if stopped is not None and not said and not rightly:
            print(f"{case.file.stem}:{case.name}: {stopped.type}: {stopped.message}")
        if recording.inapplicable or rightly:
            print(f"{case.file.stem}:{case.name}: {recording.inapplicable or ', '.join(rightly)}")
    print(f"{len(chosen)} legitimate modules: {accused} accused, {ended} run to the end; {apart} are not for DDP.")
    if len(ratios) > 1:
        first, middle, last = statistics.quantiles(ratios, n=4)
        print(f"A run takes {statistics.median(times):.2f} s, {middle:.1f} times a fit on the plain CPU ", end="")
        print(f"(quartiles {first:.1f} and {last:.1f}).")


def _settings(case: Case, environment: str) -> dict[str, Any]:
    return {"module": case.target, **settings(case), "environment": environment}


def _timed(case: Case, environment: str, select: list[str]) -> tuple[float, Any]:
    begin = time.perf_counter()
    report = check_module(**_settings(case, environment), select=select, raise_on_failure=False)
    return time.perf_counter() - begin, report


if __name__ == "__main__":
    main()
