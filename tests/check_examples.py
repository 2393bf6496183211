"""The examples of the checks' pages: read from the docstrings, and written as files that can be run.

A block holds methods, which replace those of the base module, or whole classes, the last of which is the module.
Its first lines may say what it is run with: ``# batch: x: float[4,3]``, ``# init: hidden=4``.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_conformance.lightning_api import installed_packages
from lightning_conformance.reporting.catalogue import BASE_BATCH, BASE_IMPORTS, BASE_MODULE

WRONG, RIGHT = "Example", "Use instead"


@dataclass(frozen=True)
class Example:
    """A file with one example.

    Args:
        target: The module, as the kit takes it.
        file: The file.
        lines: The lines of the block in the file.
        options: What the block says that it is run with.
    """

    target: str
    file: Path
    lines: range
    options: dict[str, Any]

    def holds(self, place: Any) -> bool:
        """Whether a place is one of the block's lines."""
        return place is not None and Path(place.file) == self.file and place.line in self.lines


def block_of(documentation: str, heading: str) -> str:
    """The only block of Python in a section; empty where there is not exactly one."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", documentation, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^```python\n(.*?)^```$", section[1] if section else "", re.DOTALL | re.MULTILINE)
    return found[0] if len(found) == 1 else ""


def write_example(block: str, file: Path) -> Example:
    """Write a block as a file that can be run."""
    imports = BASE_IMPORTS.replace("lightning.pytorch", installed_packages()[0].name)
    tree = ast.parse(block)
    if any(isinstance(node, ast.ClassDef) for node in tree.body):
        before, body = f"{imports}\n\n{BASE_MODULE}\n\n", block
    else:
        before, body = f"{imports}\n\n{_base_without(tree)}\n", textwrap.indent(block, "    ")
    text = before + body
    file.write_text(text, encoding="utf-8")
    first = before.count("\n") + 1
    return Example(f"{file}:{_last_module(text)}", file, range(first, text.count("\n") + 1), _options(block, tree))


def _base_without(members: ast.Module) -> str:
    """The base module without the methods that the block has."""
    own = {node.name for node in members.body if isinstance(node, ast.FunctionDef)}
    (base,) = ast.parse(BASE_MODULE).body
    assert isinstance(base, ast.ClassDef)
    base.body = [node for node in base.body if getattr(node, "name", "") not in own]
    return ast.unparse(base) if base.body else f"class {base.name}(pl.LightningModule):"


def _last_module(text: str) -> str:
    """The last class that subclasses LightningModule, or one that does."""
    found = ["LightningModule"]
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & set(found):
                found.append(node.name)
    return found[-1]


def _options(block: str, tree: ast.Module) -> dict[str, Any]:
    said = dict(re.findall(r"^# (batch|init|val_batch): (.+)$", block, re.MULTILINE))
    own_data = any(isinstance(n, ast.FunctionDef) and n.name == "train_dataloader" for n in ast.walk(tree))
    options: dict[str, Any] = {"batch": said.get("batch", None if own_data else BASE_BATCH)}
    if "val_batch" in said:
        options["val_batch"] = said["val_batch"]
    return {**options, "init": said["init"].split()} if "init" in said else options
