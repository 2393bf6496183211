"""Steps that take other batches than ``training_step``, and training on several dataloaders."""

from __future__ import annotations

import importlib

import pytest
import torch
import torch.nn.functional as F
from conftest import PACKAGES
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_conformance import check_module
from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.lightning_api import LightningPackage, combined_loaders
from lightning_conformance.subjects.batch_spec import batch_size_of, describe, parse_batch_spec, slice_batch
from lightning_conformance.subjects.inference import infer_batch
from lightning_conformance.subjects.loaders import are_loaders, first_of
from lightning_conformance.subjects.sources import Plan, from_function
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.validating import WithValidation

pl = importlib.import_module(PACKAGES[0])
TRAINING = "x: float[B,6], y: int[B]<3"


class Base(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def forward(self, x):
        return self.net(x)

    def loss(self, x, y):
        return F.cross_entropy(self.net(x), y)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(x, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def checked(module, **options):
    return check_module(module, environment="cpu", raise_on_failure=False, **options)


def steps_of(module, batch=TRAINING):
    return {name: str(spec) for name, spec in Subject(module, SubjectOptions(batch=batch)).step_specs.items()}


# Validation


class SameValidation(Base):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", self.loss(x, y))


class WeightedValidation(Base):
    def validation_step(self, batch, batch_idx):
        x, y, weights = batch
        each = F.cross_entropy(self.net(x), y, reduction="none")
        self.log("val_loss", (each * weights).mean())


class DictValidation(Base):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch["image"], batch["label"]))


class InputsAloneInValidation(Base):
    def validation_step(self, batch, batch_idx):
        self.log("val_norm", self.net(batch).norm())


