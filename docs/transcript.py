"""Play a new user's first hour, and write down what the terminal showed: `python docs/transcript.py`.

A fresh environment, the installation, a first run on a small faulty package, a finding read and explained, a
baseline, a new fault that fails alone, the fault mended. Every step says what exit code it expects, and the script
stops where that is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "transcript.md"
MODEL = """\
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class Houses(pl.LightningModule):
    def __init__(self, lr: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.layers = [nn.Linear(6, 16), nn.Linear(16, 16)]
        self.price = nn.Linear(16, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.price(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
"""
CONFIGURATION = """\
[tool.lightning-conformance]
environment = "cpu"
baseline = "conformance-baseline.json"

[[tool.lightning-conformance.modules]]
target = "houses.py:Houses"
"""
LOG = '        self.log("train_loss", loss, on_step=False, on_epoch=True)\n'


@dataclass(frozen=True)
class Step:
    """What the user does: edits a file, or types a command whose exit code is known.

    Args:
        edit: File, old text and new text; an empty old text writes the whole file.
    """

    title: str
    command: str = ""
    code: int = 0
    edit: tuple[str, str, str] | None = None


STEPS = (
    Step("A module that trains, and has a fault.", edit=("houses.py", "", MODEL)),
    Step("The first run. Nothing is configured.", "pytest --lightning-module=houses.py:Houses", 1),
    Step("What does the check look at?", "pytest --lightning-explain=parameters_are_registered"),
    Step(
        "The fault cannot be mended today: the module is configured, with a baseline.",
        edit=("pyproject.toml", "", CONFIGURATION),
    ),
    Step("The run that writes the baseline still fails.", "pytest -q", 1),
    Step("From now on only other failures fail.", "pytest -q"),
    Step("Somebody drops a line.", edit=("houses.py", LOG, "")),
    Step("The CI fails, on that alone.", "pytest -q", 1),
    Step("The line is put back.", edit=("houses.py", "        return loss\n", f"{LOG}        return loss\n")),
    Step("Green.", "pytest -q"),
    Step(
        "Later the old fault is mended, too.",
        edit=(
            "houses.py",
            "self.layers = [nn.Linear(6, 16), nn.Linear(16, 16)]",
            "self.layers = nn.ModuleList([nn.Linear(6, 16), nn.Linear(16, 16)])",
        ),
    ),
    Step("What is gone is told, and taken out of the baseline.", "pytest -q --lightning-update-baseline"),
)


def play(python: Path, folder: Path) -> Iterator[str]:
    """The steps in Markdown.

    Raises:
        SystemExit: A command ended with another exit code than expected.
    """
    for step in STEPS:
        yield f"\n## {step.title}\n"
        if step.edit is not None:
            yield from _edited(folder, *step.edit)
            continue
        words = ["-m", *step.command.split()]
        environment = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "PYTHON", "GITHUB_"))}
        environment["COLUMNS"] = "100"
        result = subprocess.run([python, *words], cwd=folder, env=environment, capture_output=True, text=True)
        if result.returncode != step.code:
            told = f"{step.command}: exit code {result.returncode}, not {step.code}"
            raise SystemExit(f"{told}\n{result.stdout}{result.stderr}")
        shown = _normalised(result.stdout, folder)
        fence = "````" if "```" in shown else "```"
        yield f"{fence}console\n$ {step.command}\n{shown}\n$ echo $?\n{step.code}\n{fence}"


def _edited(folder: Path, name: str, old: str, new: str) -> Iterator[str]:
    file = folder / name
    before = file.read_text("utf-8") if old else ""
    if old not in before:
        raise SystemExit(f"{name} has no {old!r}")
    file.write_text(before.replace(old, new, 1) if old else new, "utf-8")
    if not old:
        language = "toml" if name.endswith(".toml") else "python"
        yield f"```{language}\n# {name}\n{new}```"
        return
    minus = [f"-{line}" for line in old.splitlines() if line not in new.splitlines()]
    plus = [f"+{line}" for line in new.splitlines() if line not in old.splitlines()]
    yield "```diff\n" + "\n".join([f"# {name}", *minus, *plus]) + "\n```"


def _normalised(text: str, folder: Path) -> str:
    """Without what differs from machine to machine."""
    text = text.replace(str(folder), "~/houses")
    text = re.sub(r"^(platform|cachedir|plugins|configfile): ?.*\n|^platform .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\d+\.\d+s\b", "0.00s", text).rstrip()


def fresh_python(folder: Path) -> Path:
    """An environment with the kit installed from this checkout."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run(install, check=True, env={**os.environ, "PIP_COMPILE": "0"})
    return python


HEAD = """\
# A first hour, as the terminal showed it

Made by `python docs/transcript.py`, which makes a fresh environment, installs the kit and types what is shown. Timings
and machine paths are evened out.

```console
$ python -m venv .venv
$ .venv/bin/pip install lightning-conformance
$ . .venv/bin/activate
```
"""


def main() -> None:
    """Play, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, help="An interpreter that has the kit; default: a fresh environment.")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        python = given.python or fresh_python(folder)
        (folder / "houses").mkdir()
        given.page.write_text(HEAD + "\n".join(play(python, folder / "houses")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
