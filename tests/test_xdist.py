"""pytest-xdist: the same items and verdicts, and no recording made twice."""

from __future__ import annotations

import pytest

MODULES = ["--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty"]

OWN_TESTS = """
import pytest
from lightning_conformance import parametrize_with_checks
from model import Model

@pytest.mark.parametrize("number", range(6))
def test_own(number):
    pass

def test_module(lightning_module):
    pass

def test_recording(lightning_recording):
    assert lightning_recording.steps

@pytest.fixture
def lightning_batch():
    import torch
    return torch.ones(4, 3), torch.ones(4, 1)

@parametrize_with_checks([lambda: Model(lr=0.2)])
def test_suite(lightning_check):
    lightning_check()
"""


def recordings(result):
    """The line that counts recordings."""
    [line] = [line for line in result.outlines if "subject-environment pair" in line]
    return line


@pytest.fixture
def alone(kit, items):
    """Outcomes and count of a run in one process."""
    kit.write("test_own.py", OWN_TESTS)
    result = kit.run(*MODULES, "-v")
    return items(result), recordings(result)


@pytest.mark.parametrize("options", [["-n2"], ["-n2", "--dist=worksteal"], ["-n2", "--dist=loadscope"]], ids=" ".join)
def test_workers_give_the_same_verdicts_and_make_each_recording_once(kit, items, alone, options):
    result = kit.run_apart(*MODULES, *options, "-v")
    outcomes, count = alone
    assert items(result) == outcomes
    assert recordings(result) == count == "5 recordings for 3 subject-environment pairs with 5 kinds of batch"
    assert "@" not in "".join(line for line in result.outlines if "::" in line)


def test_a_broken_file_fails_its_item_on_a_worker(kit, items, said):
    kit.write("broken.py", "class Model(:\n")
    result = kit.run_apart("--lightning-module=broken.py:Model", "-n2", "-v")
    assert result.ret == 1
    outcomes = items(result)
    assert outcomes.pop("broken.py:Model::cpu::training_completes") == "failed"
    assert set(outcomes.values()) == {"skipped"}
    assert "SyntaxError" in said(result)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lightning-module=missing.py:Model"], "there is no file missing.py"),
        (["--lightning-module=model.py:Modle"], "there is no `Modle` in model.py"),
    ],
    ids=["file", "class"],
)
def test_wrong_words_are_told_once_with_workers_too(kit, said, options, says):
    result = kit.run_apart(*options, "-n2")
    assert result.ret == 4
    assert said(result).count(says) == 1
    assert "Traceback" not in said(result)