class HookedValidation(Base):
    """Its hooks see the true batches of both steps."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        assert len(batch) == (2 if self.trainer.training else 3)
        return [part.clone() for part in batch]

    def on_validation_batch_start(self, batch, batch_idx, dataloader_idx=0):
        assert len(batch) == 3

    def validation_step(self, batch, batch_idx):
        x, _, y = batch
        self.log("val_loss", self.loss(x, y))


class IndexedValidation(Base):
    def validation_step(self, batch, batch_idx, dataloader_idx):
        x, y, _ = batch
        self.log(f"val_loss_{dataloader_idx}", self.loss(x, y), add_dataloader_idx=False)


VALIDATING = [
    (WeightedValidation, "x: float[B,6], y: int[B]<3, weights: float[B] in 0.1..1"),
    (DictValidation, "{image: float[B,6], label: int[B]<3}"),
    (InputsAloneInValidation, "float[B,6]"),
    (IndexedValidation, None),
]


@pytest.mark.parametrize("batch", [None, TRAINING], ids=["inferred", "given"])
@pytest.mark.parametrize(("module", "spec"), VALIDATING, ids=lambda value: getattr(value, "__name__", ""))
def test_validation_gets_batches_of_its_own(module, spec, batch):
    report = checked(module, batch=batch)
    recording = report.recordings[0]
    assert report.passed, str(report)
    assert recording.validation_failure is None
    assert recording.validation_source == "inferred"
    assert any(name.startswith("val_") for name in recording.logged_metrics)
    assert spec is None or recording.validation_text == spec
    assert f"  inferred    --lightning-val-batch '{recording.validation_text}'" in str(report)
    assert ("  inferred    --lightning-batch" in str(report)) == (batch is None)


def test_no_search_where_training_batches_fit(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("searched")

    monkeypatch.setattr("lightning_conformance.subjects.validating.infer_batch", refuse)
    report = checked(SameValidation)
    assert "val_loss" in report.recordings[0].logged_metrics
    assert report.recordings[0].validation_text == ""
    assert "--lightning-val-batch" not in str(report)


def test_hooks_do_not_see_a_stand_in():
    training = parse_batch_spec(TRAINING)
    found = infer_batch(HookedValidation, step="validation_step", training=training)
    assert len(found.spec.tensors) == 3


class BrokenValidation(Base):
    def validation_step(self, batch, batch_idx):
        raise ValueError("never works")


def test_validation_that_never_works_stays_a_warning():
    report = checked(BrokenValidation)
    recording = report.recordings[0]
    assert recording.failure is None
    assert recording.validation_failure is not None
    assert "never works" in recording.validation_failure.message
    assert recording.validation_text == ""


def test_result_of_validation_is_no_loss():
    """Neither a gradient nor a finite value is asked for in validation."""

    class Infinite(Base):
        def validation_step(self, batch, batch_idx):
            x, y, _ = batch
            return self.loss(x, y) / 0

    found = infer_batch(Infinite, step="validation_step", training=parse_batch_spec(TRAINING))
    assert found.doubts == ()  # the part called `_` is meant not to be used


GIVEN = "float[4,6], int[4]<3, float[4] in 0..1"


def make_weighted():
    return torch.randn(4, 6), torch.arange(4) % 3, torch.rand(4)


@pytest.mark.parametrize("val_batch", [GIVEN, make_weighted, make_weighted()], ids=["spec", "function", "batch"])
def test_validation_batch_is_given(val_batch, monkeypatch):
    monkeypatch.setattr("lightning_conformance.subjects.validating.infer_batch", None)
    report = checked(WeightedValidation, batch=TRAINING, val_batch=val_batch)
    recording = report.recordings[0]
    assert recording.failure is None and recording.validation_failure is None
    assert "val_loss" in recording.logged_metrics
    assert "  validation  float[4,6], int[4]<3, float[4]" in str(report)


def test_given_validation_batch_that_does_not_fit_is_the_failure():
    report = checked(WeightedValidation, batch=TRAINING, val_batch=TRAINING)
    failure = report.recordings[0].failure
    assert failure is not None and failure.at.hook == "validation_step"


class Declares(WeightedValidation):
    lightning_conformance = {"val_batch": GIVEN}


def test_validation_batch_is_declared():
    recording = checked(Declares).recordings[0]
    assert (recording.validation_source, recording.validation_text) == ("--lightning-val-batch", GIVEN)


class OwnTraining(WeightedValidation):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(8, 6), torch.randint(3, (8,))), batch_size=4)


class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return OwnTraining.train_dataloader(self)


@pytest.mark.parametrize(("module", "batch"), [(OwnTraining, None), (WeightedValidation, f"{__file__}:Data")])
def test_own_training_data_and_a_given_validation_batch(module, batch):
    recording = checked(module, batch=batch, val_batch=GIVEN).recordings[0]
    assert recording.failure is None
    assert "val_loss" in recording.logged_metrics


def test_datamodule_is_no_validation_batch():
    with pytest.raises(UsageError, match="LightningDataModule feeds training"):
        checked(WeightedValidation, batch=TRAINING, val_batch=f"{__file__}:Data")


class ComparesLoaders(SameValidation):
    """Nothing but several validation loaders gives a metric this name."""

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.log("gap", self.trainer.callback_metrics["val_loss/dataloader_idx_1"])


class BrokenAnyway(SameValidation):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self):
        raise KeyError("gap")


def test_several_validation_loaders_where_one_is_too_few():
    report = checked(ComparesLoaders, batch=TRAINING)
    assert report.passed
    assert "gap" in report.recordings[0].logged_metrics
    assert "got two: it takes a dataloader_idx" in str(report)


def test_several_validation_loaders_excuse_no_other_failure():
    report = checked(BrokenAnyway, batch=TRAINING)
    assert report.recordings[0].failure.at.hook == "on_validation_epoch_end"
    assert "got two" not in str(report)


OF_THREE = """
class Weighted(Model):
    def validation_step(self, batch, batch_idx):
        x, y, w = batch
        self.log("val_loss", (F.mse_loss(self.net(x), y, reduction="none") * w[:, None]).mean())
