"""Precisions as environments of a run, and the checks that judge there."""

import lightning as L
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from suite_cases import cases
from suite_outcomes import legitimate_outcome, settings

from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS
from lightning_conformance.environments import ENVIRONMENTS, Precision, environments_text, precision, select
from lightning_conformance.recording.events_precision import DtypesMet, NumberRounded, Overflowed
from lightning_conformance.subjects.environment_errors import environment_problem

PRECISIONS = [name for name, place in ENVIRONMENTS.items() if isinstance(place, Precision)]
HERE = [name for name in PRECISIONS if ENVIRONMENTS[name].unavailable() is None]
OWN = ["training_completes", *(check.name for check in CHECKS.values() if check.family == "precision")]


class Base(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=5)
        return loss

    def loss(self, x):
        return F.mse_loss(self.net(x), x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def judged(module, environment, batch="float[5,4]", select=OWN):
    return check_module(module, batch=batch, environment=environment, select=select, raise_on_failure=False)


# The environments.


def test_the_precisions_are_listed():
    assert PRECISIONS == ["bf16-mixed", "bf16-true", "16-true", "64-true", "16-mixed"]
    assert all(name in environments_text() for name in PRECISIONS)


def test_mixed_precision_is_there_in_every_release():
    assert {"bf16-mixed", "64-true"} <= set(HERE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a CUDA device")
def test_float16_under_autocast_is_there_on_cuda_alone():
    reason = ENVIRONMENTS["16-mixed"].unavailable()
    assert "CUDA" in reason
    assert "bf16-mixed" in reason
    assert "16-mixed" not in [place.name for place in select(["auto"])]


def _as_if(monkeypatch, release):
    found = [("pytorch-lightning", ".".join(map(str, release)) + ".0", release)]
    monkeypatch.setattr(precision, "installed_releases", lambda: found)
    monkeypatch.setattr("lightning_conformance.lightning_api.installed_releases", lambda: found)


def test_whole_modules_in_half_precision_came_with_lightning_2_1(monkeypatch):
    _as_if(monkeypatch, (2, 0))
    assert ENVIRONMENTS["bf16-true"].unavailable() == "Lightning has it since 2.1; this is pytorch-lightning 2.0.0"
    assert ENVIRONMENTS["bf16-mixed"].unavailable() is None
    _as_if(monkeypatch, (2, 1))
    assert ENVIRONMENTS["bf16-true"].unavailable() is None


@pytest.mark.parametrize(
    ("release", "words"), [((1, 9), ["bf16", 64, 16]), ((2, 0), ["bf16-mixed", "64-true", "16-mixed"])]
)
def test_each_release_has_its_words(monkeypatch, release, words):
    _as_if(monkeypatch, release)
    names = ("bf16-mixed", "64-true", "16-mixed")
    assert [ENVIRONMENTS[name].trainer_arguments()["precision"] for name in names] == words


def test_auto_chooses_one_precision_that_judges_its_own_families():
    chosen = {place.name: place for place in select(["auto"])}
    assert [name for name in chosen if name in PRECISIONS and name != "16-mixed"] == ["bf16-mixed"]
    families = [
        family for family in ("completion", "precision", "loss", "device") if chosen["bf16-mixed"].judges(family)
    ]
    assert families == ["completion", "precision"]


def test_alone_a_precision_judges_everything_that_needs_no_other_place():
    (alone,) = select(["bf16-mixed"])
    assert [alone.judges(family) for family in ("loss", "precision", "device")] == [True, True, False]
    assert not ENVIRONMENTS["cpu"].judges("precision")


@pytest.mark.parametrize("name", HERE)
def test_the_module_is_computed_in_the_precision(name):
    (recording,) = judged(_DtypesSeen, name).recordings
    place = ENVIRONMENTS[name]
    expected = {"bf16-mixed": ("float32", "bfloat16"), "16-mixed": ("float32", "float16")}
    parameters, computed = expected.get(name, (place.whole, place.whole))
    seen = recording.logged_metrics
    assert [seen["parameters"], seen["computed"]] == [_bits(parameters), _bits(computed)]


class _DtypesSeen(Base):
    def loss(self, x):
        out = self.net(x)
        self.log("parameters", float(_number(self.net.weight.dtype)))
        self.log("computed", float(_number(out.dtype)))
        return out.float().square().mean()


def _number(dtype):
    return [torch.float16, torch.bfloat16, torch.float32, torch.float64].index(dtype)


def _bits(name):
    return _number(getattr(torch, name))


def test_onednn_is_on_again_after_a_run():
    before = torch._C._get_mkldnn_enabled()
    with ENVIRONMENTS["bf16-mixed"].in_effect():
        assert not torch._C._get_mkldnn_enabled()
    assert torch._C._get_mkldnn_enabled() == before


# What the checks say.


def test_the_end_of_the_run_refers_to_the_reason():
    report = judged("tests/faults/precision_dtypes.py:FillsByMask", "bf16-mixed", "{tokens: int[5,7]<20}")
    assert report.verdict("training_completes", "bf16-mixed").because_of == "dtypes_fit_together"


def test_on_the_cpu_nothing_is_watched_and_nothing_judged():
    report = judged("tests/faults/precision_dtypes.py:RampOfFloat64", "cpu", "float[5,8], float[5,6]", ())
    assert not any(report.recordings[0].all(DtypesMet))
    assert {verdict.check for verdict in report.verdicts}.isdisjoint(OWN[1:])
    outcome = CHECKS["dtypes_fit_together"](lambda regime: report.recordings[0])
    assert outcome.reason == "the environment cpu computes in float32"


def test_range_is_not_judged_where_there_is_more_of_it():
    report = judged(Base, "64-true")
    assert report.verdict("values_fit_the_precision", "64-true").outcome == "not applicable"
    assert report.passed


class InfiniteEverywhere(Base):
    def loss(self, x):
        return torch.log(self.net(x).square().mean() * 0)


def test_what_is_infinite_in_float32_too_is_not_the_precisions_fault():
    report = judged(InfiniteEverywhere, "bf16-mixed")
    verdict = report.verdict("values_fit_the_precision", "bf16-mixed")
    assert verdict.outcome == "inconclusive"
    assert not any(report.recordings[0].all(Overflowed))


class RoundedWithoutHarm(Base):
    def loss(self, x):
        return -torch.log(torch.sigmoid(self.net(x).clamp(-1, 0.999999))).mean()


def test_a_number_that_is_rounded_does_no_harm_where_the_loss_is_finite():
    report = judged(RoundedWithoutHarm, "bf16-mixed")
    assert [rounded.number for rounded in report.recordings[0].all(NumberRounded)] == [0.999999]
    assert report.passed


class Pair:
    def __init__(self, x):
        self.x = x

    def to(self, *args, **kwargs):
        return Pair(self.x.to(*args, **kwargs))


class OwnBatches(Base):
    def loss(self, batch):
        return self.net(batch.x).square().mean()

    def train_dataloader(self):
        return torch.utils.data.DataLoader([torch.ones(4)] * 20, 5, collate_fn=lambda rows: Pair(torch.stack(rows)))


def test_a_batch_that_lightning_does_not_convert_is_named():
    report = judged(OwnBatches, "64-true", None)
    (found,) = report.verdict("dtypes_fit_together", "64-true").findings
    assert "`batch.x` is float32: Lightning converts what is in tuples" in found.cause
    assert judged(OwnBatches, "bf16-mixed", None).passed


class ChecksInValidation(Base):
    def validation_step(self, batch, batch_idx):
        self.log("val_spread", float(self.net(batch).numpy().std()))


def test_validation_is_not_left_out_because_of_the_precision():
    report = judged(ChecksInValidation, "bf16-mixed")
    assert report.recordings[0].failure.at.stage in ("sanity", "validate")
    assert report.verdict("operations_know_the_dtype", "bf16-mixed").failed


class ProbablyWrong(Base):
    """Not the dtype is refused."""

    def loss(self, x):
        return (self.net(x) @ torch.zeros(7, 2, dtype=torch.float32)).mean()


def test_another_error_is_not_explained_by_dtypes():
    report = judged(ProbablyWrong, "bf16-mixed")
    assert report.verdict("training_completes", "bf16-mixed").failed
    assert report.verdict("training_completes", "bf16-mixed").because_of == ""
    assert report.verdict("dtypes_fit_together", "bf16-mixed").outcome == "inconclusive"


@pytest.mark.parametrize(
    ("message", "is_the_machines"),
    [
        ("\"slow_conv2d_cpu\" not implemented for 'Half'", True),
        ("\"cholesky_cpu\" not implemented for 'BFloat16'", False),
        ("\"cdist\" not implemented for 'BFloat16'", False),
        ("\"bitwise_and_cpu\" not implemented for 'Float'", False),
    ],
)
def test_a_kernel_that_only_the_cpu_lacks_is_not_the_modules_fault(message, is_the_machines):
    assert (environment_problem(RuntimeError(message)) is not None) == is_the_machines


# Legitimate modules.

ALIKE = [case for case in cases("legitimate", "LEGITIMATE") if case.group == "precision"]
OTHERS = ("devices", "parameters", "losses_and_logging")


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("case", ALIKE, ids=lambda case: case.name)
def test_look_alikes_run_in_every_precision(case, name):
    report = check_module(case.target, **{**settings(case), "environment": name}, select=OWN, raise_on_failure=False)
    outcome = legitimate_outcome(report)
    assert outcome.kind == "quiet", outcome.reason
    assert {verdict.outcome for verdict in report.verdicts} <= {"passed", "not applicable"}


@pytest.mark.parametrize(
    "case", [c for c in cases("legitimate", "LEGITIMATE") if c.group in OTHERS], ids=lambda case: case.name
)
def test_legitimate_modules_are_not_accused_under_autocast(case):
    if reason := case.why_not_here():
        pytest.skip(reason)
    arguments = {**settings(case), "environment": "bf16-mixed"}
    outcome = legitimate_outcome(check_module(case.target, **arguments, select=OWN, raise_on_failure=False))
    assert outcome.kind == "quiet", outcome.reason


def test_there_are_enough_look_alikes():
    assert len(ALIKE) >= 10
