"""Modules that run on an accelerator, each near to something that does not."""

import copy
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

LOG = {"on_step": False, "on_epoch": True}
PIXEL_MEAN = torch.tensor([0.4, 0.5, 0.6])


class Base(L.LightningModule):
    """What the modules have in common: one loss, logged, and Adam."""

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, **LOG)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Recurrent(Base):
    """LSTM and GRU, one with a first state that is made on the batch's device."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, num_layers=2, batch_first=True, dropout=0.1)
        self.gru = nn.GRU(6, 4, batch_first=True, bidirectional=True)
        self.cell = nn.LSTMCell(8, 8)
        self.out = nn.Linear(8, 3)

    def loss(self, batch):
        x, y = batch
        first = torch.zeros(2, len(x), 6, device=x.device)
        states, _ = self.lstm(x, (first, torch.zeros_like(first)))
        states, _ = self.gru(states)
        hidden, _ = self.cell(states[:, -1])
        return F.cross_entropy(self.out(hidden), y)


class Attention(Base):
    """Positions are a buffer, the mask is made on the batch's device; padding is masked by comparison."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.register_buffer("positions", torch.randn(16, 8), persistent=False)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 20)

    def loss(self, batch):
        tokens = batch["tokens"]
        n = tokens.shape[1]
        x = self.embed(tokens) + self.positions[:n]
        causal = torch.triu(torch.ones(n, n, dtype=torch.bool, device=tokens.device), diagonal=1)
        x = self.encoder(x, mask=causal)
        x = x + self.attend(x, x, x, attn_mask=causal, need_weights=False)[0]
        q = k = v = x.unsqueeze(1)
        x = x + F.scaled_dot_product_attention(q, k, v, is_causal=True).squeeze(1)
        keep = tokens[:, 1:] != 0
        logits = self.out(x[:, :-1])[keep]
        return F.cross_entropy(logits, tokens[:, 1:][keep])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))


class Normalised(Base):
    """Batch, group and instance normalisation, with dropout of two kinds."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.2),
            nn.Conv2d(4, 4, 3, stride=2),
            nn.GroupNorm(2, 4),
            nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.BatchNorm1d(4),
            nn.Dropout(0.1),
            nn.Linear(4, 3),
        )

    def loss(self, batch):
        image, label = batch
        return F.cross_entropy(self.net(image), label, label_smoothing=0.1)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))


class Distributions(Base):
    """A variational autoencoder: the prior is made from tensors of the posterior, or from plain numbers."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 8), nn.Linear(4, 6)
        self.choose = nn.Linear(6, 3)

    def loss(self, x):
        mean, scale = self.encode(x).chunk(2, dim=-1)
        posterior = Normal(mean, F.softplus(scale) + 1e-3)
        prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
        z = posterior.rsample()
        choice = Categorical(logits=self.choose(x))
        reward = -choice.log_prob(choice.sample()) * choice.entropy()
        divergence = kl_divergence(posterior, prior).sum(-1) + kl_divergence(posterior, Normal(0.0, 1.0)).sum(-1)
        return F.mse_loss(self.decode(z), x) + 0.1 * divergence.mean() + 0.01 * reward.mean()


class Metrics(Base):
    """Metrics are submodules; one collection is cloned, one metric is reset by hand."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        scores = MetricCollection([MulticlassAccuracy(3), MulticlassF1Score(3)])
        self.train_scores = scores.clone(prefix="train_")
        self.val_scores = scores.clone(prefix="val_")
        self.mean = MeanMetric()
        self.curves = nn.ModuleDict({"accuracy": MulticlassAccuracy(3, average=None)})

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.train_scores.update(logits, y)
        self.mean.update(loss)
        self.curves["accuracy"].update(logits, y)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.val_scores.update(self.net(x), y)

    def on_train_epoch_end(self):
        self.log_dict(self.train_scores.compute())
        self.log("mean", self.mean.compute())
        self.curves["accuracy"].compute().mean().item()
        self.train_scores.reset()
        self.mean.reset()
        self.curves["accuracy"].reset()

    def on_validation_epoch_end(self):
        self.log_dict(self.val_scores.compute())
        self.val_scores.reset()


class Checkpointed(Base):
    """Activations are computed again in the backward pass, in both ways."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def block(self, layer, x):
        scale = torch.full((6,), 0.5, device=x.device)
        return F.dropout(torch.tanh(layer(x)) * scale, 0.1) + torch.zeros_like(x)

    def loss(self, x):
        out = x
        for number, layer in enumerate(self.blocks):
            out = checkpoint(self.block, layer, out.requires_grad_(), use_reentrant=number == 0)
        return F.mse_loss(out, x)


