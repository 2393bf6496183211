"""Annotations that GitHub Actions shows on the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.reporting.machine.data import Cell
from lightning_conformance.reporting.outcomes import outcome_of

_COMMANDS = {"error": "error", "warning": "warning", "advice": "notice"}


def commands(found: list[Cell]) -> Iterator[str]:
    """A workflow command for each finding; what is expected is a notice."""
    for cell in found:
        for verdict in cell.verdicts:
            for finding in verdict["findings"]:
                is_expected = outcome_of(verdict) == "expected"
                command = "notice" if is_expected else _COMMANDS[finding["severity"]]
                properties = {"title": f"{verdict['check']} in {cell.subject} ({cell.environment})"}
                if place := finding["place"]:
                    properties = {"file": place["file"], "line": str(place["line"]), **properties}
                told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
                text = "\n".join(part for part in (finding["message"], finding["cause"], finding["fix"]) if part)
                yield f"::{command} {told}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
