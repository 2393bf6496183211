"""Failures that are expected or known: they do not fail, new ones do, and what is gone is told."""

from __future__ import annotations

import json

import pytest

EXPECTED = """
[tool.lightning-conformance]
environment = "cpu"

[[tool.lightning-conformance.modules]]
target = "model.py:{name}"
batch = "x: float[4,3], y: float[4,1]"
expected-failures = {{ {checks} }}
"""
FAULTY = "--lightning-module=model.py:Faulty"
TWO_FAULTS = """
class Faulty(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        {log}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""
LOGS = 'self.log("train_loss", loss, on_step=False, on_epoch=True)'


@pytest.fixture
def expecting(kit):
    def run(name, **reasons):
        checks = ", ".join(f'"{check}" = "{reason}"' for check, reason in reasons.items())
        kit.write("pyproject.toml", EXPECTED.format(name=name, checks=checks))
        return kit.run(batch="")

    return run


def test_an_expected_failure_does_not_fail_and_says_why(expecting, said):
    result = expecting("Faulty", loss_returned="old, see #12", weights_update="the same")
    assert result.ret == 0
    assert result.parseoutcomes()["xfailed"] == 2
    assert "2 expected to fail" in said(result)
    assert "expected    loss_returned: old, see #12" in said(result)


def test_another_failure_fails(expecting, items, said):
    result = expecting("Faulty", loss_returned="old")
    assert result.ret == 1
    assert [node_id for node_id, outcome in items(result).items() if outcome == "failed"] == [
        "model.py:Faulty::cpu::weights_update"
    ]


def test_an_expected_failure_that_passes_fails(expecting, said):
    result = expecting("Model", loss_returned="old, see #12")
    assert result.ret == 1
    assert "[XPASS(strict)] it passes, and is expected to fail: old, see #12" in said(result)


def test_an_expectation_may_name_the_environment(expecting):
    assert expecting("Faulty", **{"cpu::loss_returned": "a", "weights_update": "b"}).ret == 0
    assert expecting("Faulty", **{"cuda::loss_returned": "a", "weights_update": "b"}).ret == 1


@pytest.fixture
def baseline(kit, said):
    """Runs with a baseline; the file, the exit code and what was said."""

    def run(*options, workers=False):
        arguments = (FAULTY, "--lightning-baseline=known.json", *options)
        result = kit.run_apart(*arguments, "-n2") if workers else kit.run(*arguments)
        return result.ret, said(result)

    return run


def entries(kit):
    return json.loads((kit.path / "known.json").read_text("utf-8"))["failures"]


@pytest.mark.parametrize("workers", [False, True], ids=["", "xdist"])
def test_the_first_run_writes_the_file_and_later_ones_pass(kit, baseline, workers):
    code, text = baseline(workers=workers)
    assert code == 1
    assert "baseline    known.json: 2 known failures; from now on only others fail" in text
    assert [entry["check"] for entry in entries(kit)] == ["loss_returned", "weights_update"]
    before = (kit.path / "known.json").read_bytes()
    code, text = baseline(workers=workers)
    assert code == 0
    assert "2 expected to fail" in text
    assert (kit.path / "known.json").read_bytes() == before


def test_the_file_survives_unrelated_edits(kit, baseline):
    baseline()
    source = (kit.path / "model.py").read_text("utf-8")
    (kit.path / "model.py").write_text("# a comment\n\n\n" + source.replace("class Faulty", "X = 1\n\n\nclass Faulty"))
    assert baseline()[0] == 0


def test_a_new_failure_fails_alone(kit, baseline):
    kit.write(
        "model.py",
        "import LIGHTNING as pl\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F\n",
        TWO_FAULTS.format(log=LOGS),
    )
    baseline()
    kit.write(
        "model.py",
        "import LIGHTNING as pl\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F\n",
        TWO_FAULTS.format(log="pass"),
    )
    code, text = baseline()
    assert code == 1
    assert "Faulty::cpu::train_loss_logged" in text
    assert "FAILED model.py:Faulty::cpu::loss_returned" not in text


def test_what_is_gone_is_told_and_taken_out_on_request(kit, baseline):
    baseline()
    kit.write(
        "model.py",
        "import LIGHTNING as pl\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F\n",
        TWO_FAULTS.format(log=LOGS + "\n        return loss"),
    )
    code, text = baseline()
    assert code == 0
    assert "gone        model.py:Faulty :: cpu :: loss_returned: `training_step` returned None in # of # steps." in text
    assert len(entries(kit)) == 2
    assert baseline("--lightning-update-baseline")[0] == 0
    assert entries(kit) == []


def test_what_was_not_judged_stays(kit, baseline):
    baseline()
    baseline("--lightning-select=loss_returned", "--lightning-update-baseline")
    assert [entry["check"] for entry in entries(kit)] == ["loss_returned", "weights_update"]


@pytest.mark.parametrize("text", ["", "[]", '{"version": 7, "failures": []}', '{"version": 1, "failures": [{"a": 1}]}'])
def test_a_file_that_is_no_baseline_is_an_error(kit, baseline, text):
    (kit.path / "known.json").write_text(text)
    code, said = baseline()
    assert code == 4
    assert "known.json cannot be read" in said


def test_the_modules_own_file_may_say_it(kit, said):
    kit.module(
        """
        class Old(Faulty):
            lightning_conformance = {"expected_failures": {"loss_returned": "old", "weights_update": "the same"}}
        """
    )
    result = kit.run("--lightning-module=model.py:Old")
    assert result.ret == 0
    assert "expected    loss_returned: old" in said(result)
