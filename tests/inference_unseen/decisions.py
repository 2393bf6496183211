"""Tables, triples, rankings, points, experience, operators."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import Tensor, nn

from inference_unseen.registry import batch_of


@batch_of("int[B]<40, int[B]<6, int[B]<40", example="int[B]<40, int[B]<6, int[B]<40")
class KnowledgeGraph(Adam):
    """Tails are corrupted at random."""

    def __init__(self, n_entities=40, n_relations=6, dim=8, margin=1.0):
        super().__init__()
        self.n_entities, self.margin = n_entities, margin
        self.entity, self.relation = nn.Embedding(n_entities, 2 * dim), nn.Embedding(n_relations, dim)

    def distance(self, h, r, t):
        re_h, im_h = self.entity(h).chunk(2, dim=-1)
        re_t, im_t = self.entity(t).chunk(2, dim=-1)
        phase = self.relation(r)
        re_r, im_r = torch.cos(phase), torch.sin(phase)
        re, im = re_h * re_r - im_h * im_r - re_t, re_h * im_r + im_h * re_r - im_t
        return torch.stack([re, im]).norm(dim=0).sum(dim=-1)

    def training_step(self, batch, batch_idx):
        head, relation, tail = batch
        corrupted = torch.randint(0, self.n_entities, tail.shape, device=tail.device)
        positive, negative = self.distance(head, relation, tail), self.distance(head, relation, corrupted)
        loss = F.relu(self.margin + positive - negative).mean()
        self.log("train_loss", loss)
        return loss


@batch_of("int[B,T]<50, int[B,T]<50, int[B,T]<50", example="int[B,10]<50, int[B,10]<50, int[B,10]<50")
class SelfAttentiveRecommender(LightningModule):
    def __init__(self, item_num=50, hidden_units=12, maxlen=50, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.item_emb = nn.Embedding(item_num, hidden_units, padding_idx=0)
        self.pos_emb = nn.Embedding(maxlen, hidden_units)
        self.attention = nn.MultiheadAttention(hidden_units, 2, batch_first=True)
        self.norm = nn.LayerNorm(hidden_units)

    def forward(self, log_seqs):
        seqs = self.item_emb(log_seqs) * self.hparams.hidden_units**0.5
        seqs = seqs + self.pos_emb(torch.arange(log_seqs.shape[1], device=self.device))
        length = seqs.shape[1]
        mask = ~torch.tril(torch.ones(length, length, dtype=torch.bool, device=self.device))
        out, _ = self.attention(seqs, seqs, seqs, attn_mask=mask)
        return self.norm(out + seqs)

    def training_step(self, batch, batch_idx):
        seq, pos, neg = batch
        feats = self(seq)
        pos_logits = (feats * self.item_emb(pos)).sum(dim=-1)
        neg_logits = (feats * self.item_emb(neg)).sum(dim=-1)
        istarget = (pos != 0).float()
        loss = -(F.logsigmoid(pos_logits) + F.logsigmoid(-neg_logits)) * istarget
        loss = loss.sum() / istarget.sum().clamp(min=1)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr, betas=(0.9, 0.98))


class Transition(NamedTuple):
    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    done: Tensor


@batch_of(
    "Transition(obs: float[B,8], action: float[B,2], reward: float[B], next_obs: float[B,8], done: float[B] in 0..1)",
    "Transition(obs: float[B,8], action: float[B,2], reward: float[B], next_obs: float[B,8], done: int|bool[B]<2)",
    example=lambda: Transition(
        torch.randn(6, 8), torch.randn(6, 2), torch.randn(6), torch.randn(6, 8), torch.randint(0, 2, (6,)).float()
    ),
)
class DeterministicPolicy(LightningModule):
    """Actor and critic with targets, by hand."""

    def __init__(self, obs_dim=8, act_dim=2, gamma=0.99, tau=0.005):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.actor = nn.Sequential(nn.Linear(obs_dim, 16), nn.ReLU(), nn.Linear(16, act_dim), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(obs_dim + act_dim, 16), nn.ReLU(), nn.Linear(16, 1))
        self.critic_target = nn.Sequential(nn.Linear(obs_dim + act_dim, 16), nn.ReLU(), nn.Linear(16, 1))
        self.critic_target.load_state_dict(self.critic.state_dict())

    def q(self, net, obs, action):
        return net(torch.cat([obs, action], dim=-1)).squeeze(-1)

    def training_step(self, batch: Transition, batch_idx: int) -> None:
        actor_opt, critic_opt = self.optimizers()
        with torch.no_grad():
            next_q = self.q(self.critic_target, batch.next_obs, self.actor(batch.next_obs))
            target = batch.reward + self.hparams.gamma * (1 - batch.done.float()) * next_q
        critic_loss = F.mse_loss(self.q(self.critic, batch.obs, batch.action), target)
        critic_opt.zero_grad()
        self.manual_backward(critic_loss)
        critic_opt.step()
        actor_loss = -self.q(self.critic, batch.obs, self.actor(batch.obs)).mean()
        actor_opt.zero_grad()
        self.manual_backward(actor_loss)
        actor_opt.step()
        for p, target_p in zip(self.critic.parameters(), self.critic_target.parameters()):
            target_p.data.lerp_(p.data, self.hparams.tau)
        self.log_dict({"critic_loss": critic_loss, "actor_loss": actor_loss})

    def configure_optimizers(self):
        return torch.optim.Adam(self.actor.parameters(), 1e-4), torch.optim.Adam(self.critic.parameters(), 1e-3)


@batch_of(
    "{states: float[B,T,11], actions: float[B,T,3], returns_to_go: float[B,T,1], timesteps: int[B,T]<100}",
    example="{states: float[B,6,11], actions: float[B,6,3], returns_to_go: float[B,6,1], timesteps: int[B,6]<100}",
)
class DecisionSequence(Adam):
    def __init__(self, state_dim=11, act_dim=3, hidden=12):
        super().__init__()
        self.embed_timestep = nn.Embedding(100, hidden)
        self.embed_return, self.embed_state = nn.Linear(1, hidden), nn.Linear(state_dim, hidden)
        self.embed_action = nn.Linear(act_dim, hidden)
        self.gpt = nn.TransformerEncoderLayer(hidden, 2, 24, batch_first=True)
        self.predict_action = nn.Sequential(nn.Linear(hidden, act_dim), nn.Tanh())

    def forward(self, states, actions, returns_to_go, timesteps):
        b, t = states.shape[:2]
        time = self.embed_timestep(timesteps)
        tokens = [self.embed_return(returns_to_go), self.embed_state(states), self.embed_action(actions)]
        stacked = torch.stack([x + time for x in tokens], dim=1).permute(0, 2, 1, 3).reshape(b, 3 * t, -1)
        hidden = self.gpt(stacked, nn.Transformer.generate_square_subsequent_mask(3 * t))
        return self.predict_action(hidden.reshape(b, t, 3, -1)[:, :, 1])

    def training_step(self, batch, batch_idx):
        predicted = self(**batch)
        loss = ((predicted - batch["actions"]) ** 2).mean()
        self.log("train/action_loss", loss)
        return loss


@batch_of(
    "float[B,13], int[B,4]<20, float[B] in 0..1",
    "float[B,13], int[B,4]<20, int|bool[B]<2",
    example="float[B,13], int[B,4]<20, float[B]<2",
)
class FactorizationMachine(Adam):
    def __init__(self, n_dense=13, field_dims=(20, 20, 20, 20), k=6):
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, 20, 40, 60]))
        self.first, self.second = nn.Embedding(sum(field_dims), 1), nn.Embedding(sum(field_dims), k)
        self.dense = nn.Linear(n_dense, 1)
        self.mlp = nn.Sequential(nn.Linear(4 * k + n_dense, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        dense, sparse, click = batch
        sparse = sparse + self.offsets
        emb = self.second(sparse)
        square_of_sum, sum_of_square = emb.sum(dim=1) ** 2, (emb**2).sum(dim=1)
        fm = 0.5 * (square_of_sum - sum_of_square).sum(dim=1, keepdim=True)
        deep = self.mlp(torch.cat([emb.flatten(1), dense], dim=1))
        logit = self.first(sparse).sum(dim=1) + self.dense(dense) + fm + deep
        loss = F.binary_cross_entropy_with_logits(logit.squeeze(-1), click.float())
        self.log("train_logloss", loss)
        return loss


@batch_of(
    "{features: float[B,K,7], rank: int[B,K]<10, click: float[B,K] in 0..1}",
    example="{features: float[B,5,7], rank: int[B,5]<10, click: float[B,5]<2}",
)
class PositionBasedClicks(Adam):
    def __init__(self, n_positions=10):
        super().__init__()
        self.relevance = nn.Sequential(nn.Linear(7, 8), nn.ELU(), nn.Linear(8, 1))
        self.examination = nn.Embedding(n_positions, 1)

    def training_step(self, batch, batch_idx):
        attraction = torch.sigmoid(self.relevance(batch["features"]).squeeze(-1))
        seen = torch.sigmoid(self.examination(batch["rank"]).squeeze(-1))
        loss = F.binary_cross_entropy(attraction * seen, batch["click"], reduction="none").sum(dim=1).mean()
        self.log("loss", loss)
        return loss


@batch_of(
    "float[B,10], float|int|bool[B]<2, float[B]",
    example="float[B,10], int[B]<2, float[B]",
)
class TreatmentEffect(Adam):
    def __init__(self, alpha=0.1):
        super().__init__()
        self.alpha = alpha
        self.phi = nn.Sequential(nn.Linear(10, 12), nn.ELU())
        self.y0, self.y1 = nn.Linear(12, 1), nn.Linear(12, 1)
        self.propensity = nn.Linear(12, 1)

    def training_step(self, batch, batch_idx):
        x, treatment, outcome = batch
        rep = self.phi(x)
        y0, y1 = self.y0(rep).squeeze(-1), self.y1(rep).squeeze(-1)
        factual = torch.where(treatment.bool(), y1, y0)
        t_loss = F.binary_cross_entropy_with_logits(self.propensity(rep).squeeze(-1), treatment.float())
        loss = F.mse_loss(factual, outcome) + self.alpha * t_loss
        self.log("train_loss", loss)
        return loss


class Cloud(NamedTuple):
    points: Tensor
    labels: Tensor


@batch_of(
    "Cloud(points: float[B,N,3], labels: int[B,N]<6)", example="Cloud(points: float[B,40,3], labels: int[B,40]<6)"
)
class PartSegmentation(Adam):
    """Point clouds; the annotation is loose."""

    def __init__(self, num_parts=6):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(3, 12, 1), nn.Conv1d(12, 24, 1)
        self.bn = nn.BatchNorm1d(24)
        self.seg = nn.Conv1d(36, num_parts, 1)

    def training_step(self, data, batch_idx):
        xyz = data.points - data.points.mean(dim=1, keepdim=True)
        local = F.relu(self.conv1(xyz.transpose(2, 1)))
        glob = self.bn(self.conv2(local)).max(dim=2, keepdim=True)[0].repeat(1, 1, xyz.shape[1])
        logits = self.seg(torch.cat([local, glob], dim=1))
        loss = F.cross_entropy(logits, data.labels)
        self.log("train_loss", loss, batch_size=xyz.shape[0])
        return loss


@batch_of("float[B,20], float[B,N,2], float[B,N]", example="float[B,20], float[B,15,2], float[B,15]")
class OperatorNetwork(Adam):
    """Branch and trunk; relative L2."""

    def __init__(self, sensors=20, p=12):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(sensors, 24), nn.Tanh(), nn.Linear(24, p))
        self.trunk = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, p), nn.Tanh())
        self.bias = nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        u, locations, s = batch
        predicted = torch.einsum("bp,bnp->bn", self.branch(u), self.trunk(locations)) + self.bias
        loss = (torch.linalg.norm(predicted - s, dim=1) / torch.linalg.norm(s, dim=1).clamp(min=1e-6)).mean()
        self.log("train_rel_l2", loss)
        return loss


@batch_of("float[B,6], float[B,1]", "float[B,6], float[B]", example="float[B,6], float[B,1]")
class MixtureDensity(Adam):
    def __init__(self, n_components=4):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.Tanh())
        self.pi, self.mu, self.sigma = (nn.Linear(16, n_components) for _ in range(3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.body(x)
        mixture = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(logits=self.pi(h)),
            torch.distributions.Normal(self.mu(h), F.softplus(self.sigma(h)) + 1e-3),
        )
        loss = -mixture.log_prob(y.view(-1)).mean()
        self.log("train_nll", loss)
        return loss


class ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -grad


@batch_of(
    "float[B,9], float[B] in 0..1, int[B]<3",
    "float[B,9], int|bool[B]<2, int[B]<3",
    example="float[B,9], float[B]<2, int[B]<3",
)
class FairIncome(Adam):
    """The group must not be read from the features."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, 12), nn.ReLU())
        self.income, self.group = nn.Linear(12, 1), nn.Linear(12, 3)

    def training_step(self, batch, batch_idx):
        x, y, sensitive = batch[0], batch[1], batch[2]
        z = self.features(x)
        main = F.binary_cross_entropy_with_logits(self.income(z).view(-1), y.float())
        adversary = F.cross_entropy(self.group(ReverseGradient.apply(z)), sensitive)
        self.log_dict({"train/main": main, "train/adversary": adversary})
        return {"loss": main + adversary}