class Averaged(Base):
    """A teacher that follows, copied when training begins: by then the student is on the device."""

    def __init__(self):
        super().__init__()
        self.student = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        self.shadow = {}

    def on_fit_start(self):
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.shadow = {name: value.detach().clone() for name, value in self.student.state_dict().items()}

    def loss(self, x):
        with torch.no_grad():
            target = self.teacher(x).softmax(-1)
        return F.kl_div(self.student(x).log_softmax(-1), target, reduction="batchmean") + 0.1 * self.student(x).norm()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast.detach(), 0.1)
        for name, value in self.student.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].mul_(0.9).add_(value, alpha=0.1)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, limit):
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        inside = torch.zeros(x.shape, device=x.device, dtype=gradient.dtype)
        inside[x.abs() <= ctx.limit] = 1
        return gradient * inside, None


class OwnFunction(Base):
    """A function with its own backward pass, a hook on a gradient, and a gradient of a gradient."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(self, x):
        x = x.detach().requires_grad_(True)
        out = _Clipped.apply(self.net(x), 1.0)
        out.register_hook(lambda gradient: gradient * torch.ones_like(gradient))
        (gradient,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        return out.square().mean() + (gradient.norm(dim=-1) - 1).square().mean()


class MadeOnTheDevice(Base):
    """Every way to make a tensor where another one is."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def loss(self, x):
        n, kind = x.shape[-1], {"device": x.device, "dtype": x.dtype}
        parts = [
            torch.arange(n, **kind),
            torch.linspace(0, 1, n, device=self.device),
            torch.tensor([1.0] * n, device=x.device),
            torch.tensor([1.0] * n).to(x),
            torch.ones(n).type_as(x),
            torch.ones(n).to(x.device, x.dtype),
            torch.ones(n, dtype=torch.float64).to(device=x.device, dtype=torch.float32),
            torch.as_tensor(np.ones(n, dtype=np.float32), device=x.device),
            torch.from_numpy(np.ones(n, dtype=np.float32)).to(self.device, non_blocking=True),
            torch.eye(n).to(x)[0],
            x.new_tensor([0.5] * n),
            x.new_zeros(n),
            x.new_full((n,), 0.1),
            torch.zeros_like(x)[0],
            torch.randn(x.shape, device=x.device)[0],
            torch.empty(n, device=str(x.device)).fill_(1.0),
            torch.zeros(n).to(device=self.net.weight.device),
            torch.ones(n).type(x.type()),
            torch.hann_window(n, device=x.device),
            torch.ones(n, device=x.get_device() if x.is_cuda else "cpu"),
        ]
        with x.device:
            parts.append(torch.ones(n))
        return F.mse_loss(self.net(x + 0.01 * torch.stack(parts).sum(0)), x)


