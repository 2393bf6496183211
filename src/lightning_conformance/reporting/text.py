"""Findings as text, in the manner of a good compiler."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from lightning_conformance.checks.verdict import Finding, Verdict
from lightning_conformance.recording.model import Place

_WIDTH = 100


def relative(file: str) -> str:
    """A path relative to the working directory where it lies below it, with forward slashes."""
    try:
        return Path(os.path.relpath(file)).as_posix() if not os.path.relpath(file).startswith("..") else file
    except ValueError:
        return file


def title(verdict: Verdict) -> str:
    """``subject :: environment :: check``."""
    return f"{verdict.subject} :: {verdict.environment} :: {verdict.check}"


def verdict_text(verdict: Verdict) -> str:
    """Title and findings of a verdict, errors first."""
    order = ("error", "warning", "advice")
    findings = sorted(verdict.findings, key=lambda finding: order.index(finding.severity))
    parts = [title(verdict), *(finding_text(finding) for finding in findings)]
    if verdict.because_of:
        parts.append(f"  Root   {verdict.because_of} names the root cause.")
    parts.append(f"  More   pytest --lightning-explain={verdict.check}")
    return "\n\n".join(parts)


def finding_text(finding: Finding, indent: str = "  ") -> str:
    """Evidence, place, cause and fix of one finding."""
    label = "" if finding.severity == "error" else f"{finding.severity}: "
    blocks = [_wrapped(label + finding.message, "")]
    if finding.place is not None:
        blocks.append(place_text(finding.place))
    if finding.detail:
        blocks.append(finding.detail.rstrip())
    advice = [_wrapped(text, f"{word:<7}") for word, text in (("Cause", finding.cause), ("Fix", finding.fix)) if text]
    if advice:
        blocks.append("\n".join(advice))
    return textwrap.indent("\n\n".join(blocks), indent)


def place_text(place: Place) -> str:
    """File, line, function, and the line itself underlined."""
    where = f"{relative(place.file)}:{place.line}" + (f" in {_function(place.function)}" if place.function else "")
    if not place.source.strip():
        return where
    start, end = _underlined(place)
    gutter = f"{place.line:>5} | "
    bar = " " * (len(gutter) - 2) + "| "
    return f"{where}\n{gutter}{place.source}\n{bar}{' ' * start}{'^' * (end - start)}"


def _function(name: str) -> str:
    return name.rpartition("<locals>.")[2]


def _underlined(place: Place) -> tuple[int, int]:
    text = place.source
    if place.columns and place.columns[1] <= len(text):
        return place.columns
    return len(text) - len(text.lstrip()), len(text.rstrip())


def _wrapped(text: str, head: str) -> str:
    lines = list(_lines(text, _WIDTH - len(head)))
    return "\n".join((head if i == 0 else " " * len(head)) + line for i, line in enumerate(lines)).rstrip()


def _lines(text: str, width: int) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        # Code and tracebacks keep their own line breaks and spaces.
        yield from textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
