"""Graphs, point sets, knowledge graphs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from inference_suite.expectations import batch_of


class GraphConvolution(nn.Module):
    """The mean over the neighbours, written by hand."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.lin, self.lin_self = nn.Linear(in_channels, out_channels), nn.Linear(in_channels, out_channels)

    def forward(self, x, edge_index):
        src, dst = edge_index
        messages = self.lin(x)[src]
        out = torch.zeros(x.size(0), messages.size(1), device=x.device).index_add(0, dst, messages)
        degree = torch.zeros(x.size(0), device=x.device).index_add(0, dst, torch.ones_like(dst, dtype=x.dtype))
        return out / degree.clamp(min=1).unsqueeze(-1) + self.lin_self(x)


@batch_of(
    "Data(x: float[N,8], edge_index: int[2,E]<N, batch: int[N], y: int[G]<3)",
    example=lambda: _graphs(),
)
class GraphClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = GraphConvolution(8, 16), GraphConvolution(16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x, edge_index, batch_idx):
        x = F.relu(self.conv1(x, edge_index))
        x = self.conv2(x, edge_index)
        num_graphs = int(batch_idx.max()) + 1
        pooled = torch.zeros(num_graphs, x.size(1), device=x.device).index_add(0, batch_idx, x)
        count = torch.bincount(batch_idx, minlength=num_graphs).clamp(min=1)
        return self.head(pooled / count.unsqueeze(1))

    def training_step(self, data, batch_idx):
        out = self(data.x, data.edge_index, data.batch)
        loss = F.cross_entropy(out, data.y)
        self.log("train_loss", loss, batch_size=len(data.y))
        return loss


def _graphs():
    from collections import namedtuple

    data = namedtuple("Data", ["x", "edge_index", "batch", "y"])
    membership = torch.arange(12) // 4
    return data(torch.randn(12, 8), torch.randint(12, (2, 30)), membership, torch.tensor([0, 1, 2]))


@batch_of(
    "Data(x: float[N,16], edge_index: int[2,E]<N, y: int[N]<7, train_mask: bool[N])",
    example="Data(x: float[12,16], edge_index: int[2,30]<12, y: int[12]<7, train_mask: bool[12])",
)
class NodeClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([GraphConvolution(16, 16), GraphConvolution(16, 7)])

    def forward(self, data):
        x, edge_index = data.x, data.edge_index
        for conv in self.convs[:-1]:
            x = F.dropout(F.relu(conv(x, edge_index)), p=0.5, training=self.training)
        return self.convs[-1](x, edge_index)

    def training_step(self, batch, batch_idx):
        z = self(batch)
        mask = batch.train_mask
        loss = F.cross_entropy(z[mask], batch.y[mask])
        self.log("train_acc", (z[mask].argmax(-1) == batch.y[mask]).float().mean(), batch_size=1)
        return loss


@batch_of(
    "Data(x: int[N]<20, edge_index: int[2,E]<N, edge_attr: float[E,4], batch: int[N], y: float[G])",
    "Data(x: int[N]<20, edge_index: int[2,E]<N, edge_attr: float[E,4], batch: int[N], y: float[G,1])",
    example=lambda: _molecules(),
)
class MoleculeRegression(Adam):
    """Atoms are numbers, bonds have features, a molecule has one target."""

    def __init__(self):
        super().__init__()
        self.atoms = nn.Embedding(20, 8)
        self.bonds = nn.Linear(4, 8)
        self.update = nn.GRUCell(8, 8)
        self.readout = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        h, (row, col) = self.atoms(batch.x), batch.edge_index
        for _ in range(2):
            messages = F.relu(h[row] + self.bonds(batch.edge_attr))
            h = self.update(torch.zeros_like(h).index_add_(0, col, messages), h)
        graphs = batch.y.size(0)
        pooled = torch.zeros(graphs, 8, device=h.device).index_add_(0, batch.batch, h)
        loss = F.l1_loss(self.readout(pooled).view(-1), batch.y.view(-1))
        self.log("train_loss", loss, batch_size=graphs)
        return loss


def _molecules():
    from collections import namedtuple

    data = namedtuple("Data", ["x", "edge_index", "edge_attr", "batch", "y"])
    edges = torch.randint(12, (2, 30))
    return data(torch.randint(20, (12,)), edges, torch.randn(30, 4), torch.arange(12) // 4, torch.randn(3))


@batch_of(
    "{points: float[B,N,3], mask: bool|float|int[B,N]<2, label: int[B]<4}",
    example="{points: float[B,16,3], mask: bool[B,16], label: int[B]<4}",
)
class DeepSetWithMask(Adam):
    def __init__(self):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16))
        self.rho = nn.Linear(16, 4)

    def forward(self, points, mask):
        h = self.phi(points).masked_fill(~mask.bool().unsqueeze(-1), 0.0)
        return self.rho(h.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1))

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self(batch["points"], batch["mask"]), batch["label"])
        self.log("train_loss", loss)
        return loss


@batch_of("int[B,3]<10", example="int[B,3]<10")
class TranslationEmbeddings(Adam):
    """Triples of head, relation and tail; negatives are drawn."""

    def __init__(self, entities=25, relations=10):
        super().__init__()
        self.entities, self.relations = nn.Embedding(entities, 8), nn.Embedding(relations, 8)

    def score(self, h, r, t):
        return torch.norm(self.entities(h) + self.relations(r) - self.entities(t), p=1, dim=-1)

    def training_step(self, batch, batch_idx):
        head, relation, tail = batch[:, 0], batch[:, 1], batch[:, 2]
        corrupted = torch.randint(self.entities.num_embeddings, tail.shape, device=self.device)
        positive, negative = self.score(head, relation, tail), self.score(head, relation, corrupted)
        loss = F.margin_ranking_loss(positive, negative, -torch.ones_like(positive), margin=1.0)
        self.log("train_loss", loss)
        return loss