class FromTheHost(Base):
    """What CUDA takes from the CPU: tensors without dimensions, and indices."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.temperature = torch.tensor(0.7)
        self.order = torch.tensor([5, 4, 3, 2, 1, 0])
        self.keep = torch.tensor([True, False, True, True, True, False])
        self.steps = torch.tensor(0.0)

    def loss(self, x):
        out = self.net(x) / self.temperature * torch.tensor(2.0)
        out = torch.where(out > torch.tensor(0.1), out, torch.tensor(0.0))
        out = out[:, self.order] + out[torch.randperm(len(x))] + torch.full((), 0.1)
        out = torch.maximum(out, torch.tensor(-1.0)).clamp(max=torch.tensor(4.0))
        out = out.masked_fill(out > 3, torch.tensor(3.0))
        out[:, torch.arange(2)] = torch.tensor(0.5, dtype=out.dtype)
        self.steps += 1
        return (out[:, self.keep] - x[:, :4] * torch.tensor(np.float32(0.5))).square().mean()


class Packed(Base):
    """Lengths of packed sequences are on the CPU; what comes back is on the device."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 5)
        self.gru = nn.GRU(5, 6, batch_first=True)
        self.lstm = nn.LSTM(6, 6, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 2)

    def loss(self, batch):
        tokens, label = batch
        lengths = (tokens > 5).sum(-1).clamp(min=1)
        packed = pack_padded_sequence(self.embed(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed)
        states, _ = self.lstm(states)
        padded, lengths = pad_packed_sequence(states, batch_first=True)
        last = padded[torch.arange(len(padded)), lengths - 1]
        mask = torch.arange(padded.shape[1], device=padded.device) < lengths.to(padded.device)[:, None]
        pooled = (padded * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return F.cross_entropy(self.out(last + pooled), label)


class Padded(Base):
    """Sequences of different lengths are padded inside the step, and CTC reads lengths from the CPU."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv1d(4, 7, 3, padding=1)

    def loss(self, x):
        padded = pad_sequence([row[: 5 + n % 2] for n, row in enumerate(x)], batch_first=True)
        scores = self.net(padded.transpose(1, 2)).permute(2, 0, 1).log_softmax(-1)
        targets = torch.ones(len(x), 2, dtype=torch.long, device=x.device)
        sizes = torch.full((len(x),), scores.shape[0]), torch.full((len(x),), 2)
        return F.ctc_loss(scores, targets, *sizes)


class DatasetInMemory(Dataset):
    """Tensors of the CPU, worked on as the loader asks for them."""

    def __init__(self):
        self.x, self.mean = torch.randn(20, 4), torch.zeros(4)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        noise = torch.randn(4) * torch.rand(1)
        x = self.x[index] - self.mean + 0.1 * noise
        return {"x": x, "y": (x.sum() > 0).long(), "numpy": x.numpy().astype("float32")}


class OwnLoaders(Base):
    """The data sets compute on the CPU before Lightning moves the batch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def loss(self, batch):
        return F.cross_entropy(self.net(batch["x"] + batch["numpy"]), batch["y"])

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(3)
        return DataLoader(DatasetInMemory(), batch_size=5, shuffle=True, generator=generator, collate_fn=self.collate)

    def collate(self, rows):
        return {
            "x": torch.stack([row["x"] for row in rows]) * torch.ones(4),
            "y": torch.tensor([int(row["y"]) for row in rows]),
            "numpy": torch.from_numpy(np.stack([row["numpy"] for row in rows])),
        }


class OutOfTheStep(Base):
    """NumPy and plain Python get what was moved to the CPU, and nothing of it comes back."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.seen, self.counts = [], torch.zeros(3)

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        predicted = logits.detach().argmax(-1).cpu()
        self.counts += torch.bincount(predicted, minlength=3) * torch.ones(3)
        self.seen.append(logits.detach().cpu().float().numpy().mean(axis=0))
        self.seen.append(np.asarray(logits.detach().float().to("cpu")).sum())
        weights = torch.as_tensor(np.bincount(y.cpu().numpy(), minlength=3) + 1.0, dtype=x.dtype).to(x.device)
        if logits.abs().max() > 1e6 or len(y.tolist()) == 0:
            raise ValueError(f"diverged at {float(logits.abs().max())}")
        return F.cross_entropy(logits, y, weight=weights)

    def on_train_epoch_end(self):
        self.log("most", float(self.counts.max() / self.counts.sum()))
        self.seen.clear()


class OwnGenerator(Base):
    """Random numbers come from a generator on the batch's device, or are drawn on the CPU and moved."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 5)

    def loss(self, x):
        here = torch.Generator(device=x.device).manual_seed(1)
        noise = torch.randn(x.shape, generator=here, device=x.device)
        drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)).to(x)
        return F.mse_loss(self.net(x + 0.1 * noise), x * drawn.bernoulli())


