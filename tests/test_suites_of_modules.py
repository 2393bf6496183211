"""Every fault is caught by its check, at its line, in its words; no legitimate module is accused."""

import pytest
from suite_cases import cases
from suite_outcomes import fault_outcome, legitimate_outcome, settings

from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS
from lightning_conformance.environments import ENVIRONMENTS

FAULTS = list(cases("faults", "EXPECTED"))
LEGITIMATE = list(cases("legitimate", "LEGITIMATE"))
TRAIN_ALONE = [check.name for check in CHECKS.values() if check.regimes == ("train",)]
OF_DEVICES = [check.name for check in CHECKS.values() if check.family == "device"]
OF_RANKS = [check.name for check in CHECKS.values() if check.family == "distributed"]
# `python -m benchmarks.distributed` tries all of them.
ON_RANKS = [
    case
    for case in LEGITIMATE
    if case.file.stem in ("distributed", "manual_optimization", "parameters") or "on_ranks" in case.expected
]


# What the fault looks like without a batch, where that is not what it looks like with one.
NOT_WITHOUT_BATCH = {
    "OutOfTheStep": "the search finds no batch: sizes that only arithmetic ties together",
    "RunningState": "the search finds no batch: the state takes its shape from the first batch",
    "MadeOnTheDevice": "the search finds no batch: lengths that are sizes of another tensor",
    "Padded": "the search finds no batch: lengths that are sizes of another tensor",
    "ReadsThePlainKey": "the error is met while the batch is sought, before anything is logged",
    "KnowsAnotherBatchSize": "without the DataModule there is no conflict",
    "TransferWithoutIndex": "the hook fails while the batch is sought, before the methods are looked at",
    "EmptyMask": "the batches that are made hold every token, the mask among them",
    "AggregatesInTheDtype": "nothing tells the number of nodes from the batch size",
    "AdjacencyFirst": "nothing tells the number of nodes from the batch size",
    "LeftoverOptimizerIndex": "Lightning 2.0 meets the error while the batch is sought, with no line of the user's",
    "OldOptimizerStepSignature": "the error is met while the batch is sought, and has no line of the user's",
    "ColumnAgainstRow": "the search finds targets of the shape of the predictions",
    "WeighsByColumn": "the search finds weights of the shape of the losses",
    "RoundTripThroughNumpy": "the search cannot follow values through NumPy",
    "WeightsThroughNumpy": "the search cannot follow values through NumPy",
    "DrawsFromUnseededGenerator": "the search cannot follow values through NumPy",
    "GraphFirst": "nothing tells the number of nodes from the batch size",
    "ListOfImages": "nothing tells a list of images from one tensor of them",
    "TargetsAsFloatTensor": "the search finds no index for index_add",
    "HalfByHand": "the error is met while the batch is sought, in float32",
    "EmbedsTypes": "the error is met while the batch is sought, before the attributes are looked at",
}


def run(case, batch, select):
    if reason := case.why_not_here():
        pytest.skip(reason)
    arguments = batch(settings(case))
    if reason := ENVIRONMENTS[arguments["environment"]].unavailable():
        pytest.skip(f"{arguments['environment']}: {reason}")
    return check_module(case.target, **arguments, select=select, raise_on_failure=False)


def given(arguments):
    return arguments


def nothing(arguments):
    return {**arguments, "batch": None, "val_batch": None}


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
@pytest.mark.parametrize("batch", [given, nothing], ids=["", "zero_configuration"])
def test_fault_is_caught(case, batch):
    if batch is nothing and case.name in NOT_WITHOUT_BATCH:
        pytest.skip(NOT_WITHOUT_BATCH[case.name])
    outcome = fault_outcome(case, run(case, batch, [case.expected["check"]]))
    assert outcome.kind == "caught", outcome.reason


@pytest.mark.parametrize("case", LEGITIMATE, ids=lambda case: case.name)
@pytest.mark.parametrize("batch", [given, nothing], ids=["", "zero_configuration"])
def test_legitimate_module_is_not_accused(case, batch):
    if batch is nothing and case.name in NOT_WITHOUT_BATCH:
        pytest.skip(NOT_WITHOUT_BATCH[case.name])
    # What a batch looks like matters to the checks of the training run; the other regimes feed the same ones.
    outcome = legitimate_outcome(run(case, batch, [] if batch is given else TRAIN_ALONE))
    assert outcome.kind == "quiet", outcome.reason


@pytest.mark.parametrize("case", LEGITIMATE, ids=lambda case: case.name)
def test_legitimate_module_is_not_accused_where_devices_are_told_apart(case):
    report = run(case, lambda arguments: {**arguments, "environment": "virtual"}, ["training_completes", *OF_DEVICES])
    assert [f for f in report.findings if f.severity in ("error", "warning")] == []
    assert report.passed
    assert report.verdict("tensors_are_on_one_device", "virtual").outcome == "passed"


@pytest.mark.parametrize("case", ON_RANKS, ids=lambda case: case.name)
def test_legitimate_module_is_not_accused_where_two_train_together(case):
    report = run(case, lambda arguments: {**arguments, "environment": "ddp-2"}, ["training_completes", *OF_RANKS])
    accusing = {v.check for v in report.verdicts for f in v.findings if f.severity in ("error", "warning")}
    # What is right in one process may be wrong in several; the file says so.
    assert sorted(accusing) == sorted(case.expected.get("on_ranks", []))
    assert report.verdict("ranks_stay_equal", "ddp-2").outcome != "inconclusive" or accusing


def test_suites_are_as_large_as_they_claim():
    assert len(FAULTS) >= 120
    assert len(LEGITIMATE) >= 60


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_every_check_has_faults_that_only_it_is_expected_to_catch(check):
    assert [case.name for case in FAULTS if case.expected["check"] == check]
