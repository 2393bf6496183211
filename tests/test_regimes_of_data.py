"""What the instruments of state write down, and the regimes of operations, batch sizes and own data."""

import pytest

from lightning_conformance.environments import select
from lightning_conformance.recording.events_batches import SampleReplaced, SizeTried
from lightning_conformance.recording.events_operations import GraphsAlive
from lightning_conformance.recording.events_state import CostlyCall, Held
from lightning_conformance.recording.model import LossSeen
from lightning_conformance.recording.run import Recordings
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target

MODULE = """
from collections import deque

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.losses, self.recent, self.last = [], deque(maxlen=2), None
        self.tables = {"seen": []}

    def forward(self, x):
        return self.net(F.dropout(x, 0.1, self.training))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self(x), y)
        self.losses.append(loss.item())
        self.recent.append(x)
        self.tables["seen"].append(x.mean())
        self.last = loss
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        if batch_idx == 0:
            print("first")
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.fixture
def recordings(tmp_path):
    file = tmp_path / "model.py"
    file.write_text(MODULE)
    subject = Subject(parse_target(f"{file}:Model"), SubjectOptions(batch="x: float[5,4], y: float[5,1]"))
    return Recordings(subject, select(["cpu"])[0])


def test_what_attributes_hold_is_seen_after_each_batch(recordings):
    held = [event for event in recordings().all(Held) if event.at.stage == "train"]
    by_path = {path: [e for e in held if e.path == path] for path in {e.path for e in held}}
    assert set(by_path) == {"self.losses", "self.recent", "self.last", "self.tables", "self.tables['seen']"}
    assert [e.length for e in by_path["self.losses"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {e.tensors for e in by_path["self.losses"]} == {0}
    assert [e.length for e in by_path["self.recent"]] == [1] + [2] * 7
    assert {(e.bound, e.graphs) for e in by_path["self.recent"]} == {(2, 0)}
    assert {(e.graphs, e.elements) for e in by_path["self.last"]} == {(1, 1)}
    assert all("self.losses" in e.place.source for e in by_path["self.losses"])


def test_calls_in_a_step_are_seen_with_their_line(recordings):
    calls = list(recordings().all(CostlyCall))
    assert [(call.name, call.at.epoch, call.at.batch) for call in calls] == [("print", 0, 0), ("print", 1, 0)]
    assert {call.place.source.strip() for call in calls} == {'print("first")'}


def test_graphs_of_a_loss_that_is_kept_are_let_go(recordings):
    watched = recordings("operations")
    assert watched.failure is None
    assert [sum(event.saved) for event in watched.all(GraphsAlive)] == [0] * 9


def test_other_sizes_and_other_samples_are_tried(recordings):
    ladder = recordings("ladder")
    # Training has tried 5 and 3.
    assert [(event.size, event.failure) for event in ladder.all(SizeTried)] == [(1, None), (2, None), (7, None)]
    (compared,) = ladder.all(SampleReplaced)
    assert (compared.others, compared.changed, compared.why_not) == (6, 0, "")


def test_one_batch_is_trained_on_again_and_again(recordings):
    losses = [event.value for event in recordings("overfit").all(LossSeen)]
    assert len(losses) == 24
    assert losses[-1] < losses[0]


def test_data_that_nobody_has_are_not_asked_for(recordings):
    assert recordings("own_data").inapplicable == "the module has no dataloaders of its own"
