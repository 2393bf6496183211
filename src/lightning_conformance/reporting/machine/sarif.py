"""The report as SARIF 2.1.0, which code scanners show on the user's lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightning_conformance.reporting.known import known
from lightning_conformance.reporting.machine.data import Cell

_LEVELS = {"error": "error", "warning": "warning", "advice": "note"}


def sarif_text(found: list[Cell]) -> str:
    """The report."""
    from lightning_conformance import __version__
    from lightning_conformance.checks import all_checks

    checks = all_checks()
    driver = {
        "name": "lightning-conformance",
        "version": __version__,
        "rules": [
            {
                "id": check.name,
                "shortDescription": {"text": check.summary},
                "fullDescription": {"text": check.documentation},
                "help": {"text": check.documentation, "markdown": check.documentation},
                "defaultConfiguration": {"level": _LEVELS[check.severity]},
                "properties": {"tags": [check.family]},
            }
            for check in checks
        ],
    }
    index = {check.name: number for number, check in enumerate(checks)}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The folder that pytest runs in."}}},
        "results": [result for cell in found for result in _results(cell, index)],
    }
    data = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _results(cell: Cell, index: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for verdict in cell.verdicts:
        for finding in verdict["findings"]:
            result: dict[str, Any] = {
                "ruleId": verdict["check"],
                "ruleIndex": index[verdict["check"]],
                "kind": "fail",
                "level": _LEVELS[finding["severity"]],
                "message": {"text": _message(cell, finding)},
                "partialFingerprints": {"lightningConformance/v1": _fingerprint(verdict, finding)},
                "properties": {"subject": cell.subject, "environment": cell.environment},
            }
            if finding["place"] is not None:
                result["locations"] = [_location(finding["place"])]
            if verdict["expected"] and finding["fails"]:
                result["suppressions"] = [{"kind": "external", "justification": verdict["expected"]}]
            yield result


def _message(cell: Cell, finding: Mapping[str, Any]) -> str:
    parts = [f"{cell.subject}: {finding['message']}", finding["cause"]]
    if finding["fix"]:
        parts.append(f"Fix: {finding['fix']}")
    return "\n".join(part for part in parts if part)


def _fingerprint(verdict: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(known(verdict, finding)).encode()).hexdigest()[:32]


def _location(place: Mapping[str, Any]) -> dict[str, Any]:
    file, region = place["file"], {"startLine": place["line"]}
    if place["columns"]:
        region |= {"startColumn": place["columns"][0] + 1, "endColumn": place["columns"][1] + 1}
    if Path(file).is_absolute():
        artifact = {"uri": Path(file).as_uri()}
    else:
        artifact = {"uri": quote(file), "uriBaseId": "SRCROOT"}
    snippet = {"snippet": {"text": place["source"]}} if place["source"] else {}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {**region, **snippet}}}
