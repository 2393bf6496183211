"""Manual optimization done right, in shapes that look wrong at a glance."""

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class ManualReturnsNothing(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        loss = F.cross_entropy(self.net(x), y)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ManualReturnsDetachedDict(pl.LightningModule):
    """What a manual step returns is nobody's business: no key ``loss``, nothing with a graph."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Linear(9, 4)
        self.decoder = nn.Linear(4, 9)

    def training_step(self, x, batch_idx):
        optimizer = self.optimizers()
        code = torch.tanh(self.encoder(x))
        loss = F.mse_loss(self.decoder(code), x)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True)
        return {"codes": code.detach()}

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ZeroesAtTheEnd(pl.LightningModule):
    """``zero_grad`` after the step is as good as before the backward pass."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.conv = nn.Conv1d(1, 4, 3)
        self.fc = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        signal, label = batch
        optimizer = self.optimizers()
        loss = F.cross_entropy(self.fc(self.conv(signal).mean(dim=-1)), label)
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class AccumulatesByHand(pl.LightningModule):
    """Steps on every second batch, and on the last one of an epoch."""

    def __init__(self, accumulate: int = 2):
        super().__init__()
        self.automatic_optimization = False
        self.accumulate = accumulate
        self.lstm = nn.LSTM(3, 6, batch_first=True)
        self.tags = nn.Linear(6, 4)

    def training_step(self, batch, batch_idx):
        words, tags = batch
        loss = F.cross_entropy(self.tags(self.lstm(words)[0]).flatten(0, 1), tags.flatten())
        self.manual_backward(loss / self.accumulate)
        if (batch_idx + 1) % self.accumulate == 0 or self.trainer.is_last_batch:
            optimizer = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class StepsAtEpochEnd(pl.LightningModule):
    """Full-batch training: ``training_step`` itself never steps."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.linear = nn.Linear(7, 1)

    def on_train_epoch_start(self):
        self.optimizers().zero_grad()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.linear(x), y)
        self.manual_backward(loss * len(x) / 100)
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        self.optimizers().step()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ToggledGan(pl.LightningModule):
    """A GAN in the form of the documentation."""

    def __init__(self, latent_dim: int = 4):
        super().__init__()
        self.automatic_optimization = False
        self.latent_dim = latent_dim
        self.generator = nn.Sequential(nn.Linear(latent_dim, 8), nn.ReLU(), nn.Linear(8, 6))
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def training_step(self, real):
        opt_g, opt_d = self.optimizers()
        z = torch.randn(real.size(0), self.latent_dim).type_as(real)

        self.toggle_optimizer(opt_g)
        g_loss = F.softplus(-self.discriminator(self.generator(z))).mean()
        self.manual_backward(g_loss)
        opt_g.step()
        opt_g.zero_grad()
        self.untoggle_optimizer(opt_g)

        self.toggle_optimizer(opt_d)
        fake = self.generator(z).detach()
        d_loss = (F.softplus(-self.discriminator(real)) + F.softplus(self.discriminator(fake))).mean() / 2
        self.manual_backward(d_loss)
        opt_d.step()
        opt_d.zero_grad()
        self.untoggle_optimizer(opt_d)
        self.log_dict({"train_loss": g_loss + d_loss, "g_loss": g_loss}, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        return [opt_g, opt_d], []


class CriticEveryBatchGeneratorEverySecond(pl.LightningModule):
    """A Wasserstein GAN: gradient penalty by ``autograd.grad``, leftover gradients zeroed before use."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Linear(3, 6)
        self.critic = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 1, bias=False))

    def gradient_penalty(self, real, fake):
        mix = torch.rand(len(real), 1, device=real.device)
        points = (mix * real + (1 - mix) * fake).requires_grad_(True)
        score = self.critic(points).sum()
        (gradient,) = torch.autograd.grad(score, points, create_graph=True)
        return ((gradient.norm(dim=-1) - 1) ** 2).mean()

    def training_step(self, real, batch_idx):
        opt_g, opt_c = self.optimizers()
        fake = self.generator(torch.randn(len(real), 3, device=self.device))
        c_loss = self.critic(fake.detach()).mean() - self.critic(real).mean()
        c_loss = c_loss + 10 * self.gradient_penalty(real, fake.detach())
        opt_c.zero_grad()
        self.manual_backward(c_loss)
        opt_c.step()
        if batch_idx % 2 == 0:
            opt_g.zero_grad()
            self.manual_backward(-self.critic(fake).mean())
            opt_g.step()
        self.log("train_loss", c_loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return (
            torch.optim.RMSprop(self.generator.parameters(), lr=1e-3),
            torch.optim.RMSprop(self.critic.parameters(), lr=1e-3),
        )


class OneBackwardTwoOptimizers(pl.LightningModule):
    """Sparse and dense weights have their own optimizers and share one backward pass."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.table = nn.Embedding(40, 6, sparse=True)
        self.dense = nn.Linear(6, 2)

    def training_step(self, batch, batch_idx):
        ids, label = batch
        optimizers = self.optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = F.cross_entropy(self.dense(self.table(ids).mean(dim=1)), label)
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [
            torch.optim.SparseAdam(list(self.table.parameters()), lr=1e-2),
            torch.optim.Adam(self.dense.parameters(), lr=1e-3),
        ]


class TwoBackwardsOneStep(pl.LightningModule):
    """Two terms are back-propagated one after the other, to save memory, and stepped on together."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.tower = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4, bias=False))

    def training_step(self, batch, batch_idx):
        anchor, positive, negative = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        pull = (self.tower(anchor) - self.tower(positive)).pow(2).mean()
        self.manual_backward(pull)
        push = F.relu(1 - (self.tower(anchor) - self.tower(negative)).pow(2)).mean()
        self.manual_backward(push)
        optimizer.step()
        self.log("train_loss", (pull + push).detach(), on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SharpnessAware(pl.LightningModule):
    """Two backward passes a batch: climb by hand, then step from the point on the ridge."""

    def __init__(self, rho: float = 0.05):
        super().__init__()
        self.automatic_optimization = False
        self.rho = rho
        self.net = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.cross_entropy(self.net(x), y)
        self.manual_backward(loss)
        with torch.no_grad():
            norm = torch.stack([p.grad.norm() for p in self.net.parameters()]).norm() + 1e-12
            climbs = [self.rho * p.grad / norm for p in self.net.parameters()]
            for p, climb in zip(self.net.parameters(), climbs):
                p.add_(climb)
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self.net(x), y))
        with torch.no_grad():
            for p, climb in zip(self.net.parameters(), climbs):
                p.sub_(climb)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class GradientsSetByHand(pl.LightningModule):
    """Gradients come from ``autograd.grad`` and are projected before the step: no ``backward`` at all."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.trunk = nn.Linear(8, 6)
        self.heads = nn.ModuleList([nn.Linear(6, 1), nn.Linear(6, 1)])

    def training_step(self, batch, batch_idx):
        x, first, second = batch
        optimizer = self.optimizers()
        features = torch.relu(self.trunk(x))
        losses = [F.mse_loss(h(features), t) for h, t in zip(self.heads, (first, second))]
        parameters = list(self.parameters())
        gradients = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
        optimizer.zero_grad()
        for p, a, b in zip(parameters, *gradients):
            a = torch.zeros_like(p) if a is None else a
            b = torch.zeros_like(p) if b is None else b
            dot = (a * b).sum()
            p.grad = a + b if dot >= 0 else a + b - dot / (b * b).sum().clamp(min=1e-9) * b
        optimizer.step()
        self.log("train_loss", losses[0] + losses[1], on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class ManualLbfgs(pl.LightningModule):
    """A closure of its own, called by LBFGS as often as it likes."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.model = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()

        def closure():
            optimizer.zero_grad()
            loss = F.mse_loss(self.model(x), y)
            self.manual_backward(loss)
            return loss

        before = F.mse_loss(self.model(x), y).detach()
        optimizer.step(closure=closure)
        self.log("train_loss", before, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)


