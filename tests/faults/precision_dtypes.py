"""Family 5: tensors whose dtype is written in the code, and that meet others in another precision."""

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

PIXEL_MEAN = torch.tensor([0.4, 0.5, 0.6]).reshape(3, 1, 1)


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class AggregatesIntoFloat32(Base):
    """Messages are computed under autocast, and what they are summed into is float32."""

    def __init__(self):
        super().__init__()
        self.message, self.out = nn.Linear(4, 8), nn.Linear(8, 1)

    def loss(self, batch):
        nodes, source, target = batch["nodes"], batch["source"], batch["target"]
        messages = self.message(nodes[source])
        summed = torch.zeros(len(nodes), 8, device=nodes.device)  # FAULT: AggregatesIntoFloat32
        summed.index_add_(0, target, messages)
        return self.out(summed).square().mean()


class FillsByMask(Base):
    """Only some tokens are encoded; the rest stays zero."""

    def __init__(self):
        super().__init__()
        self.embed, self.encode, self.out = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 20)

    def loss(self, batch):
        tokens = batch["tokens"]
        x = self.embed(tokens)
        keep = tokens % 2 == 0
        encoded = torch.zeros_like(x)  # FAULT: FillsByMask
        encoded[keep] = self.encode(x[keep])
        return F.cross_entropy(self.out(encoded).flatten(0, 1), tokens.flatten())


class BankOfFeatures(Base):
    """A memory of features by sample, as in instance discrimination: the buffer is float32."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)
        self.register_buffer("bank", torch.randn(32, 4))

    def loss(self, batch):
        x, index = batch["x"], batch["index"]
        h = F.normalize(self.net(x), dim=-1)
        loss = F.cross_entropy(h @ self.bank.T.clone() / 0.1, index)
        self.bank[index] = self.net(x).detach()  # FAULT: BankOfFeatures
        return loss


class BasisAttribute(Base):
    """A projection that is not learned, kept as a plain attribute."""

    def __init__(self, features=6):
        super().__init__()
        self.basis = torch.linalg.qr(torch.randn(features, features))[0]
        self.net = nn.Linear(features, features)

    def loss(self, x):
        return F.mse_loss(self.net(x) @ self.basis, x)  # FAULT: BasisAttribute


class CastsTheInput(Base):
    """The habit of `.float()` on whatever comes in."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 3))

    def forward(self, x):
        x = x.float()  # FAULT: CastsTheInput
        return self.net(x)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)


