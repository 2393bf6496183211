"""Reports for machines: JSON, SARIF, Markdown, and annotations; each made from the same plain data."""

from __future__ import annotations

from collections.abc import Callable

from lightning_conformance.reporting.machine.data import Cell, cells
from lightning_conformance.reporting.machine.json_report import json_text
from lightning_conformance.reporting.machine.markdown import markdown_text
from lightning_conformance.reporting.machine.sarif import sarif_text

WRITERS: dict[str, Callable[[list[Cell]], str]] = {
    ".json": json_text,
    ".md": markdown_text,
    ".sarif": sarif_text,
}

__all__ = ["WRITERS", "Cell", "cells"]
