"""pytest-xdist: the same items and verdicts, and no recording made twice."""

from __future__ import annotations

import re

import pytest

MODULES = [f"--lightning-module={target}" for target in ("model.py:Model", "model.py:Faulty", "broken.py:Model")]

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
    kit.write("broken.py", "class Model(:\n")
    result = kit.run(*MODULES, "-v")
    return items(result), recordings(result)


@pytest.mark.parametrize("options", [["-n2"], ["-n2", "--dist=worksteal"]], ids=" ".join)
def test_workers_give_the_same_verdicts_and_make_each_recording_once(kit, items, said, alone, options):
    result = kit.run_apart(*MODULES, *options, "-v")
    outcomes, count = alone
    assert items(result) == outcomes
    assert recordings(result) == count
    assert re.fullmatch(r"4 subject-environment pairs: \d+ recordings, each made once", count)
    assert outcomes["broken.py:Model::cpu::training_completes"] == "failed"
    assert "SyntaxError" in said(result)
    assert "@" not in "".join(line for line in result.outlines if "::" in line)


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
