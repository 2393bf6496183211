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


class Patches(Adam):
    """So many patches as there are positions, from a picture whose shape is computed with."""

    def __init__(self):
        super().__init__()
        self.embed, self.positions = nn.Linear(3 * 4 * 4, 8), nn.Parameter(torch.zeros(1, 16, 8))

    def training_step(self, batch, batch_idx):
        n, c, h, w = batch.shape
        patches = batch.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * 16)
        return (self.embed(patches) + self.positions).pow(2).mean()


def test_sides_in_proportion_to_what_is_wanted():
    found = infer_batch(Patches, budget_seconds=60.0)
    assert [t.shape for t in found.spec.tensors] == [("B", 3, 16, 16)]


class Shifted(Adam):
    """Columns of categories, in one table."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, 30, 50]))
        self.table = nn.Embedding(60, 4)

    def training_step(self, batch, batch_idx):
        columns, clicked = batch
        score = self.table(columns + self.offsets).sum((1, 2))
        return F.binary_cross_entropy_with_logits(score, clicked)


def test_offsets_into_one_table():
    found = infer_batch(Shifted, budget_seconds=60.0)
    columns = found.spec.tensors[0]
    assert columns.shape == ("B", 3)
    assert columns.high <= 10


class ByPosition(Adam):
    """Parts that are read by position, in one expression."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def training_step(self, batch, batch_idx):
        x, y, weight = batch[0], batch[1], batch[2]
        return (F.cross_entropy(self.layer(x), y, reduction="none") * weight).mean()


def test_parts_that_are_read_by_position():
    found = infer_batch(ByPosition, budget_seconds=60.0)
    assert str(found.spec) == "float[B,5], int[B]<3, float[B]"


class AssertsRanks(Adam):
    """The second picture has the rank that is asked for, and values in the range."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)

    def training_step(self, batch, batch_idx):
        image = batch["image"]
        assert image.ndim == 4
        height, width = image.shape[2:]
        assert height % 32 == 0
        assert width % 32 == 0
        mask = batch["mask"]
        assert mask.ndim == 4
        assert mask.max() <= 1.0
        assert mask.min() >= 0
        chance = self.layer(image).sigmoid()
        return 1 - (2 * (chance * mask).sum() + 1) / (chance.sum() + mask.sum() + 1)


def test_ranks_that_are_asserted():
    found = infer_batch(AssertsRanks, budget_seconds=60.0)
    assert [t.shape for t in found.spec.tensors] == [("B", 3, 32, 32), ("B", 1, 32, 32)]


class Policy(Adam):
    """An action that the distribution knows, and what is subtracted from its probability."""

    def __init__(self):
        super().__init__()
        self.actor = nn.Linear(4, 3)

    def training_step(self, batch, batch_idx):
        state, action, before, advantage = batch
        chosen = torch.distributions.Categorical(logits=self.actor(state)).log_prob(action)
        return -((chosen - before).exp() * advantage).mean()


def test_support_of_a_distribution():
    found = infer_batch(Policy, budget_seconds=60.0)
    assert str(found.spec) == "state: float[B,4], action: int[B]<3, before: float[B], advantage: float[B]"


class Fractions(Adam):
    """Values that only the support of a distribution tells."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        state, share = batch
        a, b = F.softplus(self.layer(state)).add(0.1).chunk(2, dim=1)
        return -torch.distributions.Beta(a, b).log_prob(share).mean()


def test_support_between_bounds():
    share = infer_batch(Fractions, budget_seconds=60.0).spec.tensors[1]
    assert (share.dtype, share.low, share.high) == ("float", 0.0, 1.0)


class Codebook(Adam):
    """Channels last: each place has the columns already, and none are gathered."""

    def __init__(self):
        super().__init__()
        self.encoder, self.codes = nn.Conv2d(1, 6, 4, 2, 1), nn.Embedding(9, 6)

    def training_step(self, batch, batch_idx):
        image, _ = batch
        places = self.encoder(image).permute(0, 2, 3, 1).reshape(-1, 6)
        return torch.cdist(places, self.codes.weight).min(1).values.mean()


def test_channels_last_are_no_features():
    found = infer_batch(Codebook, budget_seconds=60.0)
    assert found.spec.tensors[0].shape == ("B", 1, 32, 32)


class Pairwise(Adam):
    """One index a sample each, like the first."""

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(20, 4), nn.Embedding(30, 4)

    def training_step(self, batch, batch_idx):
        user, pos, neg = batch
        who, liked, other = self.users(user), self.items(pos), self.items(neg)
        return -F.logsigmoid((who * liked).sum(-1) - (who * other).sum(-1)).mean()


def test_indices_are_alike():
    found = infer_batch(Pairwise, budget_seconds=60.0)
    assert str(found.spec) == "user: int[B]<20, pos: int[B]<30, neg: int[B]<30"


class Demonstrations(Adam):
    """Lengths of what is packed, and the rank and classes of what the scores are compared with."""

    def __init__(self):
        super().__init__()
        self.rnn, self.policy = nn.GRU(10, 8, batch_first=True), nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        seen, actions, lengths = batch["obs"], batch["actions"], batch["lengths"]
        rows, steps, _ = seen.shape
        packed = nn.utils.rnn.pack_padded_sequence(seen, lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = self.rnn(packed, torch.zeros(1, rows, 8))
        out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=steps)
        mask = torch.arange(steps)[None] < lengths[:, None]
        return F.cross_entropy(self.policy(out)[mask], actions[mask])


def test_sequences_that_are_packed():
    found = infer_batch(Demonstrations, budget_seconds=60.0)
    text = str(found.spec)
    assert "obs: float[B,11,10]" in text
    assert "actions: int[B,11]<3" in text