class ViewsAndOut(Base):
    """Views, writes in place, ``out=``, several results of one call."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.register_buffer("total", torch.zeros(6))
        self.register_buffer("history", torch.zeros(3, 6))

    def loss(self, x):
        out = self.net(x)
        with torch.no_grad():
            torch.add(self.total, out.mean(0), out=self.total)
            self.history[0] = out[0]
            self.history.copy_(self.history.roll(1, 0))
            self.total.mul_(0.9)
            values, places = out.topk(2)
            rows = torch.empty(0, device=x.device)
            torch.cat([values, values], out=rows)
        a, b = out.t().contiguous().view(2, 3, -1).unbind(0)
        out = torch.scatter_add(out, 1, places, values) + self.total
        y = torch.einsum("ij,kj->ik", out, self.history).sort(-1).values
        return y.square().mean() + (a * b).mean() + x.flatten().unfold(0, 2, 2).mean()


class AsksForTheType(Base):
    """The code asks what kind of device it is on, and does the right thing on each."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.weight = torch.ones(4)

    def loss(self, x):
        weight = self.weight
        if x.device.type == "cuda":
            weight = weight.cuda(non_blocking=True)
        elif x.device.type == "mps":
            weight = weight.to("mps")
        with torch.autocast(device_type=x.device.type, enabled=False):
            return ((self.net(x) - x) * weight).square().mean()


class FollowsTheBatch(Base):
    """Constants and layers that are not registered go where the batch is, before they are used."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 4, 3)
        self.mean, self.scales = torch.tensor([0.1, 0.2, 0.3]), {"std": torch.ones(3)}
        self.frozen = [nn.Conv2d(3, 4, 3).requires_grad_(False)]

    def loss(self, image):
        mean, std = self.mean.to(image.device), self.scales["std"].to(image)
        x = (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1) - PIXEL_MEAN.to(self.device).view(-1, 1, 1)
        if next(self.frozen[0].parameters()).device != x.device:
            self.frozen[0].to(x.device)
        return F.mse_loss(self.net(x), self.frozen[0](x))


class LossWeights(Base):
    """Weights of losses: buffers of the module, and of the loss, which is a submodule."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)
        self.register_buffer("weights", torch.tensor([1.0, 2.0, 3.0]))
        self.criterion = nn.CrossEntropyLoss(weight=torch.tensor([0.5, 1.0, 1.5]))
        self.binary = nn.BCEWithLogitsLoss(pos_weight=torch.full((3,), 2.0))

    def loss(self, batch):
        x, y = batch
        logits = self.net(x)
        onehot = F.one_hot(y, 3).to(logits.dtype)
        focal = -(self.weights[y] * (1 - logits.softmax(-1)).pow(2).gather(1, y[:, None]).squeeze(1)).mean()
        return self.criterion(logits, y) + self.binary(logits, onehot) + focal


@dataclass
class Graph:
    nodes: torch.Tensor
    edges: torch.Tensor

    def to(self, device, **kwargs):
        return Graph(self.nodes.to(device, **kwargs), self.edges.to(device, **kwargs))


class Pair:
    def __init__(self, x, y, names):
        self.x, self.y, self.names = x, y, names


