"""Family 2: manual optimization with a piece missing or in the wrong place."""

import lightning as L
import torch
import torch.nn as nn
import torch.nn.functional as F


class ManualDoesNothing(L.LightningModule):
    """Manual mode switched on, automatic mode's ``training_step`` kept."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))

    def training_step(self, batch, batch_idx):  # FAULT: ManualDoesNothing
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ManualNeverSteps(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Linear(8, 3)
        self.decoder = nn.Linear(3, 8)

    def training_step(self, x, batch_idx):  # FAULT: ManualNeverSteps
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.mse_loss(self.decoder(torch.tanh(self.encoder(x))), x)
        self.manual_backward(loss)  # FAULT: ManualNeverSteps
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ManualNeverBackward(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.embed = nn.Embedding(25, 6)
        self.gru = nn.GRU(6, 6, batch_first=True)
        self.vocabulary = nn.Linear(6, 25)

    def training_step(self, batch, batch_idx):  # FAULT: ManualNeverBackward
        tokens = batch["tokens"]
        optimizer = self.optimizers()
        logits = self.vocabulary(self.gru(self.embed(tokens[:, :-1]))[0])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        optimizer.step()  # FAULT: ManualNeverBackward
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class ManualZeroesAfterBackward(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.features = nn.Conv2d(2, 3, 3)
        self.out = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        image, quality = batch
        optimizer = self.optimizers()
        loss = F.mse_loss(self.out(self.features(image).mean(dim=(2, 3))), quality)
        self.manual_backward(loss)
        optimizer.zero_grad()  # FAULT: ManualZeroesAfterBackward
        optimizer.step()  # FAULT: ManualZeroesAfterBackward
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=1e-3)


class ManualNeverZeroes(L.LightningModule):
    """Each step uses the sum of the gradients of all batches so far."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.policy = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))

    def training_step(self, batch, batch_idx):
        state, action = batch
        loss = F.cross_entropy(self.policy(state), action)
        self.manual_backward(loss)  # FAULT: ManualNeverZeroes
        self.optimizers().step()  # FAULT: ManualNeverZeroes
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return {"loss": loss}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class ManualRawBackward(L.LightningModule):
    """``loss.backward()`` knows nothing of precision plugins and strategies."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.linear = nn.Linear(10, 4)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.nll_loss(F.log_softmax(self.linear(x), dim=-1), y)
        loss.backward()  # FAULT: ManualRawBackward
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class ManualRawOptimizer(L.LightningModule):
    """Steps the optimizer that it keeps itself: ``global_step`` stays 0."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.student = nn.Sequential(nn.Linear(7, 7), nn.ELU(), nn.Linear(7, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.opt.zero_grad()
        loss = F.l1_loss(self.student(x), y)
        self.manual_backward(loss)
        self.opt.step()  # FAULT: ManualRawOptimizer
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        self.opt = torch.optim.Adam(self.parameters(), lr=1e-3)
        return self.opt