class ManualWithSchedulers(pl.LightningModule):
    """Warm-up from 0 by steps, stepped by hand; clips by hand too."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.out = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        loss = F.l1_loss(self.out(self.gru(x)[0][:, -1]), y)
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
        optimizer.step()
        scheduler.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 4))
        return [optimizer], [warmup]


class AccumulatesSixteenBatches(pl.LightningModule):
    """One update every sixteen batches, more than a short trial sees."""

    def __init__(self, every: int = 16):
        super().__init__()
        self.automatic_optimization = False
        self.every = every
        self.net = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.manual_backward(loss / self.every)
        if (batch_idx + 1) % self.every == 0:
            optimizer = self.optimizers()
            optimizer.step()
            optimizer.zero_grad()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class FiveCriticStepsForOneOfTheGenerator(pl.LightningModule):
    """Wasserstein training: the generator has its turn in every fifth batch."""

    def __init__(self, latent: int = 3):
        super().__init__()
        self.automatic_optimization = False
        self.latent = latent
        self.generator = nn.Sequential(nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, 4))
        self.critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1, bias=False))

    def training_step(self, real, batch_idx):
        generator, critic = self.optimizers()
        noise = torch.randn(real.size(0), self.latent, device=self.device)
        if batch_idx % 5 == 4:
            loss = -self.critic(self.generator(noise)).mean()
            optimizer = generator
        else:
            loss = self.critic(self.generator(noise).detach()).mean() - self.critic(real).mean()
            optimizer = critic
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [
            torch.optim.RMSprop(self.generator.parameters(), lr=1e-3),
            torch.optim.RMSprop(self.critic.parameters(), lr=1e-3),
        ]


class TakesTurns(pl.LightningModule):
    """The first batch trains the generator, and only its size is used."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Linear(4, 6)
        self.critic = nn.Linear(6, 1)

    def training_step(self, batch, batch_idx):
        turn = batch_idx % 2
        opt = self.optimizers()[turn]
        made = self.generator(torch.randn(len(batch), 4, device=self.device))
        loss = F.softplus(-self.critic(batch if turn else made)).mean()
        if turn:
            loss = loss + F.softplus(self.critic(made.detach())).mean()
        opt.zero_grad()
        self.manual_backward(loss)
        opt.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [torch.optim.Adam(net.parameters(), lr=1e-3) for net in (self.generator, self.critic)]


