"""Modules that bring their own data, or carry state from batch to batch."""

import copy

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset


class OwnTrainDataloader(pl.LightningModule):
    """Makes its data in ``setup`` and serves it itself, the last batch smaller."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def setup(self, stage=None):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(23, 6, generator=generator)
        self.dataset = TensorDataset(x, x.argmax(dim=-1) % 3)

    def train_dataloader(self):
        return DataLoader(self.dataset, batch_size=5, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.dataset, batch_size=8)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ReplayBuffer(IterableDataset):
    """Transitions of a two-armed walk, played anew for each epoch."""

    def __init__(self, policy, length: int = 23):
        self.policy, self.length = policy, length

    def __iter__(self):
        device = next(self.policy.parameters()).device
        state = torch.zeros(4, device=device)
        for _ in range(self.length):
            with torch.no_grad():
                action = int(torch.distributions.Categorical(logits=self.policy(state)).sample())
            successor = (0.8 * state + torch.randn(4, device=device) * 0.3).roll(action)
            yield state, action, successor.sum(), successor
            state = successor


class QLearner(pl.LightningModule):
    """Plays its own episodes; the target network is a deep copy, synchronised now and then."""

    def __init__(self, sync_every: int = 3):
        super().__init__()
        self.sync_every = sync_every
        self.q = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.target_q = copy.deepcopy(self.q)
        for parameter in self.target_q.parameters():
            parameter.requires_grad = False

    def train_dataloader(self):
        return DataLoader(ReplayBuffer(self.q), batch_size=5)

    def training_step(self, batch, batch_idx):
        state, action, reward, successor = batch
        value = self.q(state).gather(1, action[:, None])[:, 0]
        with torch.no_grad():
            target = reward + 0.9 * self.target_q(successor).max(dim=-1).values
        loss = F.smooth_l1_loss(value, target)
        if batch_idx % self.sync_every == 0:
            self.target_q.load_state_dict(self.q.state_dict())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.q.parameters(), lr=1e-2)


class TruncatedBptt(pl.LightningModule):
    """Manual chunks over a long sequence, the hidden state detached between them."""

    def __init__(self, chunk: int = 4):
        super().__init__()
        self.automatic_optimization = False
        self.chunk = chunk
        self.rnn = nn.GRU(3, 6, batch_first=True)
        self.out = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer, hidden, losses = self.optimizers(), None, []
        for x_chunk, y_chunk in zip(x.split(self.chunk, dim=1), y.split(self.chunk, dim=1)):
            states, hidden = self.rnn(x_chunk, hidden)
            hidden = hidden.detach()
            loss = F.cross_entropy(self.out(states).flatten(0, 1), y_chunk.flatten())
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            losses.append(loss.detach())
        self.log("train_loss", torch.stack(losses).mean(), on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class StatefulAcrossBatches(pl.LightningModule):
    """Carries a detached state from batch to batch, and resets it with each epoch."""

    def __init__(self, hidden: int = 6):
        super().__init__()
        self.cell = nn.GRUCell(4, hidden)
        self.out = nn.Linear(hidden, 1)
        self.register_buffer("state", torch.zeros(1, hidden), persistent=False)

    def on_train_epoch_start(self):
        self.state.zero_()

    def training_step(self, batch, batch_idx):
        x, y = batch
        hidden = self.cell(x, self.state.expand(len(x), -1).contiguous())
        self.state = hidden.mean(dim=0, keepdim=True).detach()
        loss = F.mse_loss(self.out(hidden), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class KeepsLossHistory(pl.LightningModule):
    """Python floats for plotting, and a running loss that never touches the graph."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(7, 2)
        self.history = []
        self.total = 0.0

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.history.append(loss.item())
        self.total = self.total + loss.detach()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class BuildsLayersInSetup(pl.LightningModule):
    """Layers made in ``setup`` are early enough for the optimizer."""

    def __init__(self, classes: int = 4):
        super().__init__()
        self.classes = classes
        self.head = None

    def setup(self, stage=None):
        if self.head is None:
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(36, self.classes))

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.head(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class MonitorsInCallbacks(pl.LightningModule):
    """A checkpoint and early stopping of its own, on metrics that it does log."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 6), nn.Dropout(0.2), nn.Linear(6, 1))

    def configure_callbacks(self):
        return [
            pl.callbacks.EarlyStopping("val_loss", patience=4),
            pl.callbacks.ModelCheckpoint(monitor="val_loss", save_top_k=1),
        ]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.mse_loss(self.net(x), y), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SentenceClassifier(nn.Module):
    """Gives its loss where it is given labels."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask=None, labels=None):
        scores = self.out(self.embed(input_ids).mean(dim=1))
        return (scores,) if labels is None else (F.cross_entropy(scores, labels), scores)


class PassesKeywordsOn(pl.LightningModule):
    """``forward`` takes any keywords; the model inside knows them."""

    def __init__(self):
        super().__init__()
        self.model = SentenceClassifier()

    def forward(self, **inputs):
        return self.model(**inputs)

    def training_step(self, batch, batch_idx):
        loss = self(**batch)[0]
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


LEGITIMATE = {
    "OwnTrainDataloader": {"batch": None},
    "QLearner": {"batch": None},
    "TruncatedBptt": {"batch": "x: float[5,12,3], y: int[5,12]<2"},
    "StatefulAcrossBatches": {"batch": "x: float[5,4], y: float[5,1]"},
    "KeepsLossHistory": {"batch": "x: float[5,7], y: int[5]<2"},
    "BuildsLayersInSetup": {"batch": "image: float[5,1,6,6], label: int[5]<4"},
    "MonitorsInCallbacks": {"batch": "x: float[5,8], y: float[5,1]"},
    "PassesKeywordsOn": {"batch": "{input_ids: int[5,6]<30, labels: int[5]<2}"},
}
