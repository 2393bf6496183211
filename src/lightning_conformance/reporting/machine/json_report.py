"""The report as JSON; ``docs/report.schema.json`` is its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lightning_conformance.reporting.machine.data import Cell
from lightning_conformance.reporting.outcomes import outcome_of

SCHEMA_VERSION = 1


def json_text(found: list[Cell]) -> str:
    """The report."""
    from lightning_conformance import __version__

    data = {
        "schema_version": SCHEMA_VERSION,
        "kit_version": __version__,
        "passed": not any(cell.failed for cell in found),
        "subjects": [_cell(cell) for cell in found],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "subject": cell.subject,
        "environment": cell.environment,
        "lightning": cell.lightning,
        "provenance": [line.strip() for line in cell.provenance],
        "census": cell.census,
        "verdicts": [_verdict(verdict) for verdict in cell.verdicts],
    }


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: verdict[key] for key in ("check", "family", "summary", "reason", "expected", "because_of")}
    return {**told, "outcome": outcome_of(verdict), "findings": [_finding(each) for each in verdict["findings"]]}


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: finding[key] for key in ("severity", "message", "cause", "fix", "detail", "fails")}
    place = finding["place"]
    if place is not None:
        place = {key: place[key] for key in ("file", "line", "function", "source", "columns")}
        place["columns"] = list(place["columns"]) if place["columns"] else None
    return {**told, "place": place}
