"""Batches from replay buffers and rollouts."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import nn

from inference_suite.expectations import batch_of


@batch_of(
    "float[B,4], int[B]<2, float[B], float[B,4], bool|float|int[B]<2",
    example="float[B,4], int[B]<2, float[B], float[B,4], bool[B]",
)
class DoubleDqn(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.target_net = copy.deepcopy(self.net)
        self.gamma = 0.99

    def training_step(self, batch, batch_idx):
        states, actions, rewards, next_states, dones = batch
        q = self.net(states).gather(1, actions.unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            best = self.net(next_states).argmax(dim=1, keepdim=True)
            next_q = self.target_net(next_states).gather(1, best).squeeze(-1)
            next_q = next_q * (1 - dones.float())
        loss = F.smooth_l1_loss(q, rewards + self.gamma * next_q)
        if self.global_step % 10 == 0:
            self.target_net.load_state_dict(self.net.state_dict())
        self.log_dict({"train_loss": loss, "reward": rewards.mean()})
        return loss


@batch_of(
    "float[B,6], int[B]<3, float[B], float[B], float[B]",
    example="float[B,6], int[B]<3, float[B], float[B], float[B]",
)
class ProximalPolicy(Adam):
    def __init__(self, clip_ratio=0.2):
        super().__init__()
        self.clip_ratio = clip_ratio
        self.actor = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
        self.critic = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        obs, actions, old_logp, advantages, returns = batch
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        pi = torch.distributions.Categorical(logits=self.actor(obs))
        ratio = torch.exp(pi.log_prob(actions) - old_logp)
        clipped = torch.clamp(ratio, 1 - self.clip_ratio, 1 + self.clip_ratio) * advantages
        actor_loss = -torch.min(ratio * advantages, clipped).mean()
        critic_loss = F.mse_loss(self.critic(obs).squeeze(-1), returns)
        loss = actor_loss + 0.5 * critic_loss - 0.01 * pi.entropy().mean()
        self.log("train_loss", loss)
        return loss


@dataclass
class Experience:
    obs: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    next_obs: torch.Tensor
    done: torch.Tensor


@batch_of(
    "Experience(obs: float[B,5], action: float[B,2], reward: float[B,1], next_obs: float[B,5], "
    "done: float|bool|int[B,1]<2)",
    "Experience(obs: float[B,5], action: float[B,2], reward: float[B], next_obs: float[B,5], "
    "done: float|bool|int[B]<2)",
    example=lambda: Experience(
        torch.randn(6, 5), torch.randn(6, 2), torch.randn(6, 1), torch.randn(6, 5), torch.arange(6).view(6, 1) % 2.0
    ),
)
class ActorCritic(LightningModule):
    """Continuous actions; two optimizers by hand; the batch is a dataclass."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.actor = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2), nn.Tanh())
        self.critic = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 1))

    def q(self, obs, action):
        return self.critic(torch.cat([obs, action], dim=-1))

    def training_step(self, batch: Experience, batch_idx: int):
        actor_opt, critic_opt = self.optimizers()
        with torch.no_grad():
            target = batch.reward.view(-1, 1) + 0.99 * (1 - batch.done.float().view(-1, 1)) * self.q(
                batch.next_obs, self.actor(batch.next_obs)
            )
        critic_loss = F.mse_loss(self.q(batch.obs, batch.action), target)
        critic_opt.zero_grad()
        self.manual_backward(critic_loss)
        critic_opt.step()
        actor_loss = -self.q(batch.obs, self.actor(batch.obs)).mean()
        actor_opt.zero_grad()
        self.manual_backward(actor_loss)
        actor_opt.step()
        self.log_dict({"actor_loss": actor_loss, "critic_loss": critic_loss}, batch_size=len(batch.obs))

    def configure_optimizers(self):
        return torch.optim.Adam(self.actor.parameters()), torch.optim.Adam(self.critic.parameters())


@batch_of(
    "{observations: float[B,T,6], actions: float[B,T,2], rewards: float[B,T], mask: bool|float|int[B,T]<2}",
    example="{observations: float[B,8,6], actions: float[B,8,2], rewards: float[B,8], mask: float[B,8]<2}",
)
class BehaviourCloningWeighted(Adam):
    """Trajectories, weighted by what remains of their rewards."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(6, 12, batch_first=True)
        self.policy = nn.Linear(12, 2)

    def training_step(self, batch, batch_idx):
        hidden, _ = self.gru(batch["observations"])
        error = (self.policy(hidden) - batch["actions"]).pow(2).sum(-1)
        returns = batch["rewards"].flip(1).cumsum(1).flip(1)
        weights = torch.softmax(returns, dim=1) * batch["mask"]
        loss = (error * weights).sum() / weights.sum().clamp(min=1e-6)
        self.log("train_loss", loss)
        return loss
