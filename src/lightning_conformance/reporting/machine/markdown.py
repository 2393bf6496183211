"""The report as Markdown: a table for a pull request, with the findings folded below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightning_conformance.reporting.machine.data import Cell
from lightning_conformance.reporting.outcomes import OUTCOMES, outcome_of

_MARKS = {"failed": "❌", "passed": "✅"}


def markdown_text(found: list[Cell]) -> str:
    """The report."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: list[Cell]) -> Iterator[str]:
    failed = sum(cell.failed for cell in found)
    word = f"{failed} of {len(found)} failed" if failed else f"all {len(found)} passed"
    yield f"## Lightning conformance: {word}\n"
    columns = (*OUTCOMES, "deselected")
    yield f"| | module | environment | {' | '.join(columns)} | Lightning |"
    yield "|" + " --- |" * (len(columns) + 4)
    for cell in found:
        mark = _MARKS["failed" if cell.failed else "passed"]
        counts = " | ".join(str(cell.census[column] or "") for column in columns)
        yield f"| {mark} | {_code(cell.subject)} | {cell.environment} | {counts} | {cell.lightning} |"
    for cell in found:
        yield from _findings(cell)


def _findings(cell: Cell) -> Iterator[str]:
    told = [verdict for verdict in cell.verdicts if verdict["findings"]]
    for verdict in sorted(told, key=lambda each: outcome_of(each) != "failed"):
        level = max((finding["severity"] for finding in verdict["findings"]), key=("advice", "warning", "error").index)
        expected = f" ({verdict['expected']})" if verdict["expected"] else ""
        opened = " open" if outcome_of(verdict) == "failed" else ""
        yield f"\n<details{opened}><summary>{level}: <code>{_escaped(verdict['check'])}</code> in "
        yield f"<code>{_escaped(cell.subject)}</code>, {cell.environment}{_escaped(expected)}</summary>\n"
        for finding in verdict["findings"]:
            yield from _finding(finding)
        if verdict["because_of"]:
            yield f"The root cause is named by {_code(verdict['because_of'])}.\n"
        yield "</details>"


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_escaped(finding['message'])}\n"
    place = finding["place"]
    if place is not None:
        where = f" in {_code(place['function'].rpartition('<locals>.')[2])}" if place["function"] else ""
        yield f"{_code(place['file'] + ':' + str(place['line']))}{where}\n"
        if place["source"].strip():
            yield f"```python\n{place['source'].strip()}\n```\n"
    if finding["cause"]:
        yield f"**Cause:** {_escaped(finding['cause'])}\n"
    if finding["fix"]:
        yield f"**Fix:**\n\n```python\n{finding['fix']}\n```\n"
    if finding["detail"]:
        yield f"```text\n{finding['detail'].rstrip()}\n```\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"
