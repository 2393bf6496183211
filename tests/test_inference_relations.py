"""What the parts of a batch say of each other is used in the search for it."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from lightning_conformance.subjects.batch_nodes import TensorSpec
from lightning_conformance.subjects.code_reading import syntax
from lightning_conformance.subjects.inference import infer_batch
from lightning_conformance.subjects.inference.drafts import Draft
from lightning_conformance.subjects.inference.expectations import TIME
from lightning_conformance.subjects.inference.relations import related

pytestmark = pytest.mark.filterwarnings("ignore")


def tensor(name: str, spec: TensorSpec | None = None) -> Draft:
    return Draft("tensor", name=name, spec=spec)


def related_of(*leaves: Draft) -> dict[str, Draft]:
    draft = related(Draft("dict", tuple((leaf.name, leaf) for leaf in leaves)))
    return {str(key): child for key, child in draft.children}


def test_lengths_are_of_what_has_their_stem():
    known = TensorSpec((5, 12, 3))
    found = related_of(
        tensor("src", known), tensor("src_mask"), tensor("label"), tensor("src_lengths"), tensor("tgt_len")
    )
    assert {name: node.steps for name, node in found.items()} == {
        "src": 12, "src_mask": 12, "label": 0, "src_lengths": 12, "tgt_len": TIME,
    }  # fmt: skip
    assert found["src_mask"].rank == 2 and found["label"].rank == 1


def test_lengths_without_a_stem_make_no_sequence():
    found = related_of(tensor("x"), tensor("lengths"))
    assert (found["x"].steps, found["x"].rank, found["lengths"].steps) == (0, 1, TIME)


class Forecaster(Adam):
    """One covariate a step; the target is counted alone; the loss is scaled, and weighted where there is a weight."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 4)
        self.out = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, (target, weight) = batch
        steps, rows = x["decoder_cont"].size(1), x["decoder_lengths"].size(0)
        hidden = self.layer(x["decoder_cont"].reshape(-1, 1)).view(rows, steps, 4)
        prediction = self.out(hidden).squeeze(-1)
        scale = x["target_scale"]
        losses = (prediction * scale[:, 1, None] + scale[:, 0, None] - target).abs()
        if weight is not None:
            losses = losses * weight.unsqueeze(-1)
        mask = torch.arange(target.size(1)) < x["decoder_lengths"][:, None]
        loss = losses[mask].mean()
        self.log("train_loss", loss, batch_size=len(x["decoder_target"]))
        return loss


def test_sequences_scales_and_weights():
    found = infer_batch(Forecaster, budget_seconds=60.0)
    text = str(found.spec)
    assert "decoder_cont: float[B,7,1]" in text and "decoder_target: float[B,7]" in text, text
    assert "target_scale: float[B,2]" in text and text.endswith("(target: float[B,7], none)"), text


class Critic(Adam):
    """What is joined has as many columns as the layer behind it, together."""

    def __init__(self):
        super().__init__()
        self.policy, self.critic = nn.Linear(5, 2), nn.Linear(7, 1)

    def training_step(self, batch, batch_idx):
        obs, action, value = batch
        loss = F.mse_loss(self.critic(torch.cat([obs, action], dim=-1)), value)
        return loss + self.policy(obs).pow(2).mean()


def test_columns_are_shared():
    found = infer_batch(Critic, budget_seconds=60.0)
    assert str(found.spec) == "obs: float[B,5], action: float[B,2], value: float[B,1]"