class ManualUnwrappedOptimizer(L.LightningModule):
    """Asks for the bare torch optimizer, whose steps Lightning does not count."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.scorer = nn.Linear(6, 1, bias=False)

    def training_step(self, batch, batch_idx):
        better, worse = batch
        optimizer = self.optimizers(use_pl_optimizer=False)
        loss = F.margin_ranking_loss(self.scorer(better), self.scorer(worse), torch.ones(len(better), 1), 0.5)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()  # FAULT: ManualUnwrappedOptimizer
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class StepsTheDiscriminatorTwice(L.LightningModule):
    """A copied block still names ``opt_d``: the generator gets gradients and never moves."""

    def __init__(self, latent: int = 4):
        super().__init__()
        self.automatic_optimization = False
        self.latent = latent
        self.generator = nn.Sequential(  # FAULT: StepsTheDiscriminatorTwice
            nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, 6)
        )
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def training_step(self, real, batch_idx):  # FAULT: StepsTheDiscriminatorTwice
        opt_g, opt_d = self.optimizers()
        fake = self.generator(torch.randn(real.size(0), self.latent, device=self.device))

        opt_d.zero_grad()
        d_loss = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake.detach())).mean()
        self.manual_backward(d_loss)
        opt_d.step()

        opt_g.zero_grad()
        g_loss = F.softplus(-self.discriminator(fake)).mean()
        self.manual_backward(g_loss)
        opt_d.step()  # FAULT: StepsTheDiscriminatorTwice
        self.log_dict({"train_loss": g_loss + d_loss, "g_loss": g_loss}, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4)
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4)
        return opt_g, opt_d


class TogglesAndNeverUntoggles(L.LightningModule):
    """Toggled for the encoder; the decoder is frozen from the first batch on."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Linear(9, 4)
        self.decoder = nn.Linear(4, 9)

    def training_step(self, batch, batch_idx):
        opt_e, opt_d = self.optimizers()
        self.toggle_optimizer(opt_e)  # FAULT: TogglesAndNeverUntoggles
        loss = F.mse_loss(self.decoder(torch.sigmoid(self.encoder(batch))), batch)
        opt_e.zero_grad()
        opt_d.zero_grad()
        self.manual_backward(loss)
        opt_e.step()
        opt_d.step()  # FAULT: TogglesAndNeverUntoggles
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [
            torch.optim.SGD(self.encoder.parameters(), lr=0.1),
            torch.optim.SGD(self.decoder.parameters(), lr=0.1),
        ]


class BackwardOfOneTermOnly(L.LightningModule):
    """The total is logged, and one of its terms is back-propagated: the other's head never learns."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.trunk = nn.Linear(6, 6)
        self.main_head = nn.Linear(6, 3)
        self.aux_head = nn.Linear(6, 2)  # FAULT: BackwardOfOneTermOnly

    def training_step(self, batch, batch_idx):
        x, y, aux = batch
        optimizer = self.optimizers()
        features = torch.relu(self.trunk(x))
        main = F.cross_entropy(self.main_head(features), y)
        total = main + 0.3 * F.cross_entropy(self.aux_head(features), aux)
        optimizer.zero_grad()
        self.manual_backward(main)  # FAULT: BackwardOfOneTermOnly
        optimizer.step()
        self.log("train_loss", total, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class ManualLbfgsWithoutClosure(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.coefficients = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = F.mse_loss(self.coefficients(x), y)
        self.manual_backward(loss)
        optimizer.step()  # FAULT: ManualLbfgsWithoutClosure
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1)


class StepsBeforeBackward(L.LightningModule):
    """zero_grad, step, backward: every step finds the gradients just cleared."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.tower = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))

    def training_step(self, batch, batch_idx):
        anchor, positive = batch
        optimizer = self.optimizers()
        similarity = self.tower(anchor) @ self.tower(positive).T
        loss = F.cross_entropy(similarity, torch.arange(len(anchor), device=self.device))
        optimizer.zero_grad()
        optimizer.step()  # FAULT: StepsBeforeBackward
        self.manual_backward(loss)  # FAULT: StepsBeforeBackward
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class SchedulerCrashesAtEpochEnd(L.LightningModule):
    """One scheduler is asked for and a list of two comes back."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net_a = nn.Linear(6, 3)
        self.net_b = nn.Linear(3, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        opt_a, opt_b = self.optimizers()
        loss = F.mse_loss(self.net_b(self.net_a(x)), y)
        opt_a.zero_grad()
        opt_b.zero_grad()
        self.manual_backward(loss)
        opt_a.step()
        opt_b.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def on_train_epoch_end(self):
        self.lr_schedulers().step()  # FAULT: SchedulerCrashesAtEpochEnd

    def configure_optimizers(self):
        opt_a = torch.optim.SGD(self.net_a.parameters(), lr=0.1)
        opt_b = torch.optim.SGD(self.net_b.parameters(), lr=0.1)
        decay = torch.optim.lr_scheduler.ExponentialLR
        return [opt_a, opt_b], [decay(opt_a, 0.9), decay(opt_b, 0.9)]


class ClearsWhatItAccumulates(L.LightningModule):
    """Steps every second batch, and clears the gradients in every batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        opt = self.optimizers()
        opt.zero_grad()  # FAULT: ClearsWhatItAccumulates
        loss = F.mse_loss(self.net(x), y)
        self.manual_backward(loss / 2)
        if (batch_idx + 1) % 2 == 0:
            opt.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


