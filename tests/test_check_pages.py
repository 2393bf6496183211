"""The pages of the checks: the wrong example of each is caught, on its own line, and the right one is not accused."""

from __future__ import annotations

import sys

import pytest
from check_examples import RIGHT, WRONG, block_of, write_example

from lightning_conformance import check_module
from lightning_conformance.checks import all_checks
from lightning_conformance.environments import ENVIRONMENTS
from lightning_conformance.lightning_api import installed_packages

CHECKS = all_checks()
# Judged beside, as they need no other run: what is called right is right.
OTHERS = [check.name for check in CHECKS if check.regimes == ("train",)]
# Examples are shorter without.
LEFT_OUT = {"train_loss_logged"}
# Checks whose right example need not be judged: what it is about is not there any more.
DOES_NOT_APPLY = {
    "batch_size_is_right": "where the batch size is given, Lightning chooses none",
    "batches_are_not_skipped": "the hook that skips is gone",
    "checkpoint_is_no_larger_than_needed": "the checkpoint holds nothing frozen any more",
}
# Checks that give advice on their right example, too.
ADVISED = {"frozen_parameters_stay_frozen": "how much is frozen is told wherever something is"}
# What must be installed for an example to run.
NEEDS = {
    "cli_can_build_it": ("lightning", "jsonargparse"),
    "one_lightning": ("lightning", "pytorch_lightning"),
}
# The hooks of these have one argument more before Lightning 2.
SINCE_2 = ("closure_executed", "gradient_clipping_works")
# Checks whose finding cannot stand on a line of the example.
ELSEWHERE: dict[str, str] = {}
# Two networks, their steps and their optimizers take the most.
LONGEST = 16


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """The verdict of a check on one of its own examples, the example, and which other checks failed."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def run(check, heading):
        for package in NEEDS.get(check.name, ()):
            pytest.importorskip(package)
        if check.name in SINCE_2 and installed_packages()[0].release < (2, 0):
            pytest.skip("the example's hook has the arguments of Lightning 2")
        block = block_of(check.documentation, heading)
        assert block, f"{check.name}: no block of Python, or several, under '## {heading}'"
        example = write_example(block, tmp_path / f"{check.name}.py")
        places = [e for e in ENVIRONMENTS.values() if e.judges(check.family) and e.unavailable() is None]
        report = check_module(
            example.target,
            environment=places[0].name,
            select=[check.name, *(OTHERS if heading == RIGHT else ())],
            raise_on_failure=False,
            timeout=60,
            **example.options,
        )
        failed = {verdict.check for verdict in report.verdicts if verdict.failed} - {check.name} - LEFT_OUT
        return next(v for v in report.verdicts if v.check == check.name), example, failed

    yield run
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_wrong_example_is_caught(check, judged):
    verdict, example, _ = judged(check, WRONG)
    found = verdict.of(check.severity)
    assert found, f"{verdict}\n{example.file.read_text('utf-8')}"
    assert verdict.failed == (check.severity == "error"), verdict
    assert check.name in ELSEWHERE or any(example.holds(finding.place) for finding in found), verdict


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_right_example_is_not_accused(check, judged):
    verdict, example, others = judged(check, RIGHT)
    advice = verdict.of("advice") if check.name in ADVISED else ()
    assert verdict.findings == advice, f"{verdict}\n{example.file.read_text('utf-8')}"
    assert advice or check.name not in ADVISED, check.name
    assert others == set(), example.file.read_text("utf-8")
    expected = "not applicable" if check.name in DOES_NOT_APPLY else "passed"
    assert verdict.outcome == expected, f"{verdict}\n{example.file.read_text('utf-8')}"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_examples_are_short(check):
    for heading in (WRONG, RIGHT):
        lines = [line for line in block_of(check.documentation, heading).splitlines() if line.strip()]
        assert len(lines) <= LONGEST, heading
