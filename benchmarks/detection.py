"""How many faulty modules are caught, and how many legitimate ones accused: by this kit, and without it.

Run it in the folder of the project::

    python -m benchmarks.detection                    # a line a module, then the tables
    python -m benchmarks.detection --tools kit        # this kit alone
    python -m benchmarks.detection --family logging   # the modules of one family of faults
    python -m benchmarks.detection --case crashes     # a file of tests/faults or tests/legitimate, or a class
    python -m benchmarks.detection --json now.json    # every outcome, to compare runs
    python -m benchmarks.detection --markdown         # write the tables into docs/detection.md

``tests/faults`` says of each module which check must accuse it, how severely, at which line and in which words.
``benchmarks/detection_tools.py`` holds the tools; each is asked about each module, in a process of its own:

* ``kit``: this kit; it is right where the finding is the expected one, in all four;
* ``fast_dev_run``: ``Trainer(fast_dev_run=True).fit``, which may raise or warn;
* ``fit``: two epochs of four batches with a logger, checkpoints and sanity check, which may raise or warn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import selected
from benchmarks.detection_rows import OTHERS, Row, markdown, row_of
from benchmarks.detection_tools import TOOLS, versions
from benchmarks.pages import PAGE, write
from benchmarks.suites import Case, cases, catalogue


def all_cases() -> list[Case]:
    """The modules of both suites that the installed Lightning can have."""
    both = [*cases("faults", "EXPECTED"), *cases("legitimate", "LEGITIMATE")]
    return [case for case in both if not case.why_not_here()]


def family_of(case: Case) -> str:
    """Of the catalogue; a legitimate module has none."""
    return row_of(case, {}, catalogue()).family if case.is_faulty else ""


def ask(case: Case, tools: Iterable[str]) -> Row:
    """What each of the tools makes of a module."""
    return row_of(case, {name: TOOLS[name].ask(case) for name in tools}, catalogue())


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(TOOLS)):
        raise argparse.ArgumentTypeError(f"no such tool: {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    return names


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=_names, default=list(TOOLS), metavar="A,B", help=f"of {', '.join(TOOLS)}")
    families = sorted({fault.family for fault in catalogue().values()} | {OTHERS})
    parser.add_argument("--family", choices=families, metavar="F", help=f"of faults: {', '.join(families)}")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="a class, or a file without .py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes")
    parser.add_argument("--markdown", action="store_true", help=f"write the tables into docs/{PAGE.name}")
    arguments = parser.parse_args(words)
    if arguments.markdown and (arguments.family or arguments.case):
        parser.error("--markdown wants all modules")
    try:
        chosen = selected(all_cases(), arguments.case)
    except LookupError as error:
        parser.error(str(error))
    rows = []
    for case in chosen:
        if arguments.family in (None, family_of(case)):
            rows.append(ask(case, arguments.tools))
            print(rows[-1], flush=True)
    tables = [versions(), "", *markdown(rows, catalogue())]
    print("", *tables, sep="\n")
    if arguments.markdown:
        write("tables", tables)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