class SinusoidsInFloat32(Base):
    """Positions are encoded in float32, whatever the tokens are embedded in."""

    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.encode = nn.TransformerEncoderLayer(width, 2, 16, dropout=0.0, batch_first=True)
        self.out = nn.Linear(width, 20)

    def positions(self, length, width, device):
        at = torch.arange(length, device=device, dtype=torch.float32)  # FAULT: SinusoidsInFloat32
        rates = 10_000 ** (-torch.arange(0, width, 2, device=device) / width)
        angles = at[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def loss(self, tokens):
        x = self.embed(tokens)
        x = x + self.positions(x.shape[1], x.shape[2], x.device)
        return F.cross_entropy(self.out(self.encode(x)).flatten(0, 1), tokens.flatten())


class FirstStateInFloat32(Base):
    def __init__(self, hidden=6):
        super().__init__()
        self.hidden = hidden
        self.rnn, self.out = nn.GRU(4, hidden, batch_first=True), nn.Linear(hidden, 1)

    def loss(self, batch):
        x, y = batch["x"], batch["y"]
        h0 = torch.zeros(1, x.size(0), self.hidden, dtype=torch.float, device=x.device)  # FAULT: FirstStateInFloat32
        _, h = self.rnn(x, h0)
        return F.mse_loss(self.out(h[0]).squeeze(-1), y)


class OutOfAutocast(Base):
    """The part that is to be exact runs without autocast, on what autocast made."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(6, 8), nn.Linear(8, 1)

    def loss(self, batch):
        x, y = batch
        h = torch.relu(self.backbone(x))
        with torch.autocast(device_type=x.device.type, enabled=False):
            rate = self.head(h).exp().squeeze(-1)  # FAULT: OutOfAutocast
        return (rate - y * rate.log()).mean()


class BranchesInAList(Base):
    """Lightning converts what is registered."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.branches = [nn.Linear(8, 1), nn.Linear(8, 1)]

    def loss(self, batch):
        x, y = batch
        h = self.stem(x)
        return sum(F.mse_loss(branch(h), y) for branch in self.branches)  # FAULT: BranchesInAList

    def configure_optimizers(self):
        learned = [*self.parameters(), *(p for branch in self.branches for p in branch.parameters())]
        return torch.optim.Adam(learned, lr=1e-3)


class PixelsMinusAGlobal(Base):
    """The mean is subtracted in float32; the convolution is in half precision."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))

    def loss(self, batch):
        image, label = batch
        return F.cross_entropy(self.net(image - PIXEL_MEAN), label)  # FAULT: PixelsMinusAGlobal


class HalfByHand(Base):
    """Written for one GPU: a frozen half, in float16."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)
        self.register_buffer("mixing", torch.eye(6))

    def loss(self, x):
        noise = torch.randn_like(x).half()  # FAULT: HalfByHand
        return F.mse_loss(self.net(x), noise @ self.mixing)


class TargetsAsFloatTensor(Base):
    """The legacy constructor makes float32, in every precision."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def loss(self, batch):
        x, label = batch["x"], batch["label"]
        h = self.net(x)
        counts = torch.FloatTensor(4, 4).zero_()
        centres = counts.index_add(0, label, h)  # FAULT: TargetsAsFloatTensor
        return F.mse_loss(h, centres[label])


class RampOfFloat64(Base):
    """NumPy makes float64, and the loss is computed in it from there on."""

    def __init__(self, horizon=6):
        super().__init__()
        self.net = nn.Linear(8, horizon)
        self.register_buffer("weights", torch.from_numpy(np.linspace(1.0, 0.1, horizon)))

    def loss(self, batch):
        x, y = batch
        error = (self.net(x) - y) ** 2
        return (error * self.weights).mean()  # FAULT: RampOfFloat64


class DiscountsOfFloat64(Base):
    def __init__(self):
        super().__init__()
        self.value = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(self, batch):
        states, rewards = batch["states"], batch["rewards"]
        steps = np.arange(rewards.shape[1])
        discounts = torch.as_tensor(0.99**steps, device=rewards.device)  # FAULT: DiscountsOfFloat64
        values = self.value(states).squeeze(-1)
        return (values * discounts - rewards).square().mean()


class MadeAgainInBackward(Base):
    """In the backward pass, where the block is run again, the default dtype is float32."""

    def __init__(self):
        super().__init__()
        self.block, self.out = nn.Linear(6, 6), nn.Linear(6, 6)

    def scaled(self, x):
        return torch.tanh(self.block(x)) * torch.full((6,), 0.5, device=x.device)

    def loss(self, x):
        h = checkpoint(self.scaled, x, use_reentrant=False)  # FAULT: MadeAgainInBackward
        return F.mse_loss(self.out(h), x)


class PackedAsRead(Base):
    """Sequences are packed in float32."""

    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(4, 6, batch_first=True), nn.Linear(6, 1)

    def loss(self, batch):
        x, lengths = batch["x"].to(torch.float32), batch["lengths"]
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, h = self.rnn(packed)  # FAULT: PackedAsRead
        return self.out(h[0]).square().mean()


EXPECTED = {
    "AggregatesIntoFloat32": {
        "fault": "float32-hard-coded",
        "environment": "bf16-mixed",
        "batch": "{nodes: float[9,4], source: int[12]<9, target: int[12]<9}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["index_add", "made as float32", "dtype="],
    },
    "FillsByMask": {
        "fault": "float32-hard-coded",
        "environment": "bf16-mixed",
        "batch": "{tokens: int[5,7]<20}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["float32 beside bfloat16", "dtype="],
    },
    "BankOfFeatures": {
        "fault": "float32-hard-coded",
        "environment": "bf16-mixed",
        "batch": "{x: float[5,6], index: int[5]<32}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["self.bank", ".to(self.bank.dtype)"],
    },
    "BasisAttribute": {
        "fault": "float32-hard-coded",
        "environment": "64-true",
        "batch": "float[5,6]",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["self.basis", "plain attribute", 'register_buffer("basis"'],
    },
    "CastsTheInput": {
        "fault": "float32-hard-coded",
        "environment": "bf16-true",
        "since": [2, 1],
        "batch": "float[5,8], int[5]<3",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["cast to float32", "self.dtype"],
    },
    "SinusoidsInFloat32": {
        "fault": "float32-hard-coded",
        "environment": "bf16-true",
        "since": [2, 1],
        "batch": "int[5,7]<20",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["made as float32", "as is written there"],
    },
    "FirstStateInFloat32": {
        "fault": "float32-hard-coded",
        "environment": "64-true",
        "batch": "{x: float[5,7,4], y: float[5]}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["gru", "float32 beside float64"],
    },
    "OutOfAutocast": {
        "fault": "float32-hard-coded",
        "environment": "bf16-mixed",
        "batch": "float[5,6], float[5]",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["autocast", ".float()"],
    },
    "BranchesInAList": {
        "fault": "modules-in-list",
        "environment": "64-true",
        "batch": "float[5,6], float[5,1]",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["self.branches[0]", "ModuleList"],
    },
    "PixelsMinusAGlobal": {
        "fault": "float32-hard-coded",
        "environment": "16-true",
        "since": [2, 1],
        "batch": "float[5,3,8,8], int[5]<3",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["PIXEL_MEAN"],
    },
    "HalfByHand": {
        "fault": "float32-hard-coded",
        "environment": "bf16-true",
        "since": [2, 1],
        "batch": "float[5,6]",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["cast to float16"],
    },
    "TargetsAsFloatTensor": {
        "fault": "float32-hard-coded",
        "environment": "bf16-mixed",
        "batch": "{x: float[5,6], label: int[5]<4}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["index_add", "float32"],
    },
    "MadeAgainInBackward": {
        "fault": "float32-hard-coded",
        "environment": "64-true",
        "batch": "float[5,6]",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["run again", "dtype="],
    },
    "PackedAsRead": {
        "fault": "float32-hard-coded",
        "environment": "64-true",
        "batch": "{x: float[5,7,4], lengths: int[5] in 1..7}",
        "check": "dtypes_fit_together",
        "severity": "error",
        "words": ["float32", "self.dtype"],
    },
    "RampOfFloat64": {
        "fault": "float64-data",
        "environment": "bf16-mixed",
        "batch": "float[5,8], float[5,6]",
        "check": "dtypes_fit_together",
        "severity": "warning",
        "words": ["self.weights", "float64 from there on"],
    },
    "DiscountsOfFloat64": {
        "fault": "float64-data",
        "environment": "bf16-mixed",
        "batch": "{states: float[5,7,4], rewards: float[5,7]}",
        "check": "dtypes_fit_together",
        "severity": "warning",
        "words": ["float64 from there on"],
    },
}
