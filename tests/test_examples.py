"""The shipped examples keep their promises: the clean ones pass, the claims of the two answers get their verdicts."""

import importlib.util
from pathlib import Path

import pytest

from lightning_conformance import check_module
from lightning_conformance.lightning_api import LightningPackage

EXAMPLES = Path(__file__).parents[1] / "examples"
ANSWERS = {
    "loss_not_returned": {"loss_returned", "weights_update"},
    "optimizer_by_hand": set(),
    "last_step_as_mean": {"train_loss_logged_once_per_epoch"},
    "callback_of_last_steps": {"train_loss_logged_once_per_epoch"},
    "running_mean_in_step": {"training_completes", "keys_are_not_forked"},
}


def check(file, name):
    return check_module(f"{EXAMPLES / file}:{name}", environment="cpu", raise_on_failure=False)


def failed(report):
    return {verdict.check for verdict in report.failed}


def accused(report):
    return [finding for finding in report.findings if finding.severity in ("error", "warning")]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("classifier.py", "Classifier"),
        ("regression.py", "Regressor"),
        ("gan.py", "GAN"),
        ("language_model.py", "LanguageModel"),
        ("own_dataloaders.py", "Spirals"),
    ],
)
def test_clean_example_passes(file, name):
    if "lightning.pytorch" in (EXAMPLES / file).read_text() and importlib.util.find_spec("lightning") is None:
        pytest.skip("lightning is not installed")
    assert accused(check(file, name)) == []


@pytest.mark.parametrize("answer", ANSWERS)
def test_claim_gets_its_verdict(answer):
    assert failed(check(f"two_popular_answers/{answer}.py", "Claimed")) == ANSWERS[answer]


@pytest.mark.parametrize(
    ("answer", "name"),
    [*((answer, "Right") for answer in (*ANSWERS, "validation_epoch_end")), ("optimizer_by_hand", "RightByHand")],
)
def test_right_way_passes(answer, name):
    assert accused(check(f"two_popular_answers/{answer}.py", name)) == []


def test_step_and_zero_grad_inside_are_said_to_change_nothing_until_gradients_are_accumulated():
    (finding,) = check("two_popular_answers/optimizer_by_hand.py", "Claimed").verdict("closure_executed").findings
    assert finding.severity == "warning"
    assert "no weight changed" in finding.message
    assert "do nothing" in finding.cause
    assert "accumulate_grad_batches" in finding.cause


def test_validation_epoch_end_passes_before_lightning_2_and_fails_since():
    report = check("two_popular_answers/validation_epoch_end.py", "Claimed")
    if LightningPackage("pytorch_lightning").release < (2, 0):
        assert accused(report) == []
        return
    assert failed(report) == {"training_completes", "every_hook_is_known"}
    (finding,) = report.verdict("training_completes").findings
    assert "v2.0.0" in finding.message
    assert "on_validation_epoch_end" in finding.fix


def test_key_error_of_the_plain_name_is_explained():
    (finding,) = check("two_popular_answers/running_mean_in_step.py", "Claimed").verdict("training_completes").findings
    assert "KeyError: 'train_loss'" in finding.message
    assert "`train_loss_step` and `train_loss_epoch`" in finding.cause
