"""Modules in the styles of many authors, each with what its batch looks like.

``EXPECTED`` maps each class to dtype and rank of every tensor of its batch, in order; None is anything.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

try:
    from lightning.pytorch import LightningModule
except ImportError:
    from pytorch_lightning import LightningModule

EXPECTED: dict[type, tuple[Any, ...]] = {}


def batch_of(*leaves: Any):
    """Say what a class's batch looks like: one of ``float2`` (dtype and rank), or None, a leaf."""

    def note(cls):
        EXPECTED[cls] = leaves
        return cls

    return note


class Adam(LightningModule):
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@batch_of("float2", "int1")
class LinearClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(10, 3)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss


@batch_of("float4", "int1")
class FlattenedMnist(Adam):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(28 * 28, 64)
        self.l2 = nn.Linear(64, 10)

    def forward(self, x):
        return self.l2(torch.relu(self.l1(x.view(x.size(0), -1))))

    def training_step(self, batch, batch_nb):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        return {"loss": loss, "log": {"train_loss": loss}}


@batch_of("float4", "int1")
class LenetWithViewMinusOne(Adam):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 84)
        self.fc2 = nn.Linear(84, 10)

    def training_step(self, batch, batch_idx):
        inputs, labels = batch
        x = self.pool(F.relu(self.conv1(inputs)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        return F.cross_entropy(self.fc2(F.relu(self.fc1(x))), labels)


@batch_of("float4", "int1")
class MnistConvolution(Adam):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(8 * 14 * 14, 10),
        )  # fmt: skip
        self.loss_fn = nn.NLLLoss()

    def training_step(self, batch, batch_idx):
        imgs, targets = batch
        out = F.log_softmax(self.model(imgs), dim=1)
        acc = (out.argmax(dim=1) == targets).float().mean()
        self.log("acc", acc, prog_bar=True)
        return self.loss_fn(out, targets)


@batch_of("float4", "int1")
class DictOfImages(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6))
        self.criterion = nn.CrossEntropyLoss()

    def _step(self, batch, stage):
        logits = self.net(batch["image"])
        loss = self.criterion(logits, batch["label"])
        self.log(f"{stage}_loss", loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val")


@batch_of("float2", "float2")
class IndexedRegression(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        return F.mse_loss(self.net(batch[0]), batch[1])


@batch_of("float2", "float1")
class SqueezedRegression(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self.net(x).squeeze(-1)
        loss = ((y_hat - y) ** 2).mean()
        self.log("train_loss", loss, on_epoch=True)
        return loss


@batch_of("float2", None)
class AutoencoderIgnoresLabel(Adam):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 64))

    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self.decoder(self.encoder(x)), x)


@batch_of("float4", None)
class VaeOnImages(Adam):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(784, 32)
        self.mu, self.logvar = nn.Linear(32, 4), nn.Linear(32, 4)
        self.dec = nn.Sequential(nn.Linear(4, 784), nn.Sigmoid())

    def training_step(self, batch, batch_idx):
        x, y = batch
        flat = x.flatten(1)
        h = torch.relu(self.enc(flat))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        recon = F.binary_cross_entropy(self.dec(z), flat, reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        self.log_dict({"recon": recon, "kld": kld})
        return recon + kld


@batch_of("int2", "int1")
class LstmOverTokens(Adam):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.head = nn.Linear(12, 4)

    def training_step(self, batch, batch_idx):
        tokens, label = batch
        _, (h, _) = self.lstm(self.embedding(tokens))
        return F.cross_entropy(self.head(h[-1]), label)


@batch_of("int2", "int2")
class LanguageModel(Adam):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(33, 16)
        self.rnn = nn.GRU(16, 16, batch_first=True)
        self.out = nn.Linear(16, 33)

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.out(self.rnn(self.emb(x))[0])
        return F.cross_entropy(logits.view(-1, 33), y.view(-1))


@batch_of("int2", "int1")
class TransformerClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(40, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.fc = nn.Linear(16, 2)

    def training_step(self, batch, batch_idx):
        ids, labels = batch["input_ids"], batch["labels"]
        pooled = self.encoder(self.emb(ids)).mean(dim=1)
        return F.cross_entropy(self.fc(pooled), labels)


@batch_of("float3", "float2")
class SeriesForecaster(Adam):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(input_size=3, hidden_size=8, num_layers=2, batch_first=True)
        self.linear = nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.linear(out[:, -1, :])

    def training_step(self, batch, batch_idx):
        seq, target = batch
        return nn.functional.l1_loss(self(seq), target)


@batch_of("float3", "float2")
class TimeFirstRecurrence(Adam):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 8)
        self.fc = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        out, _ = self.rnn(x)
        return F.mse_loss(self.fc(out[-1]), y)


@batch_of("float3", "int1")
class WaveformClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 9, stride=2)
        self.fc = nn.Linear(4 * 46, 5)

    def training_step(self, batch, batch_idx):
        wave, cls = batch
        h = F.relu(self.conv(wave))
        return F.cross_entropy(self.fc(h.flatten(1)), cls)