"""


def test_options_and_freezing(kit, said):
    kit.module(OF_THREE)
    kit.write("pytest.ini", "[pytest]\nlightning_modules =\n    model.py:Weighted\n")
    text = said(kit.run("--lightning-freeze", batch=""))
    option = "--lightning-val-batch 'x: float[B,3], y: float[B,1], w: float[B]'"
    assert f"  inferred    {option}" in text
    line = (kit.path / "pytest.ini").read_text().splitlines()[-1]
    assert line.strip() == f"model.py:Weighted --lightning-batch 'x: float[B,3], y: float[B,1]' {option}"
    again = said(kit.run("--lightning-freeze", "-v", batch=""))
    assert "validation  x: float[B,3], y: float[B,1], w: float[B] (from --lightning-val-batch)" in again
    assert "no batch was inferred" in again


def test_frozen_where_the_batch_is_given_already(kit, said):
    kit.module(OF_THREE)
    given = "model.py:Weighted --lightning-batch 'float[4,3], float[4,1]'"
    kit.write("pytest.ini", f"[pytest]\nlightning_modules =\n    {given}\n")
    said(kit.run("--lightning-freeze", batch=""))
    line = (kit.path / "pytest.ini").read_text().splitlines()[-1].strip()
    assert line.startswith(f"{given} --lightning-val-batch ")


def test_found_validation_batch_is_remembered(kit, said, monkeypatch):
    kit.module(OF_THREE)
    first = said(kit.run("--lightning-module=model.py:Weighted", batch="", cache=True))
    monkeypatch.setattr("lightning_conformance.subjects.validating.infer_batch", None)
    again = said(kit.run("--lightning-module=model.py:Weighted", batch="", cache=True))
    assert "--lightning-val-batch 'x:" in first and "--lightning-val-batch 'x:" in again


def test_option_belongs_to_its_module_and_is_read_early(kit, said):
    kit.module(OF_THREE)
    result = kit.run("--lightning-module=model.py:Weighted", "--lightning-val-batch=flot[4,3]")
    assert result.ret == 4 and "flot" in said(result)


def test_class_of_tests_says_it(kit, said):
    kit.module(OF_THREE)
    kit.write(
        "test_own.py",
        """
        from lightning_conformance import LightningConformance
        from model import Weighted

        class TestWeighted(LightningConformance):
            module = Weighted
            batch = "float[4,3], float[4,1]"
            val_batch = "float[4,3], float[4,1], float[4]"
        """,
    )
    result = kit.run("-v")
    assert "(from --lightning-val-batch)" in said(result)
    assert result.ret == 0


# Test and prediction


class Predicts(Base):
    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", self.loss(x, y))

    def predict_step(self, batch, batch_idx):
        return self.net(batch)


class AnotherInTest(Base):
    def test_step(self, batch, batch_idx):
        x, y, name = batch["image"], batch["label"], batch["index"]
        self.log("test_loss", self.loss(x, y))
        return name

    def predict_step(self, batch, batch_idx, dataloader_idx):
        x, y = batch
        return self.net(x)


class OnlyTrains(Base):
    forward = pl.LightningModule.forward


class PredictsByForward(Base):
    """The default ``predict_step`` calls ``forward`` on the batch."""


class CannotTest(Base):
    def test_step(self, batch, batch_idx):
        raise FileNotFoundError("results")


class UnpacksOne(Base):
    def predict_step(self, batch, batch_idx):
        (x,) = batch
        return self.net(x)


STEPS = [
    (Predicts, {"test_step": TRAINING, "predict_step": "float[B,6]"}),
    (OnlyTrains, {}),
    (PredictsByForward, {"predict_step": "float[B,6]"}),
    (CannotTest, {"predict_step": "float[B,6]"}),
]


@pytest.mark.parametrize(("module", "specs"), STEPS, ids=lambda value: getattr(value, "__name__", ""))
def test_batches_of_test_and_prediction(module, specs):
    assert steps_of(module) == specs


def test_batches_of_test_in_another_structure():
    specs = steps_of(AnotherInTest)
    assert specs["test_step"].startswith("{image: float[B,6], label: int[B]<3, index: ")
    assert specs["predict_step"] == TRAINING


def test_prediction_of_a_tuple_of_one():
    spec = Subject(UnpacksOne, SubjectOptions(batch=TRAINING)).step_specs["predict_step"]
    (x,) = spec.generate()
    assert x.shape[1:] == (6,)


def test_batches_of_test_and_prediction_where_training_is_inferred():
    assert steps_of(Predicts, None) == {"test_step": TRAINING, "predict_step": "float[B,6]"}


def test_step_that_never_works_is_told():
    with pytest.raises(SubjectError, match="results"):
        infer_batch(CannotTest, step="test_step", training=parse_batch_spec(TRAINING))


# Several dataloaders


class Labeled(Base):
    def training_step(self, batch, batch_idx):
        x, y = batch["labeled"]
        other = batch["unlabeled"]
        loss = self.loss(x, y) + self.net(other).pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", self.loss(x, y), batch_size=len(y))


class Pairs(Base):
    def training_step(self, batch, batch_idx):
        (x, y), (other, target) = batch
        return self.logged(self.loss(x, y) + self.loss(other, target), len(y))

    def logged(self, loss, size):
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size)
        return loss


class DictOfPairs(Pairs):
    def training_step(self, batch, batch_idx):
        x, y = batch["source"]
        other, target = batch["target"]
        return self.logged(self.loss(x, y) + self.loss(other, target), len(y))


class NamedPairs(Pairs):
    def training_step(self, batch, batch_idx):
        a, b = batch
        return self.logged(self.loss(a[0], a[1]) + self.loss(*b), len(a[1]))


class DictOfDicts(Pairs):
    def training_step(self, batch, batch_idx):
        one, two = batch["a"], batch["b"]
        loss = self.loss(one["x"], one["y"]) + self.loss(two["x"], two["y"])
        return self.logged(loss, len(one["y"]))


@pytest.mark.parametrize("module", [Labeled, Pairs, DictOfPairs, NamedPairs, DictOfDicts], ids=lambda cls: cls.__name__)
def test_batches_of_several_loaders_are_inferred(module):
    report = checked(module)
    recording = report.recordings[0]
    assert report.passed, str(report)
    assert recording.validation_failure is None and recording.ragged_failure is None
    assert recording.batch_doubts == ()
    spec = parse_batch_spec(recording.batch_text)
    assert len(spec.tensors) == (3 if module is Labeled else 4)
    whole = spec.generate(batch_size=8)
    assert batch_size_of(whole) == 8
    smaller = slice_batch(whole, 3)
    assert describe(smaller).count("[3") == len(spec.tensors)


def test_validation_takes_one_of_the_loaders():
    recording = checked(Labeled).recordings[0]
    assert recording.validation_text.endswith("int[B]<3")
    assert "val_loss" in recording.logged_metrics


def loader(rows, *, labels=True, size=4):
    parts = [torch.randn(rows, 6)] + [torch.arange(rows) % 3] * labels
    return DataLoader(TensorDataset(*parts), batch_size=size)


def unlabeled(rows, size):
    return DataLoader(torch.randn(rows, 6), batch_size=size)


def of_dict():
    return {"labeled": loader(16), "unlabeled": unlabeled(32, 8)}


def combined(package=PACKAGES[0], mode="max_size_cycle"):
    try:
        cls = importlib.import_module(f"{package}.utilities.combined_loader").CombinedLoader
    except ImportError:
        cls = importlib.import_module(f"{package}.trainer.supporters").CombinedLoader
    return cls(of_dict(), mode)


def of_list():
    return [loader(16), loader(32, size=8)]


LOADERS = [
    (Labeled, of_dict, "{labeled: [float[4,6], int[4]<3], unlabeled: float[8,6]}"),
    (Labeled, combined, "{labeled: [float[4,6], int[4]<3], unlabeled: float[8,6]}"),
    (Pairs, of_list, "[[float[4,6], int[4]<3], [float[8,6], int[8]<3]]"),
]


@pytest.mark.parametrize(("module", "make", "text"), LOADERS, ids=["dict", "combined", "list"])
def test_function_gives_several_loaders(module, make, text):
    report = checked(module, batch=make)
    recording = report.recordings[0]
    assert recording.failure is None, str(report)
    assert recording.batch_text == text
    assert recording.validation_failure is None


@pytest.mark.parametrize(("module", "make", "text"), LOADERS, ids=["dict", "combined", "list"])
def test_module_has_several_loaders(module, make, text):
    own = type(module.__name__, (module,), {"train_dataloader": lambda self: make(), "validation_step": None})
    del own.validation_step
    own.val_dataloader = lambda self: loader(8)
    recording = checked(own).recordings[0]
    assert recording.failure is None
    assert (recording.batch_source, recording.batch_text) == ("its own train_dataloader", text)


@pytest.mark.parametrize(("module", "make", "text"), LOADERS, ids=["dict", "combined", "list"])
def test_datamodule_has_several_loaders(module, make, text):
    data = type("Data", (pl.LightningDataModule,), {"train_dataloader": lambda self: make()})()
    data.val_dataloader = lambda: loader(8)

    class Carries(module):
        def __init__(self):
            super().__init__()
            self.data = data

    recording = checked(Carries).recordings[0]
    assert recording.failure is None
    assert (recording.batch_source, recording.batch_text) == ("its own data", text)


@pytest.mark.parametrize("package", PACKAGES)
def test_combined_loader_of_either_package(package):
    assert LightningPackage(package).name == package
    made = combined(package)
    assert combined_loaders(made) is not None and are_loaders({"a": made})
    assert sorted(first_of(made)) == ["labeled", "unlabeled"]
    assert [len(part) for part in first_of([loader(8), unlabeled(8, 2)])] == [2, 2]


@pytest.mark.skipif(LightningPackage(PACKAGES[0]).release < (2, 0), reason="no such mode before 2.0")
def test_loaders_that_take_turns():
    batch = first_of(combined(mode="sequential"))
    assert [tuple(part.shape) for part in batch] == [(4, 6), (4,)]


def test_what_is_no_loader():
    assert not any(are_loaders(value) for value in ([], {}, [torch.zeros(2)], {"a": loader(4), "b": 1}, "text", None))


def test_different_sizes_have_no_one_size():
    source = from_function(of_dict, "data", 0)
    batch = source.batch()
    assert batch_size_of(batch) is None
    assert slice_batch(batch, 2) is None
    assert set(source.fit_arguments(Plan(), ragged=True, validation=False)) == {"train_dataloaders"}


def test_different_sizes_in_a_spec():
    report = checked(Labeled, batch="{labeled: (float[4,6], int[4]<3), unlabeled: float[8,6]}")
    assert report.recordings[0].failure is None
    assert report.recordings[0].validation_failure is None
    fixed = parse_batch_spec("{labeled: (float[B,6], int[B]<3), unlabeled: float[8,6]}").generate(batch_size=3)
    assert (len(fixed["labeled"][1]), len(fixed["unlabeled"])) == (3, 8)


def test_source_with_validation_is_that_of_training():
    training, other = from_function(make_weighted, "training", 0), from_function(lambda: torch.zeros(2, 6), "other", 0)
    source = WithValidation(training, other)
    assert (source.origin, source.text, source.ragged) == (training.origin, training.text, training.ragged)
    arguments = source.fit_arguments(Plan(), ragged=False, validation=True)
    assert next(iter(arguments["val_dataloaders"])).shape == (2, 6)
