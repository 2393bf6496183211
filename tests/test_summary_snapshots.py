"""The header and the summary, word for word; `pytest tests/test_summary_snapshots.py --regen-all` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("pytest_regressions")

MODULES = """
class NoValue(Model):
    def training_step(self, batch, batch_idx):
        x, y = batch
        self.log("train_loss", F.mse_loss(self.net(x), y))

class Needs(Model):
    def __init__(self, hidden):
        super().__init__()
        self.last = nn.Linear(1, hidden)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.last(self.net(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

class NotInstalled(Model):
    def training_step(self, batch, batch_idx):
        import flowers_of_another_package

class OnTheHost(Model):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x) + torch.ones(1), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

class Unused(Model):
    def __init__(self):
        super().__init__()
        self.extra = nn.Linear(2, 2)
"""
# Named, so that a new check changes no snapshot.
CHECKS = [
    "training_completes",
    "loss_is_finite",
    "loss_returned",
    "weights_update",
    "every_parameter_gets_a_gradient",
    "scheduler_is_stepped",
    "train_loss_logged_once_per_epoch",
]
SELECT = f"--lightning-select={','.join(CHECKS)}"
TABLE = """
[tool.lightning-conformance]
timeout = 90

[[tool.lightning-conformance.modules]]
target = "model.py:NoValue"
batch = "x: float[4,3], y: float[4,1]"
select = ["loss_returned", "train_loss_logged_once_per_epoch"]

[tool.lightning-conformance.modules.expected-failures]
loss_returned = "the old heads are trained elsewhere, see issue 12"
train_loss_logged_once_per_epoch = "dashboards read each step"

[[tool.lightning-conformance.modules]]
target = "model.py:Model"
init = { features = 3, lr = 0.05 }
batch = "x: float[4,3], y: float[4,1]"
select = ["loss_returned"]
"""


@pytest.fixture
def original_datadir():
    """Where the expected texts stand."""
    return Path(__file__).parent / "snapshots"


@pytest.fixture(autouse=True)
def modules(kit):
    kit.module(MODULES)


def told(result):
    """What the kit says in the header and in its section, without what differs from run to run."""
    lines = [line.rstrip() for line in result.outlines]
    begin = next((i for i, line in enumerate(lines) if line.startswith("lightning-conformance ")), 0)
    end = next((i for i, line in enumerate(lines) if line.startswith("rootdir:")), begin)
    (start,) = [i for i, line in enumerate(lines) if re.fullmatch("=+ lightning-conformance =+", line)]
    stop = next((i for i, line in enumerate(lines[start + 1 :], start + 1) if line.startswith("===")), len(lines))
    text = "\n".join([*lines[begin:end], *lines[start:stop]]) + "\n"
    for pattern, word in (
        (r"\b\d+\.\d+\.\d+[\w.]*", "VERSION"),
        (r"\b\d+\.\d+s$", "TIME"),
        (r"\d+ deselected", "N deselected"),
        (r"=+ (lightning-conformance) =+", r"=== \1 ==="),
    ):
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


CASES = {
    "passed": ["--lightning-module=model.py:Model"],
    "failed": ["--lightning-module=model.py:NoValue"],
    "failed_quiet": ["--lightning-module=model.py:NoValue", "-q"],
    "failed_verbose": ["--lightning-module=model.py:NoValue", "-v"],
    "warned": ["--lightning-module=model.py:Unused"],
    "many_failed": [
        "--lightning-module=model.py:NoValue",
        "--lightning-module=model.py:Faulty",
        "--lightning-ignore=loss_is_finite",
        "--lightning-module=model.py:Unused",
        "--lightning-strict",
    ],
    "inconclusive": ["--lightning-module=model.py:NotInstalled"],
}


@pytest.mark.parametrize("case", CASES)
def test_summary_of_a_run(case, kit, file_regression):
    file_regression.check(told(kit.run(SELECT, *CASES[case])), basename=case, extension=".txt")


def test_summary_of_what_was_guessed_and_inferred(kit, file_regression):
    result = kit.run(SELECT, "--lightning-module=model.py:Needs", batch="")
    file_regression.check(told(result), basename="inferred", extension=".txt")


def test_summary_of_two_environments(kit, file_regression):
    devices = "--lightning-select=weights_update,tensors_are_on_one_device"
    result = kit.run(devices, "--lightning-environment=cpu,virtual", "--lightning-module=model.py:OnTheHost")
    file_regression.check(told(result), basename="two_environments", extension=".txt")


def test_summary_of_expected_failures(kit, file_regression):
    kit.write("pyproject.toml", TABLE)
    result = kit.run("--lightning-train-loss=train_loss")
    file_regression.check(told(result), basename="expected", extension=".txt")


def test_summary_is_the_same_with_workers(kit, file_regression):
    result = kit.run_apart(SELECT, "-n2", "--lightning-module=model.py:NoValue")
    file_regression.check(told(result), basename="failed", extension=".txt")