LEGITIMATE = {
    "AccumulatesSixteenBatches": {"batch": "x: float[5,6], y: float[5,1]"},
    "FiveCriticStepsForOneOfTheGenerator": {"batch": "float[5,4]"},
    "ManualReturnsNothing": {"batch": "x: float[5,8], y: int[5]<3"},
    "ManualReturnsDetachedDict": {"batch": "float[5,9]"},
    "ZeroesAtTheEnd": {"batch": "signal: float[5,1,12], label: int[5]<2"},
    "AccumulatesByHand": {"batch": "words: float[5,7,3], tags: int[5,7]<4"},
    "StepsAtEpochEnd": {"batch": "x: float[5,7], y: float[5,1]"},
    "ToggledGan": {"batch": "float[5,6]", "since": (2, 0)},
    "CriticEveryBatchGeneratorEverySecond": {"batch": "float[5,6]"},
    "OneBackwardTwoOptimizers": {"batch": "ids: int[5,8]<40, label: int[5]<2"},
    "TwoBackwardsOneStep": {"batch": "anchor: float[5,6], positive: float[5,6], negative: float[5,6]"},
    "SharpnessAware": {"batch": "x: float[5,10], y: int[5]<3"},
    "GradientsSetByHand": {
        "batch": "x: float[5,8], first: float[5,1], second: float[5,1]",
        "on_ranks": ["ranks_stay_equal"],
    },
    "ManualLbfgs": {"batch": "x: float[5,3], y: float[5,1]"},
    "ManualWithSchedulers": {"batch": "x: float[5,7,4], y: float[5,1]"},
    "TakesTurns": {"batch": "float[5,6]"},
}
