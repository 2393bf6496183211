"""The virtual accelerator, held against the CPU it runs on: what it catches, what it accuses, what it costs.

    python -m benchmarks.virtual                  # all modules of tests/faults' device files and of tests/legitimate
    python -m benchmarks.virtual --repeats 3      # costs from the fastest of several runs

The table has a row for each fault of the family and the environments that catch it. Legitimate modules must get the
same losses, bit for bit, and the same verdicts. The cost is the time of one watched fit over that on the plain CPU,
both in this process, one after the other.
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

ENVIRONMENTS = ("cpu", "virtual")
OWN = ("device",)
TRAINING = [check.name for check in CHECKS.values() if check.regimes == ("train",)]


def main() -> None:
    """Print the table, the differences and the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1, help="runs of which the fastest counts (default: 1)")
    parser.add_argument("--case", default="", help="only cases whose file or class contains this")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    faults, legitimate = (
        list(_chosen(*suite, given.case)) for suite in (("faults", "EXPECTED"), ("legitimate", "LEGITIMATE"))
    )
    table([case for case in faults if CHECKS[case.expected["check"]].family in OWN])
    compare(legitimate, given.repeats)


def _chosen(folder: str, name: str, part: str) -> Iterator[Case]:
    for case in cases(folder, name):
        if part in f"{case.file.stem}:{case.name}" and not case.why_not_here():
            yield case


def table(faults: list[Case]) -> None:
    """One row a fault: which environments catch it."""
    print("| fault | module | cpu | virtual |\n| --- | --- | --- | --- |")
    caught = 0
    for case in sorted(faults, key=lambda case: case.expected["fault"]):
        marks = []
        for environment in ENVIRONMENTS:
            report = _report(case, environment, [case.expected["check"], "training_completes"])
            if environment == case.expected["environment"]:
                found = fault_outcome(case, report).kind
            else:
                found = "caught" if report.verdict("training_completes", environment).failed else "-"
            marks.append(found)
        caught += marks[1] == "caught"
        print(f"| {case.expected['fault']} | `{case.name}` | {' | '.join(marks)} |")
    print(f"\n{caught} of {len(faults)} faults are caught by the virtual accelerator.\n")


def compare(legitimate: list[Case], repeats: int) -> None:
    """Losses, verdicts and costs of the legitimate modules in both environments."""
    ratios, differing, accused = [], 0, 0
    for case in legitimate:
        seconds, reports = {}, {}
        for environment in ENVIRONMENTS:
            reports[environment] = _report(case, environment, TRAINING)
            seconds[environment] = min(_seconds(case, environment) for _ in range(repeats))
        ratios.append(seconds["virtual"] / seconds["cpu"])
        losses = [_losses(report) for report in reports.values()]
        outcomes = [_outcomes(report) for report in reports.values()]
        if repr(losses[0]) != repr(losses[1]) or outcomes[0] != outcomes[1]:
            differing += 1
            print(f"{case.name}: losses {losses[0][:2]} and {losses[1][:2]}, {_difference(*outcomes)}")
        accusations = [
            finding
            for verdict in reports["virtual"].verdicts
            for finding in verdict.findings
            if CHECKS[verdict.check].family in OWN and finding.severity != "advice"
        ]
        accused += bool(accusations)
        for finding in accusations:
            print(f"{case.name}: {finding.place}: {finding.message}")
    print(f"{len(legitimate)} legitimate modules: {accused} accused, {differing} with other losses or verdicts.")
    if ratios:
        first, middle, last = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        print(f"A run costs {middle:.2f} times that on the plain CPU (quartiles {first:.2f} and {last:.2f}).")


def _report(case: Case, environment: str, select: list[str]) -> Any:
    return check_module(
        case.target, **{**settings(case), "environment": environment}, select=select, raise_on_failure=False
    )


def _seconds(case: Case, environment: str) -> float:
    begin = time.perf_counter()
    _report(case, environment, ["training_completes"])
    return time.perf_counter() - begin


def _losses(report: Any) -> list[float | None]:
    return [step.loss and step.loss.value for step in report.recordings[0].steps]


def _outcomes(report: Any) -> dict[str, str]:
    return {v.check: v.outcome for v in report.verdicts if CHECKS[v.check].family not in OWN}


def _difference(cpu: dict[str, str], virtual: dict[str, str]) -> str:
    return ", ".join(f"{name} {cpu[name]} and {virtual[name]}" for name in cpu if cpu[name] != virtual[name])


if __name__ == "__main__":
    main()
