"""The summary: one line a subject and environment, what was inferred, what needs attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import pytest

from lightning_conformance.plugin.state import state_of
from lightning_conformance.reporting.outcomes import OUTCOMES, outcome_of

_GUESSED = ("  guessed", "  inferred", "  doubt")
TRAIN = "train"
_FEW = 3
_WORDS = {"expected": "expected to fail"}


def write_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Tell what was checked."""
    state = state_of(config)
    found = list(state.reports.values())
    if not found and not state.written:
        return
    from lightning_conformance.plugin.next_steps import next_steps
    from lightning_conformance.plugin.reports import annotation_lines

    write = terminalreporter.write_line
    # Where no failure was shown, the line of progress is still open.
    terminalreporter.ensure_newline()
    terminalreporter.section("lightning-conformance")
    timed = [{**data, "seconds": state.seconds.get(node_id, 0.0)} for node_id, data in state.reports.items()]
    for line in summary(timed, config.get_verbosity(), state.possible):
        write(line)
    if found and config.get_verbosity() >= 0:
        write(recordings_line(state.made))
    for line in (*state.written, *annotation_lines(config)):
        write(line)
    if config.get_verbosity() >= 0:
        for step in next_steps(config):
            write(f"  next        {step}")


def recordings_line(made: dict[str, int]) -> str:
    """How many recordings were made, and whether one was made twice.

    Args:
        made: How often each was made, by the keys of :func:`~lightning_conformance.plugin.bound.recording_key`.
    """
    pairs = {key.rsplit("|", 2)[0] for key in made}
    again = sum(times - 1 for times in made.values())
    each = "each made once" if not again else f"{again} of them made again"
    told = f"{_counted(len(pairs), 'subject-environment pair')}: {_counted(sum(made.values()), 'recording')}, {each}"
    trains = Counter(key.rsplit("|", 2)[0] for key in made if key.rsplit("|", 2)[1] == TRAIN)
    several = sum(kinds > 1 for kinds in trains.values())
    return f"{told}; {several} with several kinds of batch" if several else told


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def summary(found: list[dict[str, Any]], verbosity: int, possible: Mapping[str, int]) -> Iterator[str]:
    """The lines of the summary.

    Args:
        found: What was reported of each item, and the seconds that it took.
        verbosity: pytest's: below 0 a line a subject and environment, above 0 also why checks do not apply.
        possible: How many checks each environment judges, if none is left out.
    """
    order = list(possible)

    def cell(data: dict[str, Any]) -> tuple[str, int]:
        return data["subject"], order.index(data["environment"])

    before, told = "", set[str]()
    for (subject, number), group in groupby(sorted(found, key=cell), key=cell):
        verdicts, environment = list(group), order[number]
        left_out = possible[environment] - len(verdicts)
        where, seconds = verdicts[0]["lightning"] or "not run", sum(verdict["seconds"] for verdict in verdicts)
        yield f"{subject} :: {environment}: {_census(verdicts, left_out)} [{where}] in {seconds:.1f}s"
        # What was guessed is told however quiet the run is; what one environment told, the others need not.
        told = told if subject == before else set()
        new = [line for line in verdicts[0]["provenance"] if line not in told]
        before, told = subject, told | set(new)
        yield from (line for line in new if verbosity >= 0 or line.startswith(_GUESSED))
        if verbosity >= 0:
            yield from _attention(verdicts, verbosity)


def _census(verdicts: list[dict[str, Any]], left_out: int) -> str:
    counted = Counter(map(outcome_of, verdicts))
    told = [f"{counted[outcome]} {_WORDS.get(outcome, outcome)}" for outcome in OUTCOMES if counted[outcome]]
    if left_out > 0:
        told.append(f"{left_out} deselected")
    return f"{_counted(len(verdicts), 'check')}: {', '.join(told)}"


def _attention(verdicts: list[dict[str, Any]], verbosity: int) -> Iterator[str]:
    """What did not simply pass or fail: reasons, each told once, and findings of checks that passed."""
    for verdict in verdicts:
        if verdict["expected"]:
            yield f"  expected    {verdict['check']}: {verdict['expected']}"
    reasons: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict["reason"] and (verbosity > 0 or verdict["outcome"] != "not applicable"):
            reasons.setdefault((verdict["outcome"], verdict["reason"]), []).append(verdict["check"])
    for (outcome, reason), checks in sorted(reasons.items()):
        yield f"  {outcome:<11} {_names(checks, verbosity)}: {reason}"
    for verdict in verdicts:
        for finding in verdict["findings"]:
            if finding["severity"] != "error" and verdict["outcome"] == "passed":
                yield f"  {verdict['check']}"
                yield from (f"  {line}".rstrip() for line in finding["text"].splitlines())


def _names(checks: list[str], verbosity: int) -> str:
    """The names of a few checks, the number of many."""
    return ", ".join(checks) if verbosity > 0 or len(checks) <= _FEW else _counted(len(checks), "check")
