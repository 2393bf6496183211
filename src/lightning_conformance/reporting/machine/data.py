"""What a report tells of a subject in an environment."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_conformance.reporting.outcomes import OUTCOMES, outcome_of


@dataclass(frozen=True)
class Cell:
    """A subject in an environment, with its verdicts in plain data.

    Args:
        lightning: Package and version.
        verdicts: One a check, in the order of the catalogue.
        deselected: How many checks were left out.
    """

    subject: str
    environment: str
    lightning: str
    provenance: tuple[str, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    deselected: int = 0

    @property
    def census(self) -> dict[str, int]:
        """How many checks had each outcome; ``expected`` is a failure that does not count."""
        counted = Counter(outcome_of(verdict) for verdict in self.verdicts)
        return {**{outcome: counted[outcome] for outcome in OUTCOMES}, "deselected": self.deselected}

    @property
    def failed(self) -> bool:
        """Whether a check failed that was not expected to."""
        return any(outcome_of(verdict) == "failed" for verdict in self.verdicts)


def cells(verdicts: Iterable[Mapping[str, Any]], root: Path, possible: Mapping[str, int]) -> list[Cell]:
    """The cells of a run, sorted, the same whatever the order in which the verdicts came.

    Args:
        root: Folder that files are told relative to.
        possible: How many checks each environment judges, if none is left out.
    """
    from lightning_conformance.checks import all_checks

    order = [check.name for check in all_checks()]
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for verdict in verdicts:
        found.setdefault((verdict["subject"], verdict["environment"]), {})[verdict["check"]] = verdict
    made = []
    for (subject, environment), by_check in sorted(found.items()):
        first = next(iter(by_check.values()))
        told = tuple(_relative(by_check[name], root) for name in order if name in by_check)
        lightning, provenance = first["lightning"], tuple(first["provenance"])
        left_out = possible[environment] - len(told)
        made.append(Cell(subject, environment, lightning, provenance, told, left_out))
    return made


def _relative(verdict: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    findings = []
    for finding in verdict["findings"]:
        place = finding["place"]
        if place is not None:
            place = {**place, "file": relative_to(place["file"], root)}
        findings.append({**finding, "place": place})
    return {**verdict, "findings": findings}


def relative_to(file: str, root: Path) -> str:
    """A path from the root, with forward slashes; as it is where it lies elsewhere."""
    try:
        near = os.path.relpath(file, root)
    except ValueError:
        return file
    return file if near.startswith("..") else Path(near).as_posix()
