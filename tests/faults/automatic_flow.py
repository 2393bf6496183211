"""Family 2: an automatic optimization flow that the author took into his own hands."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam


class ZeroGradAndStepInside(pl.LightningModule):
    """Does nothing, until gradients are accumulated over batches."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        optimizer = self.optimizers()
        optimizer.zero_grad()  # FAULT: ZeroGradAndStepInside
        optimizer.step()  # FAULT: ZeroGradAndStepInside
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-2)


class StrayBackwardWithRetainedGraph(pl.LightningModule):
    """A backward pass of its own, wiped by Lightning's ``zero_grad`` and done again."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 6, batch_first=True)
        self.fc = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        sequence, target = batch
        _, (h, _) = self.rnn(sequence)
        loss = F.mse_loss(self.fc(h[-1]), target)
        loss.backward(retain_graph=True)  # FAULT: StrayBackwardWithRetainedGraph
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class StrayBackwardAndReturn(pl.LightningModule):
    """Lightning's own backward pass finds the graph freed."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(1, 2, 3)
        self.classifier = nn.Linear(2 * 36, 3)

    def training_step(self, batch, batch_idx):
        image, label = batch["image"], batch["label"]
        loss = F.cross_entropy(self.classifier(self.encoder(image).sigmoid().flatten(1)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        loss.backward()  # FAULT: StrayBackwardAndReturn
        return loss

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class StepsAfterTheLoss(pl.LightningModule):
    """Weights change between forward and backward: batch 1 passes, batch 2 does not."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 6))

    def training_step(self, x, batch_idx):
        loss = F.mse_loss(self.layers(x), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.optimizers().step()  # FAULT: StepsAfterTheLoss
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.01)


class StepsBeforeTheForward(pl.LightningModule):
    """The gradient of the batch before is applied a second time."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(40, 6)
        self.output = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        self.optimizers().step()  # FAULT: StepsBeforeTheForward
        tokens, label = batch
        loss = F.cross_entropy(self.output(self.embedding(tokens)), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class StepsAnOptimizerOfItsOwn(pl.LightningModule):
    """Two optimizers over the same weights: Lightning's, and one that it knows nothing of."""

    def __init__(self):
        super().__init__()
        self.model = nn.Linear(12, 4)
        self.optimizer = SGD(self.model.parameters(), lr=0.05)

    def training_step(self, batch, batch_idx):
        features, scores = batch
        self.optimizer.step()  # FAULT: StepsAnOptimizerOfItsOwn
        loss = F.l1_loss(self.model(features), scores)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return Adam(self.model.parameters(), lr=1e-3)


class HandLoopAndReturn(pl.LightningModule):
    """The loop by hand and the returned loss: each batch is trained on twice."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(9, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = F.mse_loss(self.linear(x), y)
        optimizer.zero_grad()
        loss.backward(retain_graph=True)  # FAULT: HandLoopAndReturn
        optimizer.step()  # FAULT: HandLoopAndReturn
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.01)


class ManualBackwardInAutomaticMode(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimisation = False  # FAULT: ManualBackwardInAutomaticMode
        self.net = nn.Sequential(nn.Linear(7, 7), nn.ReLU(), nn.Linear(7, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.mse_loss(self.net(x), y)
        self.manual_backward(loss)  # FAULT: ManualBackwardInAutomaticMode
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class OptimizerStepDropsClosure(pl.LightningModule):
    """A warm-up whose ``optimizer.step()`` lost the closure."""

    def __init__(self, lr: float = 0.01, warmup: int = 4):
        super().__init__()
        self.lr, self.warmup = lr, warmup
        self.query = nn.Linear(8, 8)
        self.key = nn.Linear(8, 8)
        self.value = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(dim=-1)
        loss = F.cross_entropy((weights @ self.value(x)).mean(dim=1), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, *args, **kwargs):
        for group in optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, (self.trainer.global_step + 1) / self.warmup)
        optimizer.step()  # FAULT: OptimizerStepDropsClosure

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=self.lr)


class OptimizerStepForgetsSuper(pl.LightningModule):
    """Overridden to print the learning rate, and nothing else happens any more."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        self.history = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(  # FAULT: OptimizerStepForgetsSuper
        self, epoch, batch_idx, optimizer, *args, **kwargs
    ):
        self.history.append(optimizer.param_groups[0]["lr"])

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class OptimizerStepEverySecondBatch(pl.LightningModule):
    """The first batch runs its closure, the second does not."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3)
        self.fc = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        wave, pitch = batch
        loss = F.huber_loss(self.fc(self.conv(wave).mean(dim=-1)), pitch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, *args, **kwargs):  # FAULT: OptimizerStepEverySecondBatch
        if batch_idx % 2 == 0:  # FAULT: OptimizerStepEverySecondBatch
            super().optimizer_step(epoch, batch_idx, *args, **kwargs)

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class OptimizerStepTwice(pl.LightningModule):
    """Steps again after ``super()`` has stepped, with the gradient already used."""

    def __init__(self):
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))

    def training_step(self, batch, batch_idx):
        observation, action = batch
        loss = -torch.distributions.Categorical(logits=self.actor(observation)).log_prob(action).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, *args, **kwargs):
        super().optimizer_step(epoch, batch_idx, optimizer, *args, **kwargs)
        optimizer.step()  # FAULT: OptimizerStepTwice

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.05)


class ClosureWithoutStep(pl.LightningModule):
    """Runs the closure by hand and takes that for the step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Bilinear(4, 6, 1)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch["user"], batch["item"]), batch["rating"])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer_closure()  # FAULT: ClosureWithoutStep

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class BackwardDoesNothing(pl.LightningModule):
    """The scaled loss is computed in ``backward`` and left lying there."""

    def __init__(self, scale: float = 8.0):
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(nn.Linear(11, 6), nn.LayerNorm(6), nn.Linear(6, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.multi_margin_loss(self.body(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def backward(self, loss, *args, **kwargs):  # FAULT: BackwardDoesNothing
        self.scaled_loss = loss * self.scale  # FAULT: BackwardDoesNothing

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class ZeroesBeforeEachStep(pl.LightningModule):
    """The gradients are cleared in the last hook before the step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 2))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_before_optimizer_step(self, optimizer, *args):
        optimizer.zero_grad()  # FAULT: ZeroesBeforeEachStep

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=1e-3)


class ClipsToZeroNorm(pl.LightningModule):
    """Clips gradients to nothing: the clipping norm is zero."""

    def __init__(self, max_norm: float = 0.0):
        super().__init__()
        self.max_norm = max_norm
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.score = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        steps, y = batch
        loss = F.binary_cross_entropy_with_logits(self.score(self.gru(steps)[0][:, -1])[:, 0], y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_after_backward(self):
        nn.utils.clip_grad_norm_(self.parameters(), self.max_norm)  # FAULT: ClipsToZeroNorm

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class OldOptimizerStepSignature(pl.LightningModule):
    """``optimizer_idx``, ``on_tpu`` and ``using_lbfgs`` are gone since 2.0."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(  # FAULT: OldOptimizerStepSignature
        self, epoch, batch_idx, optimizer, optimizer_idx, optimizer_closure, on_tpu=False, using_lbfgs=False
    ):
        optimizer.step(closure=optimizer_closure)

    def configure_optimizers(self):
        return SGD(self.parameters(), lr=0.1)


class TwoOptimizersAutomatic(pl.LightningModule):
    """Two optimizers need manual optimization since 2.0."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(4, 6)
        self.discriminator = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx, optimizer_idx=0):  # FAULT: TwoOptimizersAutomatic
        fake = self.generator(torch.randn(batch.size(0), 4))
        if optimizer_idx == 0:
            loss = F.softplus(-self.discriminator(fake)).mean()
        else:
            loss = F.softplus(self.discriminator(fake.detach())).mean()
            loss = loss + F.softplus(-self.discriminator(batch)).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):  # FAULT: TwoOptimizersAutomatic
        return [  # FAULT: TwoOptimizersAutomatic
            Adam(self.generator.parameters(), lr=1e-3),
            Adam(self.discriminator.parameters(), lr=1e-3),
        ]


class NeverClearsGradients(pl.LightningModule):
    """``optimizer_zero_grad`` overridden to do nothing, for speed."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_zero_grad(self, *args, **kwargs):  # FAULT: NeverClearsGradients
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "ZeroGradAndStepInside": {
        "fault": "auto-zero_grad-and-step",
        "batch": "x: float[5,16], y: int[5]<3",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "StrayBackwardWithRetainedGraph": {
        "fault": "auto-backward-in-step",
        "batch": "sequence: float[5,7,3], target: float[5,1]",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["backward"],
        "since": None,
        "until": None,
    },
    "StrayBackwardAndReturn": {
        "fault": "auto-backward-in-step",
        "batch": "{image: float[5,1,8,8], label: int[5]<3}",
        "check": "closure_executed",
        "severity": "error",
        "words": ["backward"],
        "since": None,
        "until": None,
    },
    "StepsAfterTheLoss": {
        "fault": "auto-step-after-loss",
        "batch": "float[5,6]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "StepsBeforeTheForward": {
        "fault": "auto-step-before-forward",
        "batch": "tokens: int[5,6]<40, label: int[5]<2",
        "check": "closure_executed",
        "severity": "error",
        "words": ["twice"],
        "since": None,
        "until": None,
    },
    "StepsAnOptimizerOfItsOwn": {
        "fault": "auto-own-optimizer",
        "batch": "features: float[5,12], scores: float[5,4]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "HandLoopAndReturn": {
        "fault": "auto-backward-in-step",
        "batch": "x: float[5,9], y: float[5,1]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["twice"],
        "since": None,
        "until": None,
    },
    "ManualBackwardInAutomaticMode": {
        "fault": "auto-manual_backward",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["automatic_optimization"],
        "since": None,
        "until": None,
    },
    "OptimizerStepDropsClosure": {
        "fault": "optimizer_step-no-closure",
        "batch": "x: float[5,4,8], y: int[5]<3",
        "check": "closure_executed",
        "severity": "error",
        "words": ["closure"],
        "since": None,
        "until": None,
    },
    "OptimizerStepForgetsSuper": {
        "fault": "optimizer_step-no-closure",
        "batch": "x: float[5,4], y: int[5]<2",
        "check": "closure_executed",
        "severity": "error",
        "words": ["closure"],
        "since": None,
        "until": None,
    },
    "OptimizerStepEverySecondBatch": {
        "fault": "optimizer_step-skips-batches",
        "batch": "wave: float[5,1,16], pitch: float[5,1]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["closure"],
        "since": None,
        "until": None,
    },
    "OptimizerStepTwice": {
        "fault": "",
        "batch": "observation: float[5,6], action: int[5]<4",
        "check": "closure_executed",
        "severity": "error",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "ClosureWithoutStep": {
        "fault": "",
        "batch": "{user: float[5,4], item: float[5,6], rating: float[5,1]}",
        "check": "weights_update",
        "severity": "error",
        "words": ["step"],
        "since": (2, 0),
        "until": None,
    },
    "BackwardDoesNothing": {
        "fault": "backward-noop",
        "batch": "x: float[5,11], y: int[5]<3",
        "check": "closure_executed",
        "severity": "error",
        "words": ["backward"],
        "since": None,
        "until": None,
    },
    "ZeroesBeforeEachStep": {
        "fault": "",
        "batch": "x: float[5,10], y: int[5]<2",
        "check": "weights_update",
        "severity": "error",
        "words": ["grad"],
        "since": None,
        "until": None,
    },
    "ClipsToZeroNorm": {
        "fault": "",
        "batch": "steps: float[5,7,3], y: int[5]<2",
        "check": "weights_update",
        "severity": "error",
        "words": ["grad"],
        "since": None,
        "until": None,
    },
    "OldOptimizerStepSignature": {
        "fault": "optimizer-hook-legacy-signature",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["optimizer_idx"],
        "since": (2, 0),
        "until": None,
    },
    "TwoOptimizersAutomatic": {
        "fault": "multiple-optimizers-automatic",
        "batch": "float[5,6]",
        "check": "training_completes",
        "severity": "error",
        "words": ["automatic_optimization"],
        "since": (2, 0),
        "until": None,
    },
    "NeverClearsGradients": {
        "fault": "",
        "batch": "x: float[5,8], y: int[5]<3",
        "check": "closure_executed",
        "severity": "error",
        "words": ["optimizer_zero_grad"],
        "since": None,
        "until": None,
    },
}
