"""Reads the modules of tests/faults and tests/legitimate, the faults that they show, and what is expected of them.

Nothing of them is imported.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Fault:
    """A fault of the catalogue.

    Args:
        name: Its name.
        family: What it is about.
        severity: SW, CE, CL or ST; ``tests/faults/catalogue.toml`` says what they mean.
        open: Whether no module shows it yet.
        undecided: Why no run can decide it; empty where one can.
        issue: The issue that it belongs to, where it is not the catalogue's own.
    """

    name: str
    family: str
    severity: str
    open: bool = False
    undecided: str = ""
    issue: str = ""


@functools.cache
def catalogue() -> dict[str, Fault]:
    """The faults, by name, in the order of the families."""
    tables = tomllib.loads((HERE / "faults" / "catalogue.toml").read_text(encoding="utf-8"))
    undecided = tables["undecided"]
    return {
        name: Fault(name, family, undecided=undecided.get(name, ""), **said)
        for family, faults in tables["family"].items()
        for name, said in faults.items()
    }


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
    def package(self) -> str:
        """The import name of the Lightning that it subclasses."""
        text = self.file.read_text(encoding="utf-8")
        return "lightning" if re.search(r"^(import|from) lightning\b", text, re.MULTILINE) else "pytorch_lightning"

    @property
    def is_faulty(self) -> bool:
        """Whether something is wrong with it."""
        return "check" in self.expected

    @property
    def group(self) -> str:
        """The name of its file."""
        return self.file.stem

    @property
    def faults(self) -> list[str]:
        """The names of the faults that it shows; none where the catalogue has no name for what it does."""
        names = self.expected["fault"]
        return names if isinstance(names, list) else [names] if names else []

    @property
    def places(self) -> list[int]:
        """The lines that carry the fault's tag."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return [n for n, line in enumerate(lines, 1) if re.search(rf"# FAULT: {self.name}$", line)]

    def why_not_here(self) -> str:
        """Why the case does not apply to the installed Lightning; empty where it does."""
        package = self.package
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
        version = tuple(map(int, importlib.metadata.version(package.replace("_", "-")).split(".")[:2]))
        since, until = self.expected.get("since"), self.expected.get("until")
        if since and version < tuple(since):
            return f"only since Lightning {since[0]}.{since[1]}"
        if until and version > tuple(until):
            return f"only until Lightning {until[0]}.{until[1]}"
        return ""


def cases(folder: str, table: str) -> Iterator[Case]:
    """The cases of a folder; ``table`` names the literal in which each file says what it expects."""
    for file in sorted((HERE / folder).glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == table:
                for name, expected in ast.literal_eval(node.value).items():
                    yield Case(file, name, expected)