class Squeezed(Adam):
    """A target that is squeezed has something to squeeze."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.layer(images), labels.squeeze(1).long())


def test_squeeze_speaks_for_a_dimension_of_one():
    found = infer_batch(Squeezed, budget_seconds=60.0)
    assert [t.shape for t in found.spec.tensors] == [("B", 3, 32, 32), ("B", 1, 32, 32)]


def test_only_the_function_around_a_frame_is_read():
    def inner():
        return [node for node in syntax.nodes_around(sys._getframe()) if hasattr(node, "name")]

    assert [node.name for node in inner()] == ["inner"]


class Stacked(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.net(torch.stack(images)), labels)


class Finished(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        states, dones, rewards = batch
        values = self.net(states).squeeze(-1)
        targets = values.detach() + rewards
        targets[dones] = 0.0
        return F.mse_loss(values, targets)


class Patches(Adam):
    def __init__(self):
        super().__init__()
        self.net, self.position = nn.Linear(192, 4), nn.Parameter(torch.zeros(1, 16, 4))

    def training_step(self, batch, batch_idx):
        img, _ = batch
        side = img.shape[2] // 8
        patches = img.reshape(img.shape[0], 3, side, 8, side, 8).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return (self.net(patches.flatten(2)) + self.position).square().mean()


class Triplets(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        anchor, positive, negative = (self.net(part) for part in batch)
        return F.triplet_margin_loss(anchor, positive, negative)


class LengthFirst(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def training_step(self, batch, batch_idx):
        noise = torch.rand(len(batch), 1, device=batch.device)
        return (self.net(batch) - noise).square().mean()


class Characters(Adam):
    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(65, 8), nn.Linear(8, 65)

    def training_step(self, batch, batch_idx):
        idx, targets = batch
        rows, steps = idx.size()
        scores = self.head(self.tokens(idx))
        return F.cross_entropy(scores.view(rows * steps, -1), targets.view(-1))


@pytest.mark.parametrize(
    ("cls", "spec"),
    [
        (Stacked, "images: [float[3,32,32] in 0..1] * B, labels: int[B]<2"),
        (Finished, "states: float[B,4], dones: bool[B], rewards: float[B]"),
        (Patches, "img: float[B,3,32,32] in 0..1, float[B]"),
        (Triplets, "float[B,6], float[B,6], float[B,6]"),
        (LengthFirst, "float[B,6]"),
        (Characters, "idx: int[B,7]<65, targets: int[B,7]<65"),
    ],
)
def test_what_the_first_use_and_the_name_say_is_heeded(cls, spec):
    assert str(infer_batch(cls).spec) == spec


class Noisy(Adam):
    """What is made with the size of a leaf changes as the leaf does."""

    def __init__(self):
        super().__init__()
        self.net, self.start = nn.GRU(6, 9, batch_first=True), nn.Linear(4, 9)

    def training_step(self, batch, batch_idx):
        series, wanted = batch
        noise = torch.randn(series.shape)
        rows, steps, _ = series.shape
        clock = torch.zeros(rows, steps, 1) + torch.ones(size=(rows, steps, 1)) + series.new_zeros(rows, steps, 1)
        hidden, _ = self.net(series + 0.1 * noise + clock)
        return F.mse_loss(hidden[:, -1] + self.start(torch.randn(rows, 4)), wanted)


def test_tensors_made_with_the_size_of_a_leaf():
    found = infer_batch(Noisy, budget_seconds=60.0)
    assert str(found.spec) == "series: float[B,7,6], wanted: float[B,9]"


class Diffused(Adam):
    """A step for each sample, which says nothing of what a sample is."""

    def __init__(self):
        super().__init__()
        self.net, self.time = nn.Conv2d(3, 3, 3, padding=1), nn.Embedding(10, 3)

    def training_step(self, batch, batch_idx):
        steps = torch.randint(0, 10, (batch.shape[0],))
        noise = torch.randn(batch.shape)
        blurred = batch + noise * steps[:, None, None, None]
        return F.mse_loss(self.net(blurred + self.time(steps)[:, :, None, None]), noise)


def test_number_of_samples_is_no_shape():
    found = infer_batch(Diffused, budget_seconds=60.0)
    assert [t.shape for t in found.spec.tensors] == [("B", 3, 32, 32)]


class SizedByChance(Adam):
    """The 8 columns are as many as a stand-in's by chance."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(14, 3)

    def training_step(self, batch, batch_idx):
        columns, label = batch
        noise = torch.rand(columns.size(0), 8)
        return F.cross_entropy(self.net(torch.cat([columns, noise], dim=1)), label)


def test_size_that_is_a_leafs_by_chance():
    found = infer_batch(SizedByChance, budget_seconds=60.0)
    assert str(found.spec) == "columns: float[B,6], label: int[B]<3"
