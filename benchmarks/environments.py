"""The environments, held against the plain CPU: what each catches, whom it accuses, what it costs.

    python -m benchmarks.environments                                # all that are here
    python -m benchmarks.environments --environment bf16-mixed       # one of them, or several with commas
    python -m benchmarks.environments --repeats 3                    # costs from the fastest of several runs

The table has a row for each fault that is expected in another environment than the CPU, and the environments that
catch it: `caught` where the check that is there for it names the line, `named` where another check of the
environment's own explains it, `stops` where no more is said than that the run ended. Each environment then judges the
legitimate modules with its own checks; none that runs there may be accused, and all run there but where parameters are
converted: not every module is made for that. The virtual accelerator must give the CPU's losses, bit for
bit, and its verdicts. A cost is the time of one watched fit over that on the plain CPU, both in this process, one after
the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.suites import Case, cases, fault_outcome, settings
from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS
from lightning_conformance.environments import ENVIRONMENTS, SPECIAL

TRAINING = [check.name for check in CHECKS.values() if check.regimes == ("train",)]
OWN = {
    name: [c.name for c in CHECKS.values() if c.family in place.own or c.name == "training_completes"]
    for name, place in ENVIRONMENTS.items()
}
# Computes the same as the CPU, so that all else can be compared.
SAME = ("virtual",)


def main() -> None:
    """Print the table, the differences and the costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="", help="names, with commas (default: all that are here)")
    parser.add_argument("--repeats", type=int, default=1, help="runs of which the fastest counts (default: 1)")
    parser.add_argument("--case", default="", help="only cases whose file or class contains this")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    here = [name for name, place in ENVIRONMENTS.items() if name != "cpu" and place.unavailable() is None]
    names = given.environment.split(",") if given.environment else here
    table(list(_chosen("faults", "EXPECTED", given.case)), names)
    legitimate = list(_chosen("legitimate", "LEGITIMATE", given.case))
    for name in names:
        compare(legitimate, name, given.repeats)


def _chosen(folder: str, name: str, part: str) -> Iterator[Case]:
    for case in cases(folder, name):
        if part in f"{case.file.stem}:{case.name}" and not case.why_not_here():
            yield case


def table(faults: Sequence[Case], names: Sequence[str]) -> None:
    """One row a fault: which environments catch it."""
    columns = ["cpu", *names]
    print(f"| fault | module | {' | '.join(columns)} |\n| --- | --- |{' --- |' * len(columns)}")
    special = [case for case in faults if case.expected.get("environment", "cpu") in names]
    caught: Counter[str] = Counter()
    for case in sorted(special, key=lambda case: (case.expected["environment"], str(case.expected["fault"]))):
        marks = [_mark(case, name) for name in columns]
        caught.update(name for name, mark in zip(columns, marks, strict=True) if mark in ("caught", "named"))
        print(f"| {', '.join(case.faults) or '-'} | `{case.name}` | {' | '.join(marks)} |")
    found = ", ".join(f"{name} {caught[name]}" for name in columns)
    print(f"\n{len(special)} faults; caught or named: {found}.\n")


def _mark(case: Case, name: str) -> str:
    """What an environment makes of a fault."""
    if name == case.expected["environment"]:
        return fault_outcome(case, _report(case, name, [case.expected["check"]])).kind
    report = _report(case, name, OWN[name])
    failed = [v for v in report.verdicts if v.failed or (v.of("warning") and CHECKS[v.check].family in SPECIAL)]
    if any(CHECKS[verdict.check].family in SPECIAL for verdict in failed):
        return "named"
    return "stops" if failed else "-"


def compare(legitimate: Sequence[Case], name: str, repeats: int) -> None:
    """Accusations, costs and, where they must be the same, losses and verdicts of the legitimate modules."""
    ratios, differing, accused, stopped, undecided = [], 0, 0, 0, 0
    for case in legitimate:
        select = TRAINING if name in SAME else OWN[name]
        report = _report(case, name, select)
        seconds = [min(_seconds(case, each) for _ in range(repeats)) for each in ("cpu", name)]
        ratios.append(seconds[1] / seconds[0])
        if name in SAME:
            differing += _differs(case, _report(case, "cpu", select), report)
        accusations = list(_accusations(report, name))
        stops = report.verdict("training_completes", name).failed
        stopped += stops
        accused += bool(accusations) and not stops
        undecided += "inconclusive" in {verdict.outcome for verdict in report.verdicts if verdict.check in OWN[name]}
        for finding in accusations:
            print(f"{case.name}{' (stops)' if stops else ''}: {finding.place}: {finding.message}")
    same = f", {differing} with other losses or verdicts" if name in SAME else ""
    print(f"{name}: {len(legitimate)} legitimate modules: {accused} accused that run, {stopped} that do not run there,")
    print(f"{name}: {undecided} undecided{same}.")
    if ratios:
        first, middle, last = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        print(f"{name}: a run costs {middle:.2f} times that on the plain CPU (quartiles {first:.2f} and {last:.2f}).")


def _accusations(report: Any, name: str) -> Iterator[Any]:
    for verdict in report.verdicts:
        if verdict.check in OWN[name]:
            yield from (finding for finding in verdict.findings if finding.severity != "advice")


def _report(case: Case, environment: str, select: list[str]) -> Any:
    return check_module(
        case.target, **{**settings(case), "environment": environment}, select=select, raise_on_failure=False
    )


def _seconds(case: Case, environment: str) -> float:
    begin = time.perf_counter()
    _report(case, environment, ["training_completes"])
    return time.perf_counter() - begin


def _differs(case: Case, cpu: Any, other: Any) -> bool:
    losses = [[step.loss and step.loss.value for step in each.recordings[0].steps] for each in (cpu, other)]
    outcomes = [{v.check: v.outcome for v in r.verdicts if CHECKS[v.check].family not in SPECIAL} for r in (cpu, other)]
    differing = [check for check in outcomes[0] if outcomes[0][check] != outcomes[1].get(check)]
    if repr(losses[0]) != repr(losses[1]) or differing:
        print(f"{case.name}: losses {losses[0][:2]} and {losses[1][:2]}, other verdicts: {differing}")
    return repr(losses[0]) != repr(losses[1]) or bool(differing)


if __name__ == "__main__":
    main()
