"""What all checks cost: their time as a multiple of one plain fit of two epochs.

Run it in the folder of the project::

    python -m benchmarks.cost                            # the modules of examples/
    python -m benchmarks.cost classifier.py:Classifier   # one of them
    python -m benchmarks.cost --pairs 15                 # measure oftener
    python -m benchmarks.cost --markdown                 # write the table into docs/detection.md

Both run in this process, in turns, on the same batches, after each has run once unmeasured. The fit is that of a user:
2 epochs of 4 batches under a plain Trainer with a logger, checkpoints and a sanity check. The ratio is the median of
the ratios of the pairs: what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import quiet, silence
from benchmarks.pages import PAGE, write
from benchmarks.plain import EXAMPLES, example_subject, example_target, fit_plainly, two_epochs
from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS


@dataclass(frozen=True)
class Cost:
    """The seconds of each pair of runs: the plain fit, and all checks."""

    name: str
    pairs: tuple[tuple[float, float], ...]

    @property
    def ratios(self) -> list[float]:
        """How many fits the checks took, in each pair; the smallest first."""
        return sorted(checks / fit for fit, checks in self.pairs)

    def __str__(self) -> str:
        fit, checks = (statistics.median(times) for times in zip(*self.pairs, strict=True))
        spread = f"{self.ratios[0]:.1f} to {self.ratios[-1]:.1f}"
        return f"| `{self.name}` | {fit:.2f} s | {checks:.2f} s | {statistics.median(self.ratios):.1f} | {spread} |"


def measured(name: str, pairs: int) -> Cost:
    """The cost of an example."""

    def fit() -> None:
        fit_plainly(example_subject(name), two_epochs)

    def check() -> None:
        check_module(example_target(name), batch=EXAMPLES[name], environment="cpu")

    _seconds(fit), _seconds(check)
    return Cost(name, tuple((_seconds(fit), _seconds(check)) for _ in range(pairs)))


def _seconds(function: Callable[[], Any]) -> float:
    with silence():
        start = time.perf_counter()
        function()
        return time.perf_counter() - start


def table(costs: Sequence[Cost]) -> Iterator[str]:
    """One Markdown line an example, and the median of them."""
    yield "| module | plain fit | checks | fits | smallest to largest |"
    yield "| --- " * 5 + "|"
    yield from map(str, costs)
    middle = statistics.median(statistics.median(cost.ratios) for cost in costs)
    yield f"\n{len(CHECKS)} checks take the time of {middle:.1f} plain fits (median of {len(costs)} modules)."


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="measurements of each module")
    parser.add_argument("--markdown", action="store_true", help=f"write the table into docs/{PAGE.name}")
    parser.add_argument("names", nargs="*", metavar="MODULE", help=f"of {', '.join(EXAMPLES)}")
    arguments = parser.parse_args(words)
    if unknown := [name for name in arguments.names if name not in EXAMPLES]:
        parser.error(f"no such module: {', '.join(unknown)}")
    quiet()
    lines = list(table([measured(name, arguments.pairs) for name in arguments.names or EXAMPLES]))
    print(*lines, sep="\n")
    if arguments.markdown:
        write("cost", lines)


if __name__ == "__main__":
    main()