class PairsDataset(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return torch.randn(4), index % 2


class OwnTransfer(Base):
    """A class for batches that Lightning does not know is moved by the module."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def training_step(self, pair, batch_idx):
        loss = self.loss(pair)
        self.log("train_loss", loss, batch_size=len(pair.x), **LOG)
        return loss

    def loss(self, pair):
        return F.cross_entropy(self.net(pair.x), pair.y)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        if isinstance(batch, Pair):
            return Pair(batch.x.to(device), batch.y.to(device, non_blocking=True), batch.names)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def train_dataloader(self):
        return DataLoader(PairsDataset(), batch_size=5, collate_fn=self.collate)

    def collate(self, rows):
        return Pair(torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows]), ["a"] * len(rows))


class LeavesLengthsOnTheHost(OwnTransfer):
    """The module moves what is computed with, and leaves on the CPU what must be there."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def loss(self, pair):
        packed = pack_padded_sequence(pair.x[:, None].expand(-1, 3, -1), pair.names, batch_first=True)
        return F.cross_entropy(self.net(self.gru(packed)[1][0]), pair.y)

    def collate(self, rows):
        pair = super().collate(rows)
        return Pair(pair.x, pair.y, torch.full((len(rows),), 3))


class GraphBatches(Base):
    """A batch with a method ``to`` is moved by Lightning; edges index nodes."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)

    def training_step(self, graph, batch_idx):
        loss = self.loss(graph)
        self.log("train_loss", loss, batch_size=len(graph.nodes), **LOG)
        return loss

    def loss(self, graph):
        source, target = graph.edges
        messages = self.net(graph.nodes)[source]
        gathered = torch.zeros_like(graph.nodes, dtype=messages.dtype).index_add(0, target, messages)
        return F.mse_loss(gathered, graph.nodes)

    def train_dataloader(self):
        return DataLoader(PairsDataset(), batch_size=5, collate_fn=self.collate)

    def collate(self, rows):
        return Graph(torch.stack([x for x, _ in rows]), torch.randint(0, len(rows), (2, 7)))


class LateLayers(Base):
    """Layers that get their shape from the first batch, and one that is made in ``setup``."""

    def __init__(self):
        super().__init__()
        self.lazy = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyBatchNorm1d())

    def setup(self, stage):
        if not hasattr(self, "head"):
            self.head = nn.Linear(6, 2)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self.head(self.lazy(x)), y)


class RunningState(Base):
    """State between batches: detached on the device, or added up as plain numbers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNNCell(4, 4)
        self.register_buffer("average", None)
        self.hidden, self.sum, self.outputs = None, 0.0, []

    def loss(self, x):
        hidden = self.hidden if self.hidden is not None else torch.zeros(4, device=self.device)
        out = self.rnn(x, hidden.expand(len(x), 4))
        self.hidden = out.mean(0).detach()
        self.average = self.hidden if self.average is None else 0.9 * self.average + 0.1 * self.hidden
        self.sum += float(out.detach().mean())
        self.outputs.append(out.detach())
        return (out - x - 0.1 * self.average).square().mean()

    def on_train_epoch_end(self):
        self.log("spread", torch.cat(self.outputs).std() + torch.stack([o.mean() for o in self.outputs]).mean())
        self.outputs.clear()
        self.hidden = None


LEGITIMATE = {
    "Recurrent": {"batch": "x: float[5,7,5], y: int[5]<3"},
    "Attention": {"batch": "{tokens: int[5,9]<20}"},
    "Normalised": {"batch": "float[5,3,8,8], int[5]<3"},
    "Distributions": {"batch": "float[5,6]"},
    "Metrics": {"batch": "float[5,8], int[5]<3"},
    "Checkpointed": {"batch": "float[5,6]"},
    "Averaged": {"batch": "float[5,6]"},
    "OwnFunction": {"batch": "float[5,5]"},
    "MadeOnTheDevice": {"batch": "float[5,6]"},
    "FromTheHost": {"batch": "float[5,6]"},
    "Packed": {"batch": "int[5,7]<20, int[5]<2"},
    "Padded": {"batch": "float[5,8,4]"},
    "OwnLoaders": {},
    "OutOfTheStep": {"batch": "float[5,4], int[5]<3"},
    "OwnGenerator": {"batch": "float[5,5]"},
    "ViewsAndOut": {"batch": "float[5,6]"},
    "AsksForTheType": {"batch": "float[5,4]"},
    "FollowsTheBatch": {"batch": "float[5,3,6,6]"},
    "LossWeights": {"batch": "float[5,6], int[5]<3"},
    "OwnTransfer": {},
    "LeavesLengthsOnTheHost": {},
    "GraphBatches": {},
    "LateLayers": {"batch": "float[5,9], int[5]<2"},
    "RunningState": {"batch": "float[5,4]"},
}
