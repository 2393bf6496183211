"""What a recording holds: of a module whose every number is known, of runs that fail, and of runs that do not end."""

import pickle
import signal
import textwrap
import threading

import pytest
import torch

from lightning_conformance.deadline import RunTimeout, deadline
from lightning_conformance.environments import select
from lightning_conformance.recording.model import (
    BackwardRan,
    BatchFacts,
    GradientsCleared,
    HookCalled,
    LogCall,
    MetricReceived,
    OptimizerStepped,
    WarningSeen,
)
from lightning_conformance.recording.run import record
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target

HEADER = """
import warnings
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
"""

PLAIN = """
class Plain(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        if batch_idx == 1:
            warnings.warn("look here")
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.mse_loss(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture
def recorded(tmp_path):
    def run(body, name, batch="x: float[5,4], y: float[5,1]", **options):
        file = tmp_path / f"subject_{name.lower()}.py"
        file.write_text(HEADER + textwrap.dedent(body))
        subject = Subject(parse_target(f"{file}:{name}", tmp_path), SubjectOptions(batch=batch))
        return record(subject, select(["cpu"])[0], **options), file

    return run


def line_of(file, text):
    return next(n for n, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_plain_module_is_written_down_completely(recorded):
    recording, file = recorded(PLAIN, "Plain")
    assert recording.failure is None
    assert (recording.epochs, recording.batches, recording.automatic) == (2, 4, True)
    steps = recording.steps
    assert [(s.at.epoch, s.at.batch, s.batch_size) for s in steps] == [
        (epoch, batch, 3 if batch == 3 else 5) for epoch in (0, 1) for batch in range(4)
    ]
    assert {s.reaches for s in steps} == {("net.weight", "net.bias")} or all(len(s.reaches) == 2 for s in steps)
    assert all(s.loss.requires_grad and s.loss.finite and s.loss.shape == () for s in steps)
    passes = list(recording.all(BackwardRan))
    assert len(passes) == 8
    assert all(b.through_lightning and not b.in_training_step for b in passes)
    updates = list(recording.all(OptimizerStepped))
    assert len(updates) == 8
    assert all(u.closure and u.through_lightning and u.nonzero == 2 and u.learning_rates == (0.1,) for u in updates)
    assert len(list(recording.all(GradientsCleared))) == 8
    assert recording.optimizers[0].name == "SGD"
    assert recording.optimizers[0].configured
    assert [p.name for p in recording.trainable if p.changed] == ["net.weight", "net.bias"]
    facts = list(recording.all(BatchFacts))
    assert all(set(f.changed) == {"net.weight", "net.bias"} and f.gradients["net.weight"] > 0 for f in facts)


def test_log_calls_carry_flags_hook_and_place(recorded):
    recording, file = recorded(PLAIN, "Plain")
    calls = [c for c in recording.all(LogCall) if c.name == "train_loss"]
    assert len(calls) == 8
    assert {(c.on_step, c.on_epoch, c.at.hook, c.at.stage) for c in calls} == {(False, True, "training_step", "train")}
    assert {(c.place.file, c.place.line) for c in calls} == {(str(file), line_of(file, 'self.log("train_loss"'))}
    assert [c.value for c in calls] == pytest.approx([s.loss.value for s in recording.steps])
    validation = {c.at.stage for c in recording.all(LogCall) if c.name == "val_loss"}
    assert validation == {"sanity", "validate"}


def test_metrics_that_reach_the_logger_belong_to_their_epoch(recorded):
    recording, _ = recorded(PLAIN, "Plain")
    rows = [m for m in recording.all(MetricReceived) if m.name == "train_loss"]
    assert [m.at.epoch for m in rows] == [0, 1]
    for epoch, row in enumerate(rows):
        steps = [s for s in recording.steps if s.at.epoch == epoch]
        mean = sum(s.loss.value * s.batch_size for s in steps) / sum(s.batch_size for s in steps)
        assert row.value == pytest.approx(mean, rel=1e-5)


def test_hooks_are_in_order_and_warnings_are_heard(recorded):
    recording, file = recorded(PLAIN, "Plain")
    hooks = [h.name for h in recording.all(HookCalled) if h.owner in ("LightningModule", "Strategy")]
    order = ["configure_optimizers", "on_train_start", "training_step", "backward", "on_train_epoch_end", "on_fit_end"]
    found = [hooks.index(name) for name in order]
    assert found == sorted(found)
    heard = [w for w in recording.all(WarningSeen) if w.message == "look here"]
    assert [(w.at.epoch, w.at.batch) for w in heard] == [(0, 1), (1, 1)]
    assert heard[0].place.line == line_of(file, "warnings.warn")


def test_recording_is_plain_data(recorded):
    recording, _ = recorded(PLAIN, "Plain")
    assert pickle.loads(pickle.dumps(recording)) == recording
    with pytest.raises(AttributeError):
        recording.subject = "another"


def test_same_seed_same_recording(recorded):
    first, _ = recorded(PLAIN, "Plain")
    second, _ = recorded(PLAIN, "Plain")
    assert [s.loss.value for s in first.steps] == [s.loss.value for s in second.steps]


CRASHES = """
class Crashes(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        if self.current_epoch == 1 and batch_idx == 2:
            raise ValueError("enough")
        return F.mse_loss(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_crash_keeps_what_was_seen_before_it(recorded):
    recording, file = recorded(CRASHES, "Crashes")
    failure = recording.failure
    assert (failure.type, failure.message, failure.stage) == ("ValueError", "enough", "fit")
    assert (failure.at.epoch, failure.at.batch, failure.at.hook) == (1, 2, "training_step")
    assert failure.place.line == line_of(file, "raise ValueError")
    assert not failure.from_lightning
    assert len(recording.steps) == 6
    assert "lightning_conformance" not in failure.traceback
    assert failure.traceback.count("File ") == 1


NEEDS_FULL_BATCHES = """
class NeedsFullBatches(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.net(x.view(5, 4)), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_run_is_repeated_without_the_smaller_batch_that_alone_fails(recorded):
    recording, _ = recorded(NEEDS_FULL_BATCHES, "NeedsFullBatches")
    assert recording.failure is None
    assert recording.ragged_failure.at.batch == 3
    assert len(recording.steps) == 8
    assert {s.batch_size for s in recording.steps} == {5}


VALIDATES_OTHERWISE = """
class ValidatesOtherwise(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        query, key, value = batch
        raise ValueError("and no other batch does")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_run_is_repeated_without_validation_that_a_training_batch_may_not_fit(recorded):
    recording, file = recorded(VALIDATES_OTHERWISE, "ValidatesOtherwise")
    assert recording.failure is None
    assert recording.validation_failure.place.line == line_of(file, "query, key, value")
    assert len(recording.steps) == 8


ENDLESS = """
class Endless(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        if batch_idx == 1:
            try:
                while True:
                    pass
            except Exception:
                pass
        x, y = batch
        return F.mse_loss(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_run_that_does_not_end_is_ended(recorded):
    recording, file = recorded(ENDLESS, "Endless", timeout=5.0)
    assert recording.failure.stage == "timeout"
    assert (recording.failure.at.batch, recording.failure.at.hook) == (1, "training_step")
    assert recording.failure.place.line in (line_of(file, "while True"), line_of(file, "while True") + 1)
    assert len(recording.steps) == 1


NEVER_STEPS = """
class NeverSteps(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_manual_module_that_never_steps_ends(recorded):
    recording, _ = recorded(NEVER_STEPS, "NeverSteps")
    assert recording.failure is None
    assert len(recording.steps) == 8
    assert not list(recording.all(OptimizerStepped))


def test_deadline_in_another_thread():
    caught = []

    def loop():
        try:
            with deadline(0.2):
                while True:
                    pass
        except RunTimeout as error:
            caught.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(caught) == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no timers")
def test_deadline_leaves_somebody_elses_timer_alone():
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        with pytest.raises(RunTimeout), deadline(0.2):
            while True:
                pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_instruments_are_taken_away_again(recorded):
    import pytorch_lightning as pl

    before = (torch.autograd.backward, torch.optim.Optimizer.zero_grad, pl.LightningModule.log)
    recorded(PLAIN, "Plain")
    recorded(CRASHES, "Crashes")
    assert (torch.autograd.backward, torch.optim.Optimizer.zero_grad, pl.LightningModule.log) == before
    from torch.nn.modules import module
    from torch.optim import optimizer

    assert not module._global_forward_pre_hooks
    assert not optimizer._global_optimizer_pre_hooks
    assert not optimizer._global_optimizer_post_hooks
