"""A batch is found for a module from nothing but the module."""

from __future__ import annotations

import os
import random
import re
import threading
import time
import warnings

import inference_modules as modules
import pytest
import torch
import torch.nn.functional as F
from inference_modules import EXPECTED, Adam
from torch import nn

from lightning_conformance.errors import SubjectError
from lightning_conformance.subjects.batch_spec import TensorSpec, describe, parse_batch_spec
from lightning_conformance.subjects.code_reading import read_unpacking
from lightning_conformance.subjects.inference import ModuleOwnError, infer_batch


class Small(Adam):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)


@pytest.mark.parametrize("cls", EXPECTED, ids=lambda cls: cls.__name__)
def test_batch_is_found(cls):
    found = infer_batch(cls)
    kinds = [f"{t.dtype}{len(t.shape)}" for t in found.spec.tensors]
    wanted = EXPECTED[cls]
    assert len(kinds) == len(wanted), str(found.spec)
    assert all(w is None or w == k for w, k in zip(wanted, kinds)), str(found.spec)
    assert all("B" in tensor.shape for tensor in found.spec.tensors)
    assert parse_batch_spec(str(found.spec)) == found.spec
    assert found.attempts >= 1 and found.seconds > 0


@pytest.mark.parametrize(
    ("cls", "notation"),
    [
        (modules.LinearClassifier, "x: float[B,10], y: int[B]<3"),
        (modules.LenetWithViewMinusOne, "inputs: float[B,3,32,32], labels: int[B]<10"),
        (modules.DictOfImages, "{image: float[B,3,32,32] in 0..1, label: int[B]<6}"),
        (modules.LanguageModel, "x: int[B,7]<33, y: int[B,7]<33"),
        (modules.BinaryTabular, "features: float[B,7], target: float[B]<2"),
        (modules.KeywordBatch, "{input_ids: int[B,7]<60, attention_mask: int[B,7]<2 prefix, labels: int[B]<3}"),
        (modules.TimeFirstRecurrence, "x: float[7,B,4], y: float[B,1]"),
        (modules.SuperResolution, "lr: float[B,3,32,32], hr: float[B,3,64,64]"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_exact_batch(cls, notation):
    assert str(infer_batch(cls).spec) == notation


def test_known_first_input_is_used():
    found = infer_batch(modules.FlattenedMnist, example=TensorSpec((2, 28, 28)))
    assert str(found.spec) == "x: float[B,28,28], y: int[B]<10"


def test_leaf_that_does_nothing_is_doubted():
    found = infer_batch(modules.VaeOnImages)
    assert found.doubts == ("`y` is not used",)


class IgnoresBatch(Small):
    def training_step(self, batch, batch_idx):
        return self.layer(torch.randn(4, 3)).sum()


def test_batch_that_is_ignored_is_doubted():
    assert infer_batch(IgnoresBatch).doubts == ("`batch` is not used",)


class BroadcastsTarget(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.layer(x)[:, :1], y.view(-1))


def test_broadcast_target_is_doubted():
    (doubt,) = infer_batch(BroadcastsTarget).doubts
    assert "differ in shape" in doubt


class SplitsInHalf(Small):
    def training_step(self, batch, batch_idx):
        left, right = batch.chunk(2)
        return F.mse_loss(self.layer(left), self.layer(right))


def test_even_batch_where_a_prime_one_does_not_fit():
    assert str(infer_batch(SplitsInHalf).spec) == "float[B=8,3]"


class PacksSequences(Adam):
    def __init__(self):
        super().__init__()
        self.emb, self.rnn = nn.Embedding(9, 4), nn.LSTM(4, 4, batch_first=True)

    def training_step(self, batch, batch_idx):
        ids, lengths, labels = batch
        packed = nn.utils.rnn.pack_padded_sequence(self.emb(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        return F.cross_entropy(self.rnn(packed)[1][0][-1], labels)


def test_lengths():
    assert str(infer_batch(PacksSequences).spec) == "ids: int[B,7]<9, lengths: int[B] in 1..7 falling, labels: int[B]<4"


class Attributes(Small):
    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.layer(batch.text), batch.label)


def test_attributes():
    assert str(infer_batch(Attributes).spec) == "Batch(text: float[B,3], label: int[B]<2)"


class MisspeltName(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.layer(x), target)  # noqa: F821


class MissingAttribute(Small):
    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.modle(batch[0]), batch[1])


class OwnRuntimeError(Small):
    def training_step(self, batch, batch_idx):
        torch.zeros(3) @ torch.zeros(4)
        return self.layer(batch).sum()


class BadOptimizer(Small):
    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.Adam(self.nothing.parameters())


class MissingFile(Small):
    def setup(self, stage):
        raise FileNotFoundError("train.csv")

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()


@pytest.mark.parametrize(
    ("cls", "cause"),
    [
        (MisspeltName, NameError),
        (MissingAttribute, AttributeError),
        (OwnRuntimeError, RuntimeError),
        (BadOptimizer, AttributeError),
        (MissingFile, FileNotFoundError),
    ],
    ids=lambda value: value.__name__,
)
def test_error_that_no_batch_can_mend_is_the_modules_own(cls, cause):
    with pytest.raises(ModuleOwnError) as caught:
        infer_batch(cls)
    assert type(caught.value.cause) is cause
    assert "Probe" not in str(caught.value)


class WantsText(Small):
    def training_step(self, batch, batch_idx):
        texts, y = batch
        counts = [len(text.split()) for text in texts]
        return F.cross_entropy(self.layer(torch.ones(len(counts), 3)), y)


class WantsObject(Small):
    def training_step(self, batch, batch_idx):
        return self.layer(batch.to_inputs("train")).sum()


class WantsOddShape(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        if x.sum() != 17:
            raise ValueError("the inputs have to sum up to 17")
        return F.cross_entropy(self.layer(x), y)


@pytest.mark.parametrize("cls", [WantsText, WantsObject, WantsOddShape], ids=lambda cls: cls.__name__)
def test_batch_that_is_not_found_is_no_fault_of_the_module(cls):
    with pytest.raises(SubjectError) as caught:
        infer_batch(cls, budget_seconds=10)
    assert not isinstance(caught.value, ModuleOwnError)
    assert caught.value.stage == "batch"
    assert "no batch was found" in caught.value.message
    assert "--lightning-batch" in caught.value.advice


def test_message_says_how_far_it_came():
    with pytest.raises(SubjectError) as caught:
        infer_batch(WantsOddShape, budget_seconds=10)
    assert re.search(r"found so far: \(x: .*, y: \?\)", caught.value.message)
    assert "the inputs have to sum up to 17" in caught.value.message
    assert "test_inference.py" in caught.value.message


class NeverEnds(Small):
    def training_step(self, batch, batch_idx):
        while True:
            pass


class NeverEndsAndSwallows(Small):
    def training_step(self, batch, batch_idx):
        while True:
            try:
                self.layer(batch.nothing)
            except Exception:
                pass


@pytest.mark.parametrize("cls", [NeverEnds, NeverEndsAndSwallows], ids=lambda cls: cls.__name__)
def test_endless_step_is_ended(cls):
    before = set(threading.enumerate())
    with pytest.raises(SubjectError, match="the time ran out"):
        infer_batch(cls, budget_seconds=1.0)
    # Others' threads may have ended in the meantime; none of ours may be left.
    assert not set(threading.enumerate()) - before


def test_what_lightning_imports_late_takes_nothing_of_the_search(monkeypatch):
    monkeypatch.setattr(f"{infer_batch.__module__}.import_late_parts", lambda: time.sleep(2.5))
    # An alarm rings at the budget's end and a second of grace.
    assert infer_batch(modules.LinearClassifier, budget_seconds=1.2).seconds < 2.4


def test_budget_of_attempts_is_kept():
    with pytest.raises(SubjectError, match=r"\(2 training steps tried"):
        infer_batch(modules.LinearClassifier, budget_attempts=2)


class LeavesTraces(Small):
    """Each attempt must find the module as it was built."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))
        self.seen = []
        self.dropout = nn.Dropout(0.5)

    def training_step(self, batch, batch_idx):
        assert not self.seen and self.steps.item() == 0 and not hasattr(self, "late")
        assert all(p.requires_grad and p.grad is None for p in self.parameters())
        self.seen.append(batch_idx)
        self.steps += 1
        self.late = True
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        x, y = batch
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        loss = F.cross_entropy(self.dropout(self.layer(x)), y)
        self.seen.clear()
        self.steps -= 1
        del self.late
        return loss

    def on_train_batch_end(self, *args):
        self.zero_grad()
        for parameter in self.parameters():
            parameter.grad = None


def test_no_attempt_leaks_into_the_next():
    assert str(infer_batch(LeavesTraces).spec) == "x: float[B,3], y: int[B]<2"


def test_global_state_is_as_before():
    def state():
        return (
            random.getstate(),
            torch.get_rng_state().tolist(),
            dict(os.environ),
            os.getcwd(),
            list(warnings.filters),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            len(nn.modules.module._global_forward_pre_hooks),
            sorted(os.listdir()),
        )

    before = state()
    infer_batch(modules.ManualGan)
    with pytest.raises(ModuleOwnError):
        infer_batch(MisspeltName)
    assert state() == before


def test_nothing_is_printed(capfd):
    class Prints(Small):
        def training_step(self, batch, batch_idx):
            print("step")
            return self.layer(batch).sum()

    infer_batch(Prints)
    assert capfd.readouterr() == ("", "")


def test_search_is_the_same_each_time():
    first, second = (infer_batch(modules.Translation) for _ in range(2))
    assert (first.spec, first.attempts, first.doubts) == (second.spec, second.attempts, second.doubts)


class Iterated:
    def __init__(self, use_bytecode):
        self.use_bytecode = use_bytecode
        self.unpacking = None

    def __iter__(self):
        import sys

        self.unpacking = read_unpacking(sys._getframe(1), self.use_bytecode)
        return iter((0, 0, 0))


@pytest.mark.parametrize("use_bytecode", [True, False], ids=["bytecode", "source"])
def test_unpacking_is_read(use_bytecode):
    value = Iterated(use_bytecode)
    x, _, labels = value
    assert value.unpacking.names == ("x", "_", "labels")


def test_starred_unpacking_is_read():
    value = Iterated(True)
    x, *rest = value
    assert len(value.unpacking.names) == 2


def test_iteration_is_no_unpacking():
    value = Iterated(True)
    total = sum(item for item in value)
    assert total == 0 and value.unpacking is None


@pytest.mark.parametrize("name", ["BoringModel", "ManualOptimBoringModel", "DemoModel"])
def test_demos(name):
    demos = pytest.importorskip(f"{modules.LightningModule.__module__.split('.core')[0]}.demos.boring_classes")
    if not hasattr(demos, name):
        pytest.skip(f"this Lightning has no {name}")
    found = infer_batch(getattr(demos, name))
    assert describe(found.spec.generate()) == "float[5,32]"


class SamplesActions(Small):
    def training_step(self, batch, batch_idx):
        observation, action = batch
        policy = torch.distributions.Categorical(logits=self.layer(observation))
        return -policy.log_prob(action).mean()


def test_value_that_has_to_be_a_tensor():
    assert str(infer_batch(SamplesActions).spec) == "observation: float[B,3], action: int[B]<2"


class TimeMajor(Adam):
    """A recurrent kernel must never be replayed with a state that does not fit."""

    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.GRU(4, 6), nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.fc(self.rnn(x)[0][-1]), y)


def test_time_major_recurrence():
    assert str(infer_batch(TimeMajor).spec) == "x: float[7,B,4], y: int[B]<2"


class RebindsParameter(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        self.layer.weight = self.layer.weight * 0.9
        return F.cross_entropy(self.layer(x), y)


class ReadsMissingMetric(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.layer(x), y)
        return loss + self.trainer.logged_metrics["train_loss"]


class LogsVector(Small):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.layer(x), y, reduction="none")
        self.log("train_loss", loss)
        return loss.mean()


@pytest.mark.parametrize("cls", [RebindsParameter, ReadsMissingMetric, LogsVector], ids=lambda value: value.__name__)
def test_error_inside_a_step_that_has_its_batch(cls):
    with pytest.raises(ModuleOwnError):
        infer_batch(cls)


class LazyInput(Adam):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.layer(x.flatten(1)), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lazy_layers():
    assert infer_batch(LazyInput).spec.tensors[1].high == 3