EXPECTED = {
    "ManualDoesNothing": {
        "fault": "manual-nothing-done",
        "batch": "x: float[5,12], y: int[5]<2",
        "check": "closure_executed",
        "severity": "error",
        "words": ["manual_backward", "step"],
        "since": None,
        "until": None,
    },
    "ManualNeverSteps": {
        "fault": "manual-no-step",
        "batch": "float[5,8]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "ManualNeverBackward": {
        "fault": "manual-no-backward",
        "batch": "{tokens: int[5,9]<25}",
        "check": "closure_executed",
        "severity": "error",
        "words": ["manual_backward"],
        "since": None,
        "until": None,
    },
    "ManualZeroesAfterBackward": {
        "fault": "manual-zero-after-backward",
        "batch": "image: float[5,2,8,8], quality: float[5,1]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["zero_grad"],
        "since": None,
        "until": None,
    },
    "ManualNeverZeroes": {
        "fault": "manual-no-zero_grad",
        "batch": "state: float[5,4], action: int[5]<2",
        "check": "closure_executed",
        "severity": "error",
        "words": ["zero_grad"],
        "since": None,
        "until": None,
    },
    "ManualRawBackward": {
        "fault": "manual-raw-backward",
        "batch": "x: float[5,10], y: int[5]<4",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["manual_backward"],
        "since": None,
        "until": None,
    },
    "ManualRawOptimizer": {
        "fault": "manual-raw-optimizer",
        "batch": "x: float[5,7], y: float[5,1]",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["self.optimizers()"],
        "since": None,
        "until": None,
    },
    "ManualUnwrappedOptimizer": {
        "fault": "manual-raw-optimizer",
        "batch": "better: float[5,6], worse: float[5,6]",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["self.optimizers()"],
        "since": None,
        "until": None,
    },
    "StepsTheDiscriminatorTwice": {
        "fault": "",
        "batch": "float[5,6]",
        "check": "weights_update",
        "severity": "error",
        "words": ["step"],
        "since": None,
        "until": None,
    },
    "TogglesAndNeverUntoggles": {
        "fault": "toggle-without-untoggle",
        "batch": "float[5,9]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["gradient"],
        "since": (2, 0),
        "until": None,
    },
    "BackwardOfOneTermOnly": {
        "fault": "",
        "batch": "x: float[5,6], y: int[5]<3, aux: int[5]<2",
        "check": "every_parameter_gets_a_gradient",
        "severity": "warning",
        "words": ["loss"],
        "since": None,
        "until": None,
    },
    "ManualLbfgsWithoutClosure": {
        "fault": "lbfgs-misuse",
        "batch": "x: float[5,3], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["closure"],
        "since": None,
        "until": None,
    },
    "StepsBeforeBackward": {
        "fault": "",
        "batch": "anchor: float[5,8], positive: float[5,8]",
        "check": "closure_executed",
        "severity": "error",
        "words": ["backward"],
        "since": None,
        "until": None,
    },
    "SchedulerCrashesAtEpochEnd": {
        "fault": "",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "training_completes",
        "severity": "error",
        "words": ["list"],
        "since": None,
        "until": None,
    },
    "ClearsWhatItAccumulates": {
        "fault": "",
        "batch": "x: float[5,6], y: float[5,1]",
        "check": "closure_executed",
        "severity": "warning",
        "words": ["accumulated"],
        "since": None,
        "until": None,
    },
}
