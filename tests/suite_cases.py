"""Reads the modules of tests/faults and tests/legitimate and what is expected of them, without importing them."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A module of the suites.

    Args:
        file: The file that defines it.
        name: The class.
        expected: What its file says of it.
    """

    file: Path
    name: str
    expected: dict[str, Any]

    @property
    def target(self) -> str:
        return f"{self.file}:{self.name}"

    @property
    def places(self) -> list[int]:
        """The lines that carry the fault's tag."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return [n for n, line in enumerate(lines, 1) if re.search(rf"# FAULT: {self.name}$", line)]

    def why_not_here(self) -> str:
        """Why the case does not apply to the installed Lightning; empty where it does."""
        package = _package(self.file)
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
        version = tuple(map(int, importlib.metadata.version(package.replace("_", "-")).split(".")[:2]))
        since, until = self.expected.get("since"), self.expected.get("until")
        if since and version < tuple(since):
            return f"only since Lightning {since[0]}.{since[1]}"
        if until and version > tuple(until):
            return f"only until Lightning {until[0]}.{until[1]}"
        return ""


def _package(file: Path) -> str:
    uses_lightning = re.search(r"^(import|from) lightning\b", file.read_text(encoding="utf-8"), re.MULTILINE)
    return "lightning" if uses_lightning else "pytorch_lightning"


def cases(folder: str, table: str) -> Iterator[Case]:
    """The cases of a folder; ``table`` names the literal in which each file says what it expects."""
    for file in sorted((HERE / folder).glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == table:
                for name, expected in ast.literal_eval(node.value).items():
                    yield Case(file, name, expected)
