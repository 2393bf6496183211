"""Tables, recommenders, survival, physics."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from inference_suite.expectations import batch_of


@batch_of("float[B,12], float[B], float|int|bool[B]<2", example="float[B,12], float[B] in 0..1, float[B]<2")
class CoxSurvival(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 16), nn.SELU(), nn.Linear(16, 1, bias=False))

    def training_step(self, batch, batch_idx):
        x, time, event = batch
        risk = self.net(x).squeeze(-1)
        order = torch.argsort(time, descending=True)
        risk, event = risk[order], event[order]
        log_cumsum = torch.logcumsumexp(risk, dim=0)
        loss = -((risk - log_cumsum) * event).sum() / (event.sum() + 1e-7)
        self.log("train_loss", loss)
        return loss


@batch_of("int[B]<40, int[B]<60, int[B]<60", example="int[B]<40, int[B]<60, int[B]<60")
class BayesianPersonalizedRanking(Adam):
    def __init__(self, num_users=40, num_items=60):
        super().__init__()
        self.user_embedding = nn.Embedding(num_users, 8)
        self.item_embedding = nn.Embedding(num_items, 8)

    def forward(self, user, item):
        return (self.user_embedding(user) * self.item_embedding(item)).sum(-1)

    def training_step(self, batch, batch_idx):
        user, pos_item, neg_item = batch
        loss = -F.logsigmoid(self(user, pos_item) - self(user, neg_item)).mean()
        self.log("train_loss", loss)
        return loss


@batch_of(
    "int[B]<40, int[B]<60, float|int[B]<2",
    "int[B]<40, int[B]<60, float|int[B,1]<2",
    example="int[B]<40, int[B]<60, float[B]<2",
)
class NeuralCollaborativeFiltering(Adam):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(num_embeddings=40, embedding_dim=8), nn.Embedding(60, 8)
        self.fc1, self.fc2 = nn.Linear(16, 16), nn.Linear(16, 8)
        self.output = nn.Linear(8, 1)

    def forward(self, user_input, item_input):
        vector = torch.cat([self.user(user_input), self.item(item_input)], dim=-1)
        vector = F.relu(self.fc2(F.relu(self.fc1(vector))))
        return torch.sigmoid(self.output(vector))

    def training_step(self, batch, batch_idx):
        user_input, item_input, labels = batch
        predicted = self(user_input, item_input)
        return nn.BCELoss()(predicted, labels.view(-1, 1).float())


@batch_of(
    "{dense: float[B,4], sparse: int[B,3]<6, label: float|int[B]<2}",
    "{dense: float[B,4], sparse: int[B,3]<6, label: float|int[B,1]<2}",
    example="{dense: float[B,4], sparse: int[B,3]<6, label: float[B]<2}",
)
class ClickThrough(Adam):
    def __init__(self, cardinalities=(6, 9, 12)):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, 4) for n in cardinalities)
        self.deep = nn.Sequential(nn.Linear(4 + 4 * len(cardinalities), 16), nn.ReLU(), nn.Linear(16, 1))

    def training_step(self, batch, batch_idx):
        sparse = batch["sparse"]
        fields = torch.stack([table(sparse[:, i]) for i, table in enumerate(self.tables)], dim=1)
        square = fields.sum(1).pow(2) - fields.pow(2).sum(1)
        deep = self.deep(torch.cat([batch["dense"], fields.flatten(1)], dim=1))
        logit = deep.squeeze(-1) + 0.5 * square.sum(-1)
        loss = F.binary_cross_entropy_with_logits(logit, batch["label"].float().view(-1))
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,8], float[B]", example="float[B,8], float[B]")
class MixtureOfExperts(Adam):
    def __init__(self, experts=4, k=2):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(8, experts)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(experts))

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores, index = self.gate(x).softmax(-1).topk(self.k, dim=-1)
        out = torch.cat([expert(x) for expert in self.experts], dim=-1)
        y_hat = (out.gather(1, index) * scores).sum(-1)
        loss = F.huber_loss(y_hat.squeeze(), y)
        self.log("train_loss", loss)
        return loss


@batch_of("{features: float[B,16], tags: float|int|bool[B,9]<2}", example="{features: float[B,16], tags: float[B,9]<2}")
class TagsWithThreshold(Adam):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 9))

    def shared_step(self, batch, stage):
        logits = self.model(batch["features"])
        loss = F.binary_cross_entropy_with_logits(logits, batch["tags"].float())
        hits = ((logits > 0) == batch["tags"].bool()).float().mean()
        self.log_dict({f"{stage}_loss": loss, f"{stage}_acc": hits})
        return loss

    def training_step(self, batch, batch_idx):
        return self.shared_step(batch, "train")

    def validation_step(self, batch, batch_idx):
        return self.shared_step(batch, "val")


@batch_of("float[B,5], float[B]", "float[B,5], float[B,1]", example="float[B,5], float[B]")
class MeanAndVariance(Adam):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.Tanh())
        self.mean, self.var = nn.Linear(16, 1), nn.Sequential(nn.Linear(16, 1), nn.Softplus())
        self.loss = nn.GaussianNLLLoss()

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.body(x)
        loss = self.loss(self.mean(h).flatten(), y.flatten(), self.var(h).flatten() + 1e-4)
        self.log("nll", loss)
        return loss


@batch_of("float[B,6], float|int[B]", example="float[B,6], float[B]<9")
class PoissonCounts(Adam):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        exposure, counts = batch
        log_rate = self.linear(exposure).squeeze(dim=-1)
        loss = F.poisson_nll_loss(log_rate, counts)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{collocation: float[N,2], boundary: float[M,2], boundary_values: float[M,1]}",
    example="{collocation: float[B,2], boundary: float[B,2], boundary_values: float[B,1]}",
)
class HeatEquation(Adam):
    """A physics-informed network: derivatives with respect to the input."""

    def __init__(self, features=8):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, features) * 2 * math.pi)
        self.net = nn.Sequential(nn.Linear(2 * features, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, xt):
        projected = xt @ self.frequencies
        return self.net(torch.cat([projected.sin(), projected.cos()], dim=-1))

    def training_step(self, batch, batch_idx):
        points = batch["collocation"].clone().requires_grad_(True)
        u = self(points)
        grads = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        u_x, u_t = grads[:, 0:1], grads[:, 1:2]
        u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, 0:1]
        residual = (u_t - 0.1 * u_xx).pow(2).mean()
        boundary = F.mse_loss(self(batch["boundary"]), batch["boundary_values"])
        loss = residual + boundary
        self.log_dict({"train_loss": loss, "residual": residual, "boundary": boundary})
        return loss


@batch_of(
    "{age: float[B], income: float[B], city: int[B]<8, target: int[B]<2}",
    example="{age: float[B], income: float[B], city: int[B]<8, target: int[B]<2}",
)
class ColumnByColumn(Adam):
    """One key a column; the names are held in lists."""

    def __init__(self):
        super().__init__()
        self.continuous, self.categorical = ["age", "income"], {"city": 8}
        self.embeddings = nn.ModuleDict({name: nn.Embedding(n, 3) for name, n in self.categorical.items()})
        self.net = nn.Sequential(nn.Linear(len(self.continuous) + 3, 8), nn.ReLU(), nn.Linear(8, 2))

    def training_step(self, batch, batch_idx):
        numbers = torch.stack([batch[name] for name in self.continuous], dim=1).float()
        categories = [self.embeddings[name](batch[name]) for name in self.categorical]
        logits = self.net(torch.cat([numbers, *categories], dim=1))
        loss = F.cross_entropy(logits, batch["target"])
        self.log("train_loss", loss)
        return loss
