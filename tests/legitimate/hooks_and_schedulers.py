"""Automatic optimization with hooks, optimizers and schedulers that are rarely seen."""

import lightning.pytorch as L
import torch
import torch.nn as nn
import torch.nn.functional as F


class AutomaticLbfgs(L.LightningModule):
    """``training_step`` runs several times a batch."""

    def __init__(self):
        super().__init__()
        self.regression = nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.regression(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=4)


class WarmupThroughSuper(L.LightningModule):
    """Sets the learning rate and hands everything on."""

    def __init__(self, lr: float = 1e-2, warmup_steps: int = 4):
        super().__init__()
        self.lr, self.warmup_steps = lr, warmup_steps
        self.net = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, *args, **kwargs):
        for group in optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, self.trainer.global_step / self.warmup_steps)
        super().optimizer_step(epoch, batch_idx, optimizer, *args, **kwargs)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class PassesClosureOn(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(6, 4)
        self.document = nn.EmbeddingBag(30, 4)

    def training_step(self, batch, batch_idx):
        query, document = batch["query"], batch["document"]
        scores = self.query(query) @ self.document(document).T
        loss = F.cross_entropy(scores, torch.arange(len(query), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer.step(closure=optimizer_closure)
        self.tower_norm = self.query.weight.detach().norm()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class RunsClosureThenSteps(L.LightningModule):
    """Runs the closure itself, looks at the gradient, then steps without one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.fc = nn.Linear(3, 2)

    def training_step(self, batch, batch_idx):
        image, label = batch
        loss = F.cross_entropy(self.fc(self.conv(image).mean(dim=(2, 3))), label)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
        optimizer_closure()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        optimizer.step()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class LogsWhatItSkips(L.LightningModule):
    """The first step is not trained on, and its loss is in the curve all the same."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss if self.global_step > 0 or batch_idx > 0 else None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.3)


class SkipsTheLastTinyBatch(L.LightningModule):
    """Contrastive batches of fewer than four are left out with ``None``, on purpose."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Linear(10, 4)

    def training_step(self, batch, batch_idx):
        left, right = batch
        if len(left) < 4:
            return None
        scores = F.normalize(self.tower(left), dim=-1) @ F.normalize(self.tower(right), dim=-1).T / 0.1
        loss = F.cross_entropy(scores, torch.arange(len(left), device=self.device))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class WarmupFromZeroPerStep(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(25, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.lm_head = nn.Linear(8, 25)

    def training_step(self, batch, batch_idx):
        tokens = batch["input_ids"]
        logits = self.lm_head(self.encoder(self.embed(tokens[:, :-1])))
        loss = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 3))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class ScheduledByEstimatedSteps(L.LightningModule):
    """OneCycleLR over exactly the steps of the run; a tuple of lists."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 6, batch_first=True)
        self.out = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.huber_loss(self.out(self.rnn(x)[0][:, -1]), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        total = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
        return [optimizer], [{"scheduler": cycle, "interval": "step", "frequency": 1}]


class PlateauOnTrainLoss(L.LightningModule):
    """A scheduler, a checkpoint and early stopping that monitor ``train_loss``."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 2)

    def configure_callbacks(self):
        return [L.callbacks.EarlyStopping("train_loss", patience=5, verbose=False)]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "train_loss"}}


class LogsGradientNorms(L.LightningModule):
    """Looks at gradients in the last hook before the step, and changes none."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 6), nn.ELU(), nn.Linear(6, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.binary_cross_entropy_with_logits(self.net(x)[:, 0], y.float())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_before_optimizer_step(self, optimizer, *args):
        norms = {f"grad/{name}": p.grad.norm() for name, p in self.named_parameters() if p.grad is not None}
        self.log_dict(norms)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class FastGradientSign(L.LightningModule):
    """An inner ``backward`` to attack the input; its graph is not the loss's, its gradients are cleared."""

    def __init__(self, epsilon: float = 0.03):
        super().__init__()
        self.epsilon = epsilon
        self.net = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))

    def attack(self, x, y):
        x = x.clone().detach().requires_grad_(True)
        F.cross_entropy(self.net(x), y).backward()
        return (x + self.epsilon * x.grad.sign()).detach()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(self.attack(x, y)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class GradientPenaltyInAutomaticMode(L.LightningModule):
    """``autograd.grad`` with ``create_graph`` is no stray backward pass."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        positions, forces = batch
        positions = positions.requires_grad_(True)
        energy = self.energy(positions).sum()
        (gradient,) = torch.autograd.grad(energy, positions, create_graph=True)
        loss = F.mse_loss(-gradient, forces) + 1e-3 * energy.pow(2)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OwnBackwardHook(L.LightningModule):
    """Overrides ``backward`` and calls it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.multi_margin_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def backward(self, loss, *args, **kwargs):
        loss.backward(inputs=list(self.parameters()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ClusteringWithoutGradients(L.LightningModule):
    """k-means: no optimizer, no parameters, buffers updated in the step."""

    def __init__(self, clusters: int = 3, features: int = 4):
        super().__init__()
        self.register_buffer("centres", torch.randn(clusters, features))

    def training_step(self, batch, batch_idx):
        distance = torch.cdist(batch, self.centres)
        assignment = distance.argmin(dim=-1)
        for cluster in assignment.unique():
            self.centres[cluster] = 0.9 * self.centres[cluster] + 0.1 * batch[assignment == cluster].mean(dim=0)
        self.log("train_loss", distance.min(dim=-1).values.mean(), on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return None


LEGITIMATE = {
    "AutomaticLbfgs": {"batch": "x: float[5,4], y: float[5,1]"},
    "WarmupThroughSuper": {"batch": "x: float[5,8], y: int[5]<3"},
    "PassesClosureOn": {"batch": "{query: float[5,6], document: int[5,9]<30}", "since": (2, 0)},
    "RunsClosureThenSteps": {"batch": "image: float[5,1,6,6], label: int[5]<2", "since": (2, 0)},
    "LogsWhatItSkips": {"batch": "x: float[5,8], y: int[5]<3", "on_ranks": ["training_completes", "every_rank_trains"]},
    "SkipsTheLastTinyBatch": {"batch": "left: float[5,10], right: float[5,10]"},
    "WarmupFromZeroPerStep": {"batch": "{input_ids: int[5,9]<25}"},
    "ScheduledByEstimatedSteps": {"batch": "x: float[5,8,3], y: float[5,1]"},
    "PlateauOnTrainLoss": {"batch": "x: float[5,9], y: int[5]<2", "on_ranks": ["monitored_metrics_are_reduced"]},
    "LogsGradientNorms": {"batch": "x: float[5,7], y: int[5]<2"},
    "FastGradientSign": {"batch": "x: float[5,12], y: int[5]<3"},
    "GradientPenaltyInAutomaticMode": {"batch": "positions: float[5,6], forces: float[5,6]"},
    "OwnBackwardHook": {"batch": "x: float[5,8], y: int[5]<4"},
    "ClusteringWithoutGradients": {"batch": "float[5,4]"},
}
