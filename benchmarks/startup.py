"""What the kit costs a pytest run that does not use it: the run as it is, and with the plugin switched off.

Run it where the kit is installed, in the folder of the project::

    python -m benchmarks.startup              # 15 pairs of runs
    python -m benchmarks.startup --pairs 40   # measure oftener

Both run one empty test in a fresh process, in turns, and each pair begins with the other one. The seconds are those of
the processor, the ratio is the median of the ratios of the pairs: what else the machine does meets both. As a
yardstick, the run without the plugin is measured twice in each pair.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OFF = ("-p", "no:lightning_conformance")
HEAVY = (
    "torch",
    "lightning",
    "pytorch_lightning",
    "lightning_fabric",
    "torchmetrics",
    "numpy",
    "tomlkit",
    "jsonargparse",
)
_COMMON = ("-q", "-p", "no:cacheprovider", "-p", "no:jaxtyping")
# What is installed has been compiled.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_MODULES = "import sys, pytest; pytest.main(sys.argv[1:]); print('modules', *sorted(sys.modules))"


def measured(folder: str, options: tuple[str, ...]) -> float:
    """Seconds of the processor for one run: those of the clock depend on what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", *_COMMON, *options]
    subprocess.run(command, cwd=folder, env=_ENVIRONMENT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modules(folder: str, options: tuple[str, ...]) -> set[str]:
    """What a run has imported at its end."""
    command = [sys.executable, "-c", _MODULES, *_COMMON, *options]
    done = subprocess.run(command, cwd=folder, env=_ENVIRONMENT, check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def report(rounds: list[tuple[float, float, float]]) -> str:
    """The medians, and the ratios of the pairs.

    Args:
        rounds: Seconds with the plugin, without it, and once more without it.
    """
    on, off, again = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratios = statistics.quantiles([on / off for on, off, _ in rounds], n=4)
    noise = statistics.quantiles([again / off for _, off, again in rounds], n=4)
    return "\n".join(
        [
            f"pytest without the plugin  {1000 * off:.0f} ms (again: {1000 * again:.0f} ms)",
            f"pytest with the plugin     {1000 * on:.0f} ms",
            f"ratio of a pair            {ratios[1]:.3f} (half of them {ratios[0]:.3f} to {ratios[2]:.3f})",
            f"without, to without        {noise[1]:.3f} (half of them {noise[0]:.3f} to {noise[2]:.3f})",
        ]
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_one.py").write_text("def test_one():\n    pass\n", "utf-8")
        added = modules(folder, ()) - modules(folder, OFF)
        rounds = []
        for number in range(pairs):
            order = ((0, ()), (1, OFF), (2, OFF)) if number % 2 else ((2, OFF), (1, OFF), (0, ()))
            seconds = {place: measured(folder, options) for place, options in order}
            rounds.append((seconds[0], seconds[1], seconds[2]))
    print(report(rounds))
    own = {name for name in added if name.partition(".")[0] == "lightning_conformance"}
    heavy = sorted({name.partition(".")[0] for name in added} & set(HEAVY)) or ["none"]
    print(f"imported by the plugin     {len(own)} modules of its own, {len(added) - len(own)} others")
    print(f"  of its own               {', '.join(sorted(own))}")
    print(f"  others                   {', '.join(sorted(added - own)) or 'none'}")
    print(f"  heavy                    {', '.join(heavy)}")


if __name__ == "__main__":
    main()