@batch_of("float5", "int1")
class VolumeClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3, stride=2)
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(2, 2)

    def training_step(self, batch, batch_idx):
        vol, y = batch
        return F.cross_entropy(self.fc(self.pool(self.conv(vol)).flatten(1)), y)


@batch_of("float4", "int3")
class Segmentation(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))

    def training_step(self, batch, batch_idx):
        img, mask = batch
        out = self.net(img)
        return F.cross_entropy(out, mask.long())


@batch_of("float4", "float4")
class BinaryMask(Adam):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 1, 2, 2)
        self.loss = nn.BCEWithLogitsLoss()

    def training_step(self, batch, batch_idx):
        return self.loss(self.up(F.relu(self.down(batch["image"]))), batch["mask"])


@batch_of("float2", "float1")
class BinaryTabular(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(7), nn.Linear(7, 1), nn.Sigmoid())

    def training_step(self, batch, batch_idx):
        features, target = batch
        prob = self.net(features)[:, 0]
        return F.binary_cross_entropy(prob, target.float())


@batch_of("float4", None)
class ManualGan(LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.g = nn.Sequential(nn.Linear(6, 49), nn.Tanh())
        self.d = nn.Sequential(nn.Linear(49, 8), nn.LeakyReLU(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        imgs, _ = batch
        opt_g, opt_d = self.optimizers()
        z = torch.randn(imgs.shape[0], 6).type_as(imgs)
        real = torch.ones(imgs.size(0), 1).type_as(imgs)
        real.requires_grad_(False)
        g_loss = F.binary_cross_entropy_with_logits(self.d(self.g(z)), real)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        flat = imgs.view(imgs.size(0), -1)
        d_loss = F.binary_cross_entropy_with_logits(self.d(flat), real)
        d_loss = d_loss + F.binary_cross_entropy_with_logits(self.d(self.g(z).detach()), 1 - real)
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        self.log_dict({"g_loss": g_loss, "d_loss": d_loss}, prog_bar=True)

    def configure_optimizers(self):
        return [torch.optim.Adam(self.g.parameters()), torch.optim.Adam(self.d.parameters())], []


@batch_of("int1", "int1", "float1")
class MatrixFactorization(Adam):
    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(30, 4), nn.Embedding(20, 4)

    def training_step(self, batch, batch_idx):
        user, item, rating = batch
        pred = (self.users(user) * self.items(item)).sum(dim=1)
        return F.mse_loss(pred, rating)


@batch_of("float2", "float2", "float2")
class Triplets(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 4)
        self.loss = nn.TripletMarginLoss()

    def training_step(self, batch, batch_idx):
        anchor, pos, neg = batch
        return self.loss(self.net(anchor), self.net(pos), self.net(neg))


@batch_of("float4", "float4", None)
class SimclrPairs(Adam):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def training_step(self, batch, batch_idx):
        (x1, x2), _ = batch
        z = F.normalize(torch.cat([self.backbone(x1), self.backbone(x2)]), dim=1)
        sim = z @ z.t() / 0.5
        sim = sim - 1e4 * torch.eye(len(z))
        n = len(x1)
        target = torch.cat([torch.arange(n) + n, torch.arange(n)])
        return F.cross_entropy(sim, target)


@batch_of("float2")
class BareTensor(Adam):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(32, 2)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).sum()
        self.log("train_loss", loss)
        return {"loss": loss}


@batch_of("float2", "float2", "int1")
class TwoInputs(Adam):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 5), nn.Linear(4, 5)
        self.head = nn.Linear(10, 3)

    def forward(self, left, right):
        return self.head(torch.cat((self.a(left), self.b(right)), dim=-1))

    def training_step(self, batch, batch_idx):
        left, right, y = batch
        return F.cross_entropy(self(left, right), y)


@batch_of("float3", "int1")
class AttentionPooling(Adam):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(12, 3, batch_first=True)
        self.norm = nn.LayerNorm(12)
        self.fc = nn.Linear(12, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h, _ = self.attn(x, x, x)
        return F.cross_entropy(self.fc(self.norm(h + x).mean(1)), y)


@batch_of("float2", "int2")
class OneHotTarget(Adam):
    """Labels come as a column."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.fc(x), y.squeeze(1))


@batch_of("int2")
class ShiftedTokens(Adam):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(21, 8)
        self.out = nn.Linear(8, 21)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch[:, :-1], batch[:, 1:]
        logits = self.out(self.emb(inputs))
        return F.cross_entropy(logits.transpose(1, 2), targets)


@batch_of("float2", "float2")
class OwnFormulaWithScaling(Adam):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def training_step(self, train_batch, batch_idx):
        x, y = train_batch
        x = (x.float() - self.mean) / self.std
        out = self.fc(x)
        loss = torch.mean(torch.abs(out - y) * 2.0) + 1e-3 * out.pow(2).mean()
        self.log("loss", loss, on_step=True, on_epoch=True, logger=True)
        return loss


@batch_of("float4", "int1")
class ChannelsLast(Adam):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = x.permute(0, 3, 1, 2).float() / 255.0
        b, c, h, w = x.shape
        return F.cross_entropy(self.fc(self.conv(x).mean(dim=(2, 3))), y)


@batch_of("float3", "int1")
class UnsqueezedSpectrum(Adam):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2)
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.fc = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        spec, y = batch
        h = self.conv(spec.unsqueeze(1)).mean(2).transpose(1, 2)
        return F.cross_entropy(self.fc(self.gru(h)[0][:, -1]), y)


# Written after the mechanism was finished.
LATER: list[type] = []


def later(*leaves: Any):
    def note(cls):
        LATER.append(cls)
        return batch_of(*leaves)(cls)

    return note


@later("int2", "int2", "int1")
class KeywordBatch(Adam):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(60, 8, padding_idx=0)
        self.fc = nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask, labels=None):
        h = self.emb(input_ids) * attention_mask.unsqueeze(-1)
        logits = self.fc(h.sum(1) / attention_mask.sum(1, keepdim=True).clamp(min=1))
        return F.cross_entropy(logits, labels), logits

    def training_step(self, batch, batch_idx):
        loss, _ = self(**batch)
        return loss


@later("float4", "int1")
class ResidualBlocks(Adam):
    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.c1 = nn.Conv2d(c, c, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(c)

        def forward(self, x):
            return F.relu(self.bn(self.c1(x)) + x)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 7, 2, 3)
        self.blocks = nn.Sequential(*[self.Block(8) for _ in range(3)])
        self.pool = nn.AvgPool2d(8)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def training_step(self, batch, batch_idx):
        x, y = batch
        h = self.pool(self.blocks(self.stem(x)))
        loss = F.cross_entropy(self.head(h.reshape(h.shape[0], -1)), y, label_smoothing=0.1)
        self.log("train/loss", loss)
        return loss


@later("float2", "float2", "float2", "float1", "float2")
class QLearning(Adam):
    """Transitions from a replay buffer."""

    def __init__(self):
        super().__init__()
        self.q = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        states, actions, rewards, dones, next_states = batch
        values = self.q(states).gather(1, actions.long().unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            following = self.q(next_states).max(1)[0]
            following[dones.bool()] = 0.0
        return F.mse_loss(values, rewards + 0.99 * following)


EXPECTED[QLearning] = ("float2", None, "float1", None, "float2")


@later("float2", "float2")
class MultiLabel(Adam):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(11, 6)
        self.crit = nn.BCEWithLogitsLoss(pos_weight=torch.ones(6))

    def step(self, batch):
        feats = batch["features"]
        return self.crit(self.fc(feats), batch["targets"].float())

    def training_step(self, batch, batch_idx):
        return self.step(batch)


@later("float4", "float4")
class SuperResolution(Adam):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def training_step(self, batch, batch_idx):
        lr, hr = batch
        return F.l1_loss(self.shuffle(self.conv(lr)), hr)


@later("float3", "float3")
class Sequence2Sequence(Adam):
    def __init__(self):
        super().__init__()
        self.enc = nn.GRU(2, 8, batch_first=True)
        self.dec = nn.GRU(2, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        src, tgt = batch
        _, state = self.enc(src)
        out, _ = self.dec(tgt[:, :-1], state)
        return F.smooth_l1_loss(self.out(out), tgt[:, 1:])


@later("int2", "int2")
class Translation(Adam):
    def __init__(self):
        super().__init__()
        self.src, self.tgt = nn.Embedding(31, 8), nn.Embedding(37, 8)
        self.net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        self.gen = nn.Linear(8, 37)

    def training_step(self, batch, batch_idx):
        src, tgt = batch
        size = tgt.size(1) - 1
        mask = nn.Transformer.generate_square_subsequent_mask(size)
        out = self.net(self.src(src), self.tgt(tgt[:, :-1]), tgt_mask=mask)
        logits = self.gen(out)
        return F.cross_entropy(logits.reshape(-1, 37), tgt[:, 1:].reshape(-1), ignore_index=0)


@later("float4", None)
class DiffusionStep(Adam):
    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(100, 8)
        self.inp, self.out = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)
        self.register_buffer("alphas", torch.linspace(0.99, 0.1, 100))

    def training_step(self, batch, batch_idx):
        x0, _ = batch
        t = torch.randint(0, 100, (x0.shape[0],), device=self.device)
        noise = torch.randn_like(x0)
        a = self.alphas[t][:, None, None, None]
        xt = a.sqrt() * x0 + (1 - a).sqrt() * noise
        h = F.silu(self.inp(xt)) + self.time(t)[:, :, None, None]
        return F.mse_loss(self.out(h), noise)


@later("float4", "int1")
class VitLike(Adam):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.pos = nn.Parameter(torch.zeros(1, 65, 16))
        self.cls = nn.Parameter(torch.zeros(1, 1, 16))
        self.enc = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 10)

    def training_step(self, batch, batch_idx):
        img, label = batch
        tokens = self.patch(img).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(img.shape[0], -1, -1), tokens], dim=1) + self.pos
        return F.cross_entropy(self.head(self.enc(tokens)[:, 0]), label)


@later("float2", "float2")
class LbfgsRegression(LightningModule):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 1)

    def training_step(self, batch, _):
        x, y = batch
        loss = (self.lin(x) - y).pow(2).mean()
        self.log("mse", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.lin.parameters(), lr=0.1)


@later("float2", "int1")
class SwallowsEverything(Adam):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        try:
            x, y = batch
            return F.cross_entropy(self.lin(x), y)
        except:  # noqa: E722
            return None


@later("float2", "int1")
class LossIsNotReturned(Adam):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.log("train_loss", F.cross_entropy(self.lin(x), y))


@later("float2", "float2")
class DetachedLoss(Adam):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.lin(x), y).detach()


@later("float3", "int1")
class PointNet(Adam):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU())
        self.fc = nn.Linear(16, 4)

    def training_step(self, batch, batch_idx):
        points, category = batch
        feats = self.mlp(points.transpose(2, 1))
        return F.cross_entropy(self.fc(torch.max(feats, 2)[0]), category)


@later("float2", "int2", "float1")
class TabularWithCategories(Adam):
    def __init__(self):
        super().__init__()
        self.embs = nn.ModuleList([nn.Embedding(n, 3) for n in (4, 7)])
        self.net = nn.Linear(6 + 5, 1)

    def training_step(self, batch, batch_idx):
        cont, cat, y = batch["continuous"], batch["categorical"], batch["target"]
        embedded = [e(cat[:, i]) for i, e in enumerate(self.embs)]
        out = self.net(torch.cat([*embedded, cont], 1))
        return F.mse_loss(out.view(-1), y)


@later("float4", "int1")
class AccuracyByHand(Adam):
    def __init__(self):
        super().__init__()
        self.seen, self.right, self.losses = 0, 0, []
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 7))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        scores = self.net(images)
        _, predicted = torch.max(scores.data, 1)
        self.right += (predicted == labels).sum().item()
        self.seen += labels.size(0)
        loss = F.cross_entropy(scores, labels)
        self.losses.append(loss.detach())
        self.log("acc", self.right / self.seen)
        return loss
