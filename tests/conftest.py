"""Runs of pytest inside pytest, in one process, on modules that a test writes."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import re
import sys
import textwrap
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest
import torch

import lightning_conformance
from lightning_conformance import check_module
from lightning_conformance.lightning_api import installed_packages

torch.set_num_threads(1)

pytest_plugins = ["pytester"]

# What these try depends little on the release of Lightning: the newest runs them, the others do not.
NEWEST = re.compile(
    r"test_(inference\w*|guessing|hostile|annotations|python_versions|batch_\w+|benchmark_\w+|docs|naming|freeze"
    r"|infer_cache|configuration|expected_failures|reports|versions|decorator|target|bad_input|output"
    r"|fault_suite|processes|unasked_environments|check_pages|waiving|environment_errors|packaging|summary_snapshots)\.py$"
)
# What every release must be seen to do.
RELEASES = re.compile(r"test_(check_module|examples|fixtures|main_job|recording|suites_of_modules)\.py$")


def pytest_collection_modifyitems(items):
    for item in items:
        if NEWEST.search(item.path.name) or "zero_configuration" in item.name or "two_train_together" in item.name:
            item.add_marker("newest")
        elif RELEASES.search(item.path.name):
            item.add_marker("releases")
        if item.name.startswith("test_legitimate_module"):
            item.add_marker("legitimate")


PACKAGES = [package.name for package in installed_packages()]
BATCH = "x: float[4,3], y: float[4,1]"

IMPORTS = """
import LIGHTNING as pl
import torch
from torch import nn
from torch.nn import functional as F
"""

MODEL = """
class Model(pl.LightningModule):
    def __init__(self, features: int = 3, lr: float = 0.1):
        super().__init__()
        self.lr = lr
        self.net = nn.Linear(features, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
"""

FAULTY = """
class Faulty(Model):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
"""

OWN_TESTS = """
def test_own():
    pass
"""


def _plugin_arguments() -> list[str]:
    """Load the plugin by name where the kit runs from its source folder."""
    groups = metadata.entry_points(group="pytest11")
    return [] if "lightning_conformance" in groups.names else ["-p", "lightning_conformance.plugin"]


def _warm_up(package: str) -> None:
    """Import what the first run imports late: an inner session forgets its imports, and torch stands none twice."""
    names: dict[str, object] = {"__name__": "warm_up"}
    exec((IMPORTS + MODEL).replace("LIGHTNING", package), names)
    check_module(names["Model"], batch=BATCH, environment="cpu")
    check_module(names["Model"], environment="cpu")


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    torch.export.export(torch.nn.Linear(2, 2), (torch.ones(3, 2),))
    for package in PACKAGES:
        _warm_up(package)


@dataclass
class Kit:
    """A folder with a user's files, and pytest run in it."""

    pytester: pytest.Pytester
    package: str = PACKAGES[0]
    arguments: list[str] = field(default_factory=_plugin_arguments)

    @property
    def path(self) -> Path:
        return self.pytester.path

    def write(self, name: str, *parts: str) -> Path:
        """Write a file; ``LIGHTNING`` in it becomes the package's name."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(textwrap.dedent(part) for part in parts)
        path.write_text(text.replace("LIGHTNING", self.package), "utf-8")
        return path

    def module(self, *parts: str, name: str = "model.py") -> Path:
        """Write a file with the sound ``Model``, the ``Faulty`` one, and what a test adds."""
        return self.write(name, IMPORTS, MODEL, FAULTY, *parts)

    def run(self, *arguments: object, batch: str = BATCH, cache: bool = False) -> pytest.RunResult:
        """Run pytest in this process on the CPU; ``batch`` empty to say nothing about batches."""
        given = list(map(str, arguments))
        if not any(word.startswith("--lightning-environment") for word in given):
            given.insert(0, "--lightning-environment=cpu")
        if batch and any(word.startswith("--lightning-module") for word in given):
            given.insert(0, f"--lightning-batch={batch}")
        if not cache:
            given.insert(0, "-pno:cacheprovider")
        return self.pytester.runpytest_inprocess(*self.arguments, *given, no_reraise_ctrlc=True)

    def run_apart(self, *arguments: object, batch: str = BATCH) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        given = ["-pno:cacheprovider", "--lightning-environment=cpu"]
        given += [f"--lightning-batch={batch}"] if batch else []
        return self.pytester.runpytest_subprocess(*self.arguments, *given, *map(str, arguments))


@pytest.fixture
def kit(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Kit:
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)
    # Another test may have imported a file of the same name.
    for name in ("model", "test_own"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    source = str(Path(lightning_conformance.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])))
    made = Kit(pytester)
    made.module()
    return made


@pytest.fixture(params=PACKAGES)
def either_kit(request: pytest.FixtureRequest, kit: Kit) -> Kit:
    """The folder under each of Lightning's package names."""
    kit.package = request.param
    kit.module()
    return kit


def output(result: pytest.RunResult) -> str:
    """Both streams, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", f"{result.stdout.str()}\n{result.stderr.str()}")


@pytest.fixture
def items():
    """The outcome of each item, by node id, in the order in which they ran (of ``-v`` in another process)."""

    def outcomes(result: pytest.RunResult) -> dict[str, str]:
        if hasattr(result, "reprec"):
            reports = result.reprec.getreports("pytest_runtest_logreport")
            return {r.nodeid: r.outcome for r in reports if r.when == "call" or not r.passed}
        words = "PASSED|FAILED|SKIPPED|ERROR"
        lines = re.findall(rf"^\[gw\d+\] \[ *\d+%\] ({words}) (\S+)|^(\S+::\S+) ({words})", output(result), flags=re.M)
        found = {(parallel or own): (word or last).lower() for word, parallel, own, last in lines}
        return {node_id: "failed" if word == "error" else word for node_id, word in found.items()}

    return outcomes


@pytest.fixture
def collected():
    """Node ids as ``--collect-only -q`` lists them."""

    def listed(result: pytest.RunResult) -> list[str]:
        return [line for line in result.outlines if "::" in line and " " not in line]

    return listed


@pytest.fixture
def said():
    """What a run printed; a look at it also sees that nothing of the kit's inside is shown."""

    def text(result: pytest.RunResult) -> str:
        shown = output(result)
        assert "INTERNALERROR" not in shown
        assert not re.search(r"lightning_conformance/[\w/]+\.py", shown.replace(os.sep, "/")), shown
        return shown

    return text
