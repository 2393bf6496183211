"""How often the batch of a LightningModule is found, and found right, from nothing but an instance.

Run it in the folder of the project, in an environment that has the packages::

    python -m benchmarks.inference --own --demos --corpus FOLDER    # one line a case, then the rates
    python -m benchmarks.inference --corpus FOLDER darts NBEATS     # files (without case_) or cases
    python -m benchmarks.inference --own --markdown                 # the table as Markdown
    python -m benchmarks.inference --corpus FOLDER --json now.json  # all there is to know, to compare runs

``benchmarks/cases.py`` says what a corpus is. The search is given an instance alone; the hand-made batch is kept from
it, and compared afterwards with what it found:

* found: a spec came back; verified: a fit of three steps with new values, on a fresh instance under a plain Trainer,
  ran with it;
* agrees: structure, rank and dtype are those of the hand-made batch. Its parts that the module never reads (a fit runs
  with an unusable object in their place) may be anything; a list may be a tuple;
* wrong but running: verified, and does not agree.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.agreement import disagreements
from benchmarks.cases import Case, corpus, demos, own, quiet, selected, silence
from benchmarks.inference_rows import Row, rates, table
from benchmarks.reading import fit, unread_parts
from lightning_conformance.deadline import RunTimeout, deadline
from lightning_conformance.subjects.batch_spec import BatchSpec, parse_batch_spec, spec_of
from lightning_conformance.subjects.construct import Constructor
from lightning_conformance.subjects.inference import infer_batch

BUILD_SECONDS = 120.0
STEPS = 3
CRASHES = (Exception, RunTimeout, SystemExit)


class Builder:
    """Fresh instances: copies of one, or built anew where it cannot be copied."""

    def __init__(self, case: Case) -> None:
        self.build: Callable[[], Any] = case.make
        self.seconds = 0.0  # spent with building and copying
        module = self()
        try:
            copies = Constructor(module)
            copies()
            self.build = copies
        except Exception:
            pass

    def __call__(self) -> Any:
        start = time.perf_counter()
        try:
            torch.manual_seed(0)
            return self.build()
        finally:
            self.seconds += time.perf_counter() - start


def try_case(case: Case) -> Row:
    """Search the batch of one case, and judge what was found."""
    head = case.source, case.group, case.name
    try:
        with deadline(BUILD_SECONDS), silence():
            build = Builder(case)
    except ModuleNotFoundError as error:
        return Row(*head, missing=f"not installed: {error}")
    except CRASHES as error:
        return Row(*head, missing=f"not built: {_first_line(error)}")
    start, building = time.perf_counter(), build.seconds

    def passed() -> float:
        return time.perf_counter() - start - (build.seconds - building)

    try:
        with silence():
            found = infer_batch(build)
    except CRASHES as error:
        seconds, text = passed(), f"{type(error).__name__}: {error}"
        return Row(*head, attempts=_attempts(text), seconds=seconds, error=text, expected=_hand_made(case))
    seconds = passed()
    error_text = _verified(build, found.spec)
    expected, differences = _compared(case, build, found.spec)
    return Row(
        *head,
        found=True,
        verified=not error_text,
        agrees=not differences,
        doubts=tuple(found.doubts),
        attempts=found.attempts,
        seconds=seconds,
        spec=str(found.spec),
        expected=expected,
        differences=tuple(differences),
        error=error_text,
    )


def _verified(build: Builder, spec: BatchSpec) -> str:
    """Train a fresh instance with new values; the first line of what it raises."""
    generator = torch.Generator().manual_seed(1)
    try:
        with silence():
            fit(build(), [spec.generate(generator=generator) for _ in range(STEPS)])
    except CRASHES as error:
        return _first_line(error)
    return ""


def _compared(case: Case, build: Builder, found: BatchSpec) -> tuple[str, list[str]]:
    """What was expected, and how the found spec differs from it."""
    if case.expected is not None:
        text, compare = case.expected
        return text, compare(found)
    try:
        with silence():
            batch = _batches(case)
            expected = spec_of(batch())
            differences = disagreements(expected.root, found.root)
            if differences:
                differences = disagreements(expected.root, found.root, unread_parts(build, batch))
    except CRASHES as error:
        return "", [f"the hand-made batch could not be had: {_first_line(error)}"]
    return str(expected), differences


def _batches(case: Case) -> Callable[[], Any]:
    """The hand-made batch, made anew at each call."""
    if isinstance(case.batch, str):
        return parse_batch_spec(case.batch).generate
    made: Callable[[], Any] = case.batch
    return made


def _hand_made(case: Case) -> str:
    if case.expected is not None:
        return case.expected[0]
    try:
        with silence():
            return str(spec_of(_batches(case)()))
    except CRASHES as error:
        return f"the hand-made batch could not be had: {_first_line(error)}"


def _attempts(message: str) -> int:
    """The effort, as the message of a failed search says it."""
    match = re.search(r"(\d+) training steps? tried", message)
    return int(match[1]) if match else 0


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a folder of case_*.py files")
    parser.add_argument("--demos", action="store_true", help="the classes of lightning.pytorch.demos")
    parser.add_argument("--own", action="store_true", help="the modules of tests/ whose batch is written beside them")
    parser.add_argument("--markdown", action="store_true", help="end with a Markdown table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows")
    parser.add_argument("names", nargs="*", help="files (without case_) or cases")
    arguments = parser.parse_args()
    if not (arguments.corpus or arguments.demos or arguments.own):
        parser.error("give --corpus FOLDER, --demos, --own or several of them")
    quiet()
    cases = [
        *(own() if arguments.own else ()),
        *((case for case in demos() if case.batch is not None) if arguments.demos else ()),
        *(corpus(arguments.corpus) if arguments.corpus else ()),
    ]
    try:
        cases = selected(cases, arguments.names)
    except LookupError as error:
        parser.error(str(error))
    rows = []
    for case in cases:
        rows.append(try_case(case))
        print(rows[-1], flush=True)
    if arguments.markdown:
        print("", *table(rows), sep="\n")
    print("", *rates(rows), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
