"""Family 1: a loss that is given the wrong operands, and says nothing."""

import lightning.pytorch as L
import torch
import torch.nn as nn
from torch.nn import functional as F


class ColumnAgainstRow(L.LightningModule):
    """A regressor with one output, and a target without that dimension."""

    def __init__(self, width: int = 16, lr: float = 1e-2):
        super().__init__()
        self.save_hyperparameters()
        self.body = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x):
        return self.body(x)

    def training_step(self, batch, batch_idx):
        prediction = self(batch["features"])
        loss = F.smooth_l1_loss(prediction, batch["price"])  # FAULT: ColumnAgainstRow
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class SquaresByHand(L.LightningModule):
    """The same with arithmetic, of which torch does not warn; squeezed on the wrong side."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)
        self.head = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        signal, pitch = batch
        found = self.head(self.conv(signal).mean(-1))
        error = found - pitch.flatten()  # FAULT: SquaresByHand
        loss = error.pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class WeighsByColumn(L.LightningModule):
    """Sample weights of shape (n, 1) meet losses of shape (n,): each sample gets the mean weight."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        each = F.cross_entropy(self.classifier(batch["x"]), batch["y"], reduction="none")
        loss = (each * batch["weight"]).mean()  # FAULT: WeighsByColumn
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class SoftmaxLayerAndCrossEntropy(L.LightningModule):
    """A classifier that ends with a softmax, as in Keras."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.out = nn.Sequential(
            nn.Linear(4, classes),
            nn.Softmax(dim=1),  # FAULT: SoftmaxLayerAndCrossEntropy
        )
        self.loss = nn.CrossEntropyLoss()

    def forward(self, image):
        return self.out(self.features(image))

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = self.loss(self(image), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SigmoidTwice(L.LightningModule):
    """Tags, each a yes or no; the sigmoid is in ``forward`` and in the loss."""

    def __init__(self):
        super().__init__()
        self.embed = nn.EmbeddingBag(40, 8)
        self.tags = nn.Linear(8, 6)

    def forward(self, tokens):
        return torch.sigmoid(self.tags(self.embed(tokens)))  # FAULT: SigmoidTwice

    def training_step(self, batch, batch_idx):
        tokens, tags = batch
        loss = F.binary_cross_entropy_with_logits(self(tokens), tags)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class LikelihoodOfRawScores(L.LightningModule):
    """``NLLLoss`` for a network that gives raw scores."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.head = nn.Linear(8, 4)
        self.criterion = nn.NLLLoss()

    def training_step(self, batch, batch_idx):
        steps, kind = batch
        last = self.rnn(steps)[0][:, -1]
        loss = self.criterion(self.head(last), kind)  # FAULT: LikelihoodOfRawScores
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class NormalisesTheBatch(L.LightningModule):
    """The logarithm of a softmax over the samples in place of the classes."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        log_probabilities = F.log_softmax(self.net(x), dim=0)  # FAULT: NormalisesTheBatch
        loss = F.nll_loss(log_probabilities, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class DistilsProbabilities(L.LightningModule):
    """The student's probabilities, where ``kl_div`` takes their logarithm."""

    def __init__(self):
        super().__init__()
        self.student = nn.Linear(9, 4)

    def training_step(self, batch, batch_idx):
        x, teacher = batch["x"], batch["teacher"].softmax(-1)
        probabilities = self.student(x).softmax(-1)  # FAULT: DistilsProbabilities
        loss = F.kl_div(probabilities, teacher, reduction="batchmean")
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class PenaltyWithoutGraph(L.LightningModule):
    """A weight penalty that is computed, added, and trains nothing."""

    def __init__(self, strength: float = 0.1):
        super().__init__()
        self.strength = strength
        self.net = nn.Sequential(nn.Linear(5, 12), nn.SELU(), nn.Linear(12, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        fit = F.mse_loss(self.net(x), y)
        with torch.no_grad():
            penalty = torch.stack([w.norm() for w in self.net.parameters()]).sum()  # FAULT: PenaltyWithoutGraph
        loss = fit + self.strength * penalty
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


EXPECTED = {
    "ColumnAgainstRow": {
        "fault": "loss-broadcast",
        "batch": "{features: float[5,6], price: float[5]}",
        "check": "loss_shapes_match",
        "severity": "error",
        "words": ["smooth_l1_loss", "squeeze"],
        "since": None,
        "until": None,
    },
    "SquaresByHand": {
        "fault": "loss-broadcast",
        "batch": "signal: float[5,2,9], pitch: float[5,1]",
        "check": "loss_shapes_match",
        "severity": "error",
        "words": ["(5, 1)", "(5,)"],
        "since": None,
        "until": None,
    },
    "WeighsByColumn": {
        "fault": "loss-broadcast",
        "batch": "{x: float[5,8], y: int[5]<3, weight: float[5,1]}",
        "check": "loss_shapes_match",
        "severity": "error",
        "words": ["mul"],
        "since": None,
        "until": None,
    },
    "SoftmaxLayerAndCrossEntropy": {
        "fault": "double-softmax",
        "batch": "image: float[5,1,8,8], label: int[5]<5",
        "check": "loss_takes_raw_scores",
        "severity": "error",
        "words": ["cross_entropy", "softmax"],
        "since": None,
        "until": None,
    },
    "SigmoidTwice": {
        "fault": "double-softmax",
        "batch": "tokens: int[5,6]<40, tags: float[5,6] in 0..1",
        "check": "loss_takes_raw_scores",
        "severity": "error",
        "words": ["sigmoid"],
        "since": None,
        "until": None,
    },
    "LikelihoodOfRawScores": {
        "fault": "double-softmax",
        "batch": "steps: float[5,7,3], kind: int[5]<4",
        "check": "loss_takes_raw_scores",
        "severity": "error",
        "words": ["raw scores", "log_softmax"],
        "since": None,
        "until": None,
    },
    "NormalisesTheBatch": {
        "fault": "cross-sample-leak",
        "batch": "x: float[5,7], y: int[5]<3",
        "check": "loss_takes_raw_scores",
        "severity": "error",
        "words": ["dimension 0"],
        "since": None,
        "until": None,
    },
    "DistilsProbabilities": {
        "fault": "double-softmax",
        "batch": "{x: float[5,9], teacher: float[5,4]}",
        "check": "loss_takes_raw_scores",
        "severity": "error",
        "words": ["kl_div"],
        "since": None,
        "until": None,
    },
    "PenaltyWithoutGraph": {
        "fault": "graph-cut-part",
        "batch": "x: float[5,5], y: float[5,1]",
        "check": "every_part_of_the_loss_has_a_graph",
        "severity": "warning",
        "words": ["no_grad"],
        "since": None,
        "until": None,
    },
}
