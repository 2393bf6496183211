"""`check_module`: the kit from plain Python."""

from __future__ import annotations

import pytest
import torch
from outcomes import on_cpu

from lightning_conformance import ConformanceError, UsageError, check_module
from lightning_conformance.lightning_api import installed_packages

BATCH = "x: float[4,3], y: float[4,1]"


@pytest.fixture(params=[package.name for package in installed_packages()])
def modules(request, kit):
    """The names of a user's file, defined under each of Lightning's package names."""
    kit.package = request.param
    kit.module(
        """
        class Wide(Model):
            def __init__(self, features: int, scale: float = 1.0):
                super().__init__(features)
                self.scale = scale

        class Unused(Model):
            def __init__(self):
                super().__init__()
                self.extra = nn.Linear(2, 2)

        class Silent(Faulty):
            def training_step(self, batch, batch_idx):
                F.mse_loss(self.net(batch[0]), batch[1])
        """
    )
    return kit.pytester.syspathinsert() or __import__("model")


def check(module, **options):
    return check_module(module, **{"batch": BATCH, "environment": "cpu", **options})


def test_a_sound_module_gives_a_report(modules):
    report = check(modules.Model)
    assert report.passed
    assert report.failed == () and report.findings == ()
    assert [verdict.check for verdict in report.verdicts] == [each.name for each in on_cpu()]
    assert {verdict.outcome for verdict in report.verdicts} <= {"passed", "not applicable"}
    assert str(report).startswith("model:Model :: cpu: ")
    assert f"batch       {BATCH}" in str(report)


def test_a_report_holds_its_recordings(modules):
    [recording] = check(modules.Model).recordings
    assert (recording.subject, recording.environment, recording.regime) == ("model:Model", "cpu", "train")
    assert len(recording.steps) == 8


def test_a_failure_raises_one_exception_that_lists_every_finding(modules):
    with pytest.raises(ConformanceError) as caught:
        check(modules.Silent)
    report = caught.value.report
    failed = {verdict.check for verdict in report.failed}
    assert {"loss_returned", "train_loss_logged", "weights_update"} <= failed
    text = str(caught.value)
    for verdict in report.failed:
        assert f"model:Silent :: cpu :: {verdict.check}" in text
        for finding in verdict.findings:
            assert finding.message.split()[0] in text
            assert " ".join(finding.message.split()) in " ".join(text.split())


def test_a_failure_is_told_without_an_exception_on_request(modules):
    report = check(modules.Faulty, raise_on_failure=False)
    assert not report.passed
    assert report.verdict("loss_returned").failed
    assert not report.verdict("train_loss_logged").failed
    with pytest.raises(ConformanceError):
        report.raise_for_failures()


def test_a_conformance_error_is_an_assertion_error(modules):
    with pytest.raises(AssertionError, match="`training_step` returned None"):
        check(modules.Faulty)


def test_an_unknown_verdict_is_a_key_error(modules):
    report = check(modules.Model)
    with pytest.raises(KeyError, match="loss_returnd in cpu"):
        report.verdict("loss_returnd")
    with pytest.raises(KeyError):
        report.verdict("loss_returned", "nowhere")


def test_warnings_fail_under_strict(modules):
    lenient = check(modules.Unused)
    assert lenient.passed
    assert [finding.severity for finding in lenient.verdict("every_parameter_gets_a_gradient").findings] == ["warning"]
    with pytest.raises(ConformanceError, match="every_parameter_gets_a_gradient"):
        check(modules.Unused, strict=True)


def tensors():
    return torch.ones(6, 3), torch.ones(6, 1)


@pytest.mark.parametrize(
    "batch", [BATCH, tensors, tensors(), "model:feed"], ids=["spec", "function", "tensors", "target"]
)
def test_a_batch_is_a_spec_a_function_tensors_or_a_target(modules, batch, kit, monkeypatch):
    modules.feed = tensors
    monkeypatch.chdir(kit.path)
    report = check(modules.Model, batch=batch)
    assert report.recordings[0].steps[0].batch_size == (4 if batch is BATCH else 6)


def test_without_a_batch_it_is_inferred(modules):
    report = check(modules.Model, batch=None)
    assert report.recordings[0].batch_source == "inferred"
    assert "inferred    --lightning-batch '" in str(report)


@pytest.mark.parametrize(
    "init", [{"features": 3, "scale": 2.0}, ["features=3", "scale=2"], ['{"features": 3, "scale": 2}']]
)
def test_constructor_arguments_are_a_mapping_or_texts(modules, init):
    report = check(modules.Wide, init=init)
    assert "features=3" in report.recordings[0].init_text


def test_a_config_file_gives_constructor_arguments(modules, kit):
    kit.write("model.yaml", "class_path: model.Wide\ninit_args:\n  features: 3\n")
    assert check(modules.Wide, config=str(kit.path / "model.yaml")).passed


@pytest.mark.parametrize("kind", ["class", "factory", "instance", "target", "file"])
def test_a_module_is_a_class_a_factory_an_instance_or_a_target(modules, kit, monkeypatch, kind):
    monkeypatch.chdir(kit.path)
    module = {
        "class": modules.Model,
        "factory": lambda: modules.Model(lr=0.2),
        "instance": modules.Model(),
        "target": "model:Model",
        "file": "model.py:Model",
    }[kind]
    assert check(module).passed


def test_an_instance_is_left_as_it_was(modules):
    module = modules.Model()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    check(module)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_the_training_loss_may_have_another_name(modules):
    with pytest.raises(ConformanceError, match="`loss`"):
        check(modules.Model, train_loss="loss")


def test_a_seed_gives_the_same_run_again(modules):
    losses = [[s.loss.value for s in check(modules.Model, seed=seed).recordings[0].steps] for seed in (1, 1, 2)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"environment": "gpu"}, "unknown environment 'gpu'"),
        ({"batch": "x: flot[3]"}, "flot"),
        ({"init": {"featurs": 3}}, "Did you mean `features`?"),
        ({"config": "missing.yaml"}, "missing.yaml"),
    ],
)
def test_wrong_words_are_a_usage_error(modules, options, says):
    with pytest.raises(UsageError) as caught:
        check(modules.Wide, **options)
    assert says in str(caught.value)


def test_what_is_no_module_is_refused(modules):
    with pytest.raises((UsageError, ConformanceError), match="LightningModule"):
        check(torch.nn.Linear)
    with pytest.raises(UsageError, match="there is no `Missing`"):
        check("model:Missing")


def test_a_constructor_that_skips_lightnings_is_named(kit):
    kit.module(
        """
        class Bare(Model):
            def __init__(self):
                self.width = 3
        """
    )
    kit.pytester.syspathinsert()
    report = check(__import__("model").Bare, raise_on_failure=False)
    (finding,) = report.verdict("training_completes").findings
    assert "super().__init__()" in finding.message


def test_missing_arguments_are_listed(modules):
    with pytest.raises(ConformanceError, match=r"features  int"):
        check(modules.Wide, guess=False)
