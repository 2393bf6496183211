# ruff: noqa: UP007, UP045  (annotations as users of every age write them)
"""Modules whose constructors require arguments, in the styles in which published projects write them.

They are written with one of Lightning's names; the kit treats both alike.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal, Optional, Union

import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn
from torch.nn import functional as F

STYLES: dict[str, type] = {}


def style(cls):
    STYLES[cls.__name__] = cls
    return cls


class Plain(pl.LightningModule):
    """The rest of a classifier: what it needs is `self.net`."""

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class Scalars(Plain):
    def __init__(self, input_dim: int, hidden_dim: int, num_classes: int, learning_rate: float, dropout: float):
        super().__init__()
        self.learning_rate = learning_rate
        self.net = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, num_classes)
        )

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


@style
class WithoutAnnotations(Plain):
    def __init__(self, in_features, n_hidden, n_classes, lr, weight_decay):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(in_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_classes))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay)


@style
class ImageSizes(Plain):
    def __init__(
        self,
        in_channels: int,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        num_heads: int,
        depth: int,
        num_classes: int,
    ):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, embed_dim, patch_size, patch_size)
        self.position = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, embed_dim))
        layer = nn.TransformerEncoderLayer(embed_dim, num_heads, 32, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, depth)
        self.head = nn.Linear(embed_dim, num_classes)

    def net(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(1))


@style
class DivisibleHeads(Plain):
    def __init__(self, feature_dim: int, heads: int, classes: int):
        super().__init__()
        if feature_dim % heads or heads < 2:
            raise ValueError(f"feature_dim must be divisible by heads, not {feature_dim} and {heads}")
        self.attention = nn.MultiheadAttention(feature_dim, heads, batch_first=True)
        self.out = nn.Linear(feature_dim, classes)

    def net(self, x):
        return self.out(self.attention(x, x, x)[0].mean(1))


@style
class LanguageModel(pl.LightningModule):
    def __init__(self, vocab_size: int, d_model: int, num_layers: int, pad_idx: int, max_len: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx=pad_idx)
        self.position = nn.Embedding(max_len * 10, d_model)
        self.rnn = nn.GRU(d_model, d_model, num_layers, batch_first=True)
        self.out = nn.Linear(d_model, vocab_size)

    def training_step(self, batch, batch_idx):
        tokens, targets = batch
        logits = self.out(self.rnn(self.embedding(tokens))[0])
        loss = F.cross_entropy(logits.transpose(1, 2), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam([p for n, p in self.named_parameters() if not n.startswith("position")], lr=1e-3)


@style
class HparamsNamespace(Plain):
    def __init__(self, hparams: argparse.Namespace):
        super().__init__()
        self.save_hyperparameters(hparams)
        self.net = nn.Sequential(
            nn.Linear(hparams.input_size, hparams.hidden_size),
            nn.ReLU(),
            nn.Linear(hparams.hidden_size, hparams.num_classes),
        )

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


@style
class HparamsDict(Plain):
    def __init__(self, hparams: dict):
        super().__init__()
        self.params = hparams
        self.net = nn.Linear(hparams["n_features"], hparams["num_classes"])
        self.smoothing = hparams.get("label_smoothing", 0.25)
        if "extra_layers" in hparams:
            raise RuntimeError("extra_layers was not given")

    def configure_optimizers(self):
        assert self.smoothing == 0.25
        return torch.optim.SGD(self.parameters(), lr=self.params["learning_rate"], momentum=self.params["momentum"])


@style
class NestedConfig(Plain):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.net = nn.Sequential()
        size = cfg.model.input_dim
        for _ in range(cfg.model.num_layers):
            self.net.append(nn.Linear(size, cfg.model.hidden_dim))
            self.net.append(nn.Dropout(cfg.model.dropout))
            size = cfg.model.hidden_dim
        self.net.append(nn.Linear(size, cfg.data.num_classes))

    def configure_optimizers(self):
        return torch.optim.AdamW(
            self.parameters(), lr=self.cfg.optimizer.lr, weight_decay=self.cfg.optimizer.weight_decay
        )


@style
class NestedDict(Plain):
    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.config = config
        self.net = nn.Linear(config["model"]["in_dim"], config["model"]["out_dim"])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.config["training"]["lr"])


@style
class ConfigWithDefaults(Plain):
    def __init__(self, args):
        super().__init__()
        self.rate = getattr(args, "lr", 0.05)
        width = args.width if hasattr(args, "width") else 7
        assert self.rate == 0.05
        self.net = nn.Sequential(nn.Linear(args.feature_dim, width), nn.Tanh(), nn.Linear(width, args.num_labels))


@style
class UnpackedConfig(Plain):
    class Network(nn.Module):
        def __init__(self, in_dim, hidden_dim, out_dim):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(in_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, out_dim))

        def forward(self, x):
            return self.layers(x)

    def __init__(self, model_args: dict):
        super().__init__()
        self.net = self.Network(**model_args)


@style
class ConfigReadLate(Plain):
    def __init__(self, opt):
        super().__init__()
        self.opt = opt
        self.net = nn.Linear(6, 3)

    def training_step(self, batch, batch_idx):
        return self.opt.loss_weight * super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.opt.lr, betas=(self.opt.beta1, 0.99))
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, self.opt.step_size)]


@style
class OddKeys(Plain):
    def __init__(self, config):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(config.blobs, config.widgets), nn.Linear(config.widgets, 3))
        if config.flavour == "sour":
            self.net.append(nn.Tanh())
        elif config.flavour != "sweet":
            raise ValueError(f"unknown flavour {config.flavour}")


@dataclasses.dataclass
class ModelConfig:
    in_features: int
    num_classes: int
    lr: float = 0.1


@style
class DataclassConfig(Plain):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.net = nn.Linear(config.in_features, config.num_classes)


@style
class HydraTemplate(pl.LightningModule):
    lightning_conformance = {"train_loss": "train/loss"}

    def __init__(
        self, net: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler, compile: bool
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.net = net
        self.criterion = torch.nn.CrossEntropyLoss()
        self.train_acc = torchmetrics.Accuracy(task="multiclass", num_classes=10)

    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = self.criterion(logits, y)
        self.train_acc(torch.argmax(logits, dim=1), y)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = self.hparams.optimizer(params=self.trainer.model.parameters())
        if self.hparams.scheduler is not None:
            scheduler = self.hparams.scheduler(optimizer=optimizer)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "train/loss"}}
        return {"optimizer": optimizer}


@style
class PartialOptimizer(Plain):
    def __init__(self, model, optimizer: functools.partial, lr_scheduler: Optional[Callable] = None):
        super().__init__()
        self.net, self.make = model, optimizer

    def configure_optimizers(self):
        return self.make(self.parameters())


@style
class OptimizerClass(Plain):
    def __init__(self, model: nn.Module, optimizer_cls: type[torch.optim.Optimizer], lr: float):
        super().__init__()
        self.net, self.cls, self.lr = model, optimizer_cls, lr

    def configure_optimizers(self):
        return self.cls(self.parameters(), lr=self.lr)


@style
class OptimizerName(Plain):
    def __init__(self, backbone: nn.Module, optimizer: str, scheduler: str):
        super().__init__()
        self.net = backbone
        self.name, self.scheduler = optimizer, scheduler

    def configure_optimizers(self):
        if self.name == "rmsprop":
            optimizer = torch.optim.RMSprop(self.parameters(), lr=1e-3)
        else:
            raise ValueError(f"no optimizer {self.name}")
        return optimizer


@style
class Autoencoder(pl.LightningModule):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def training_step(self, batch, batch_idx):
        x, _ = batch
        x = x.view(x.size(0), -1)
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class BackboneAndHead(Plain):
    def __init__(self, backbone: nn.Module, embedding_dim: int, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(embedding_dim, num_classes)

    def net(self, x):
        return self.head(self.backbone(x))


@style
class FineTuned(Plain):
    def __init__(self, model, num_classes):
        super().__init__()
        self.net = model
        self.net.fc = nn.Linear(self.net.fc.in_features, num_classes)


@style
class ImageBackbone(Plain):
    def __init__(self, feature_extractor: nn.Module, n_classes: int):
        super().__init__()
        self.extractor = feature_extractor
        self.stem = nn.Conv2d(3, 3, 1)
        self.out = nn.Linear(feature_extractor.out_features, n_classes)

    def net(self, x):
        return self.out(self.extractor(self.stem(x)))


@style
class Segmentation(Plain):
    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        image, mask = batch["image"], batch["mask"]
        logits = self.net(image)
        assert logits.ndim == 4
        loss = F.cross_entropy(logits, mask.long())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


@style
class Gan(pl.LightningModule):
    def __init__(self, generator: nn.Module, discriminator: nn.Module, latent_dim: int):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator, self.latent_dim = generator, discriminator, latent_dim

    def training_step(self, batch, batch_idx):
        x = batch
        for_g, for_d = self.optimizers()
        fake = self.generator(torch.randn(len(x), self.latent_dim))
        score = self.discriminator(fake)
        loss = F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
        for_g.zero_grad()
        self.manual_backward(loss)
        for_g.step()
        real, false = self.discriminator(x), self.discriminator(fake.detach())
        loss = F.softplus(-real).mean() + F.softplus(false).mean()
        for_d.zero_grad()
        self.manual_backward(loss)
        for_d.step()
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return [torch.optim.Adam(m.parameters(), lr=1e-3) for m in (self.generator, self.discriminator)]


@style
class Criterion(pl.LightningModule):
    def __init__(self, model, criterion, lr):
        super().__init__()
        self.model, self.criterion, self.lr = model, criterion, lr

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self.model(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@style
class LossFunction(Criterion):
    def __init__(self, network: nn.Module, loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
        super().__init__(network, loss_fn, 1e-3)


@style
class LossName(Plain):
    def __init__(self, loss: str, lr: float):
        super().__init__()
        self.net = nn.Linear(7, 3)
        self.loss = {"ce": nn.CrossEntropyLoss(), "focal": nn.MultiMarginLoss()}[loss]

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss


@style
class AnnotatedMetric(Plain):
    def __init__(self, model: nn.Module, metric: torchmetrics.Metric):
        super().__init__()
        self.net, self.metric = model, metric

    def training_step(self, batch, batch_idx):
        self.metric(self.net(batch[0]).detach(), batch[1])
        return super().training_step(batch, batch_idx)


@style
class ActivationModule(Plain):
    def __init__(self, activation: nn.Module, act_layer):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 6), activation, nn.Linear(6, 6), act_layer(), nn.Linear(6, 2))


@style
class ActivationName(Plain):
    def __init__(self, activation: str, norm_layer: Callable[..., nn.Module]):
        super().__init__()
        self.act = getattr(F, activation)
        self.one, self.two, self.norm = nn.Linear(9, 6), nn.Linear(6, 2), norm_layer(6)

    def net(self, x):
        return self.two(self.act(self.norm(self.one(x))))


class Kind(enum.Enum):
    DEEP = "deep"
    WIDE = "wide"


@style
class Words(Plain):
    def __init__(self, kind: Kind, pooling: Literal["mean", "max"], mode: str, reduction: str, use_bias: bool):
        super().__init__()
        if mode not in ("fast", "slow"):
            raise ValueError("mode must be one of 'fast' or 'slow'")
        assert isinstance(kind, Kind)
        assert pooling in ("mean", "max")
        self.reduction = reduction
        self.net = nn.Linear(5 + 2, 3, bias=use_bias)


@style
class Lists(Plain):
    def __init__(
        self,
        hidden_dims: list[int],
        input_shape: tuple[int, int, int],
        betas: tuple,
        class_names: list[str],
        dropouts: Union[list[float], None],
    ):
        super().__init__()
        channels, height, width = input_shape
        size, layers = channels * height * width, [nn.Flatten()]
        for hidden in hidden_dims:
            layers += [nn.Linear(size, hidden), nn.ReLU()]
            size = hidden
        self.net = nn.Sequential(*layers, nn.Linear(size, len(class_names)))
        self.betas = betas

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3, betas=self.betas)


@style
class ListOfNetworks(Plain):
    def __init__(self, encoders: list[nn.Module], num_classes: int):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.head = nn.LazyLinear(num_classes)
        self.head(torch.zeros(2, sum(e.out_features for e in encoders)))

    def net(self, x):
        return self.head(torch.cat([encoder(x) for encoder in self.encoders], -1))


class OwnNetwork(nn.Module):
    def __init__(self, in_features: int, width: int, num_classes: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))
        self.special = True

    def forward(self, x):
        return self.layers(x)


@style
class OwnNetworkClass(Plain):
    def __init__(self, model: OwnNetwork, class_weights: torch.Tensor):
        super().__init__()
        assert model.special
        self.net, self.weights = model, class_weights


@style
class HuggingFace(pl.LightningModule):
    def __init__(self, model, learning_rate):
        super().__init__()
        self.model, self.rate = model, learning_rate

    def training_step(self, batch, batch_idx):
        outputs = self.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
        )
        self.log("train_loss", outputs.loss, on_step=False, on_epoch=True)
        return outputs.loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.rate)


@style
class KeywordHparams(Plain):
    def __init__(self, **kwargs):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(self.hparams.input_dim, self.hparams.num_classes)


@style
class ParentArguments(Scalars):
    def __init__(self, mixup_alpha: float, **kwargs):
        super().__init__(**kwargs)
        self.alpha = mixup_alpha


@style
class ConvertedConfig(Plain):
    def __init__(self, params):
        super().__init__()
        params = SimpleNamespace(**params) if isinstance(params, dict) else params
        self.net = nn.Linear(params.in_features, params.out_features)


@style
class GivenImages(Plain):
    lightning_conformance = {"batch": "float[6,1,9,9], int[6]<3"}

    def __init__(self, model: nn.Module):
        super().__init__()
        self.net = model


@style
class GivenVectors(Plain):
    lightning_conformance = {"batch": "float[6,31], int[6]<3"}

    def __init__(self, model: nn.Module, hidden_dim: int):
        super().__init__()
        self.net = model


@style
class GivenFeatures(Plain):
    lightning_conformance = {"batch": "float[6,31], int[6]<3"}

    def __init__(self, in_features: int, hidden_dim: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(in_features, hidden_dim), nn.Linear(hidden_dim, 3))


@style
class GNNLike(pl.LightningModule):
    def __init__(self, in_channels, hidden_channels, out_channels, num_layers=2, dropout=0.5):
        super().__init__()
        self.save_hyperparameters()
        self.a, self.b = nn.Linear(in_channels, hidden_channels), nn.Linear(hidden_channels, out_channels)

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = F.log_softmax(self.b(F.relu(self.a(x))), dim=-1)
        loss = F.nll_loss(out, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


@style
class TwoConfigs(Plain):
    def __init__(self, model_cfg, train_cfg):
        super().__init__()
        self.train_cfg = train_cfg
        self.net = nn.Sequential(
            nn.Linear(model_cfg.input_dim, model_cfg.hidden),
            nn.ReLU(),
            nn.Linear(model_cfg.hidden, model_cfg.num_classes),
        )

    def configure_optimizers(self):
        opt = torch.optim.AdamW(self.parameters(), lr=self.train_cfg.lr, weight_decay=self.train_cfg.wd)
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(
            opt, T_max=self.train_cfg.max_epochs, eta_min=self.train_cfg.min_lr
        )
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "step"}}


@style
class ArgsStyle(Plain):
    def __init__(self, args):
        super().__init__()
        self.args = args
        self.save_hyperparameters(args)
        if args.use_conv:
            self.net = nn.Conv1d(3, 4, 3)
        else:
            self.net = nn.Sequential(
                nn.Linear(args.n_input, args.n_hidden),
                nn.Dropout(args.dropout),
                nn.Linear(args.n_hidden, args.n_output),
            )

    def configure_optimizers(self):
        if self.args.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), lr=self.args.learning_rate, momentum=self.args.momentum)
        elif self.args.optimizer == "adam":
            return torch.optim.Adam(self.parameters(), lr=self.args.learning_rate)
        raise NotImplementedError(self.args.optimizer)


@style
class SimCLRish(pl.LightningModule):
    def __init__(self, backbone: nn.Module, projection_dim: int, temperature: float, hidden_dim: int):
        super().__init__()
        self.backbone = backbone
        self.projector = nn.Sequential(
            nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, projection_dim)
        )
        self.temperature = temperature

    def training_step(self, batch, batch_idx):
        (x1, x2), _ = batch
        z1, z2 = (F.normalize(self.projector(self.backbone(x)), dim=1) for x in (x1, x2))
        logits = z1 @ z2.T / self.temperature
        loss = F.cross_entropy(logits, torch.arange(len(logits)))
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class Distill(pl.LightningModule):
    def __init__(self, teacher: nn.Module, student: nn.Module, alpha: float, T: float):
        super().__init__()
        self.teacher, self.student, self.alpha, self.T = teacher, student, alpha, T
        for p in self.teacher.parameters():
            p.requires_grad_(False)

    def training_step(self, batch, batch_idx):
        x, y = batch
        with torch.no_grad():
            t = self.teacher(x)
        s = self.student(x)
        loss = self.alpha * F.cross_entropy(s, y) + (1 - self.alpha) * F.kl_div(
            F.log_softmax(s / self.T, -1), F.softmax(t / self.T, -1), reduction="batchmean"
        )
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.student.parameters(), lr=1e-3)


@style
class LSTMForecast(pl.LightningModule):
    def __init__(self, n_features, hidden_size, seq_len, batch_size, num_layers, dropout, learning_rate, criterion):
        super().__init__()
        self.lr = learning_rate
        self.criterion = criterion
        self.lstm = nn.LSTM(n_features, hidden_size, num_layers, dropout=dropout, batch_first=True)
        self.linear = nn.Linear(hidden_size, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self.linear(self.lstm(x)[0][:, -1])
        loss = self.criterion(y_hat, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@style
class OmegaConfLike(pl.LightningModule):
    def __init__(self, cfg: DictConfig):  # noqa: F821  (imported for the type checker only, as many do)
        super().__init__()
        self.save_hyperparameters(cfg)
        self.cfg = cfg
        self.layers = nn.ModuleList()
        dims = [cfg.arch.input_dim] + list(cfg.arch.hidden_dims)
        for a, b in zip(dims, dims[1:]):
            self.layers.append(nn.Linear(a, b))
        self.head = nn.Linear(dims[-1], cfg.arch.num_classes)

    def training_step(self, batch, batch_idx):
        x, y = batch
        for layer in self.layers:
            x = torch.relu(layer(x))
        loss = F.cross_entropy(self.head(x), y, label_smoothing=self.cfg.loss.label_smoothing)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        opt = getattr(torch.optim, self.cfg.optim.name)(self.parameters(), lr=self.cfg.optim.lr)
        return opt


@style
class ParamsPrototype(Plain):
    def __init__(self, hparams, **kwargs):
        super().__init__()
        self.hparams.update(vars(hparams))
        self.net = nn.Linear(self.hparams.input_dim, self.hparams.num_classes)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


@style
class UnetLike(pl.LightningModule):
    def __init__(self, n_channels, n_classes, bilinear, features_start):
        super().__init__()
        self.a = nn.Conv2d(n_channels, features_start, 3, padding=1)
        self.b = nn.Conv2d(features_start, n_classes, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.b(F.relu(self.a(x))), y.long())
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class VAE(pl.LightningModule):
    def __init__(self, enc_out_dim: int, latent_dim: int, input_height: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(3 * input_height * input_height, enc_out_dim))
        self.mu, self.var = nn.Linear(enc_out_dim, latent_dim), nn.Linear(enc_out_dim, latent_dim)
        self.decoder = nn.Linear(latent_dim, 3 * input_height * input_height)

    def training_step(self, batch, batch_idx):
        x, _ = batch
        h = self.encoder(x)
        mu, lv = self.mu(h), self.var(h)
        z = mu + torch.randn_like(mu) * (lv / 2).exp()
        loss = F.mse_loss(self.decoder(z).view_as(x), x) + (mu.square() + lv.exp() - 1 - lv).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class ModuleDictNets(Plain):
    def __init__(self, networks: dict[str, nn.Module], num_classes: int):
        super().__init__()
        self.nets = nn.ModuleDict(networks)
        self.net = self.nets["main"]


@style
class Generic(pl.LightningModule):
    def __init__(
        self,
        model: nn.Module,
        loss: Callable,
        metrics: dict[str, torchmetrics.Metric],
        optimizer: Callable,
        scheduler_config: dict,
    ):
        super().__init__()
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.metrics = nn.ModuleDict(metrics)

    def training_step(self, batch, batch_idx):
        x, y = batch["input"], batch["target"]
        loss = self.loss(self.model(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


@style
class SoftActorish(pl.LightningModule):
    def __init__(self, obs_size: int, n_actions: int, hidden_size: int, gamma: float, sync_rate: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(obs_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, n_actions))
        self.target = nn.Sequential(nn.Linear(obs_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, n_actions))
        self.gamma = gamma
        self.target.requires_grad_(False)

    def training_step(self, batch, batch_idx):
        states, actions, rewards, dones, next_states = batch
        q = self.net(states).gather(1, actions.long().unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            nxt = self.target(next_states).max(1)[0]
            nxt[dones.bool()] = 0.0
        loss = F.mse_loss(q, nxt * self.gamma + rewards)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters(), lr=1e-3)


@style
class FreezingFineTune(Plain):
    def __init__(self, backbone: nn.Module, n_classes: int, lr: float, milestones: tuple):
        super().__init__()
        layers = list(backbone.children())[:-1]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(backbone.fc.in_features, n_classes)
        self.lr = lr
        self.milestones = milestones

    def net(self, x):
        return self.fc(self.features(x).flatten(1))

    def configure_optimizers(self):
        o = torch.optim.Adam(self.parameters(), lr=self.lr)
        return [o], [torch.optim.lr_scheduler.MultiStepLR(o, milestones=self.milestones, gamma=0.1)]


@style
class Seq2Seq(pl.LightningModule):
    def __init__(self, src_vocab_size, tgt_vocab_size, emb_dim, nhead, num_encoder_layers, dim_feedforward, pad_id):
        super().__init__()
        self.src, self.tgt = nn.Embedding(src_vocab_size, emb_dim), nn.Embedding(tgt_vocab_size, emb_dim)
        self.tf = nn.Transformer(
            emb_dim, nhead, num_encoder_layers, num_encoder_layers, dim_feedforward, batch_first=True
        )
        self.out = nn.Linear(emb_dim, tgt_vocab_size)
        self.pad_id = pad_id

    def training_step(self, batch, batch_idx):
        src, tgt = batch
        logits = self.out(self.tf(self.src(src), self.tgt(tgt[:, :-1])))
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tgt[:, 1:].reshape(-1), ignore_index=self.pad_id)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@style
class NoNames(Plain):
    def __init__(self, a: int, b: int, c: float):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(a, b), nn.Dropout(c), nn.Linear(b, 3))


@style
class RegLike(pl.LightningModule):
    def __init__(self, config: dict):
        super().__init__()
        self.lr = config["lr"]
        self.layer_1 = nn.Linear(28 * 28, config["layer_1_size"])
        self.layer_2 = nn.Linear(config["layer_1_size"], config["layer_2_size"])
        self.layer_3 = nn.Linear(config["layer_2_size"], 10)

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = x.view(x.size(0), -1)
        logits = self.layer_3(torch.relu(self.layer_2(torch.relu(self.layer_1(x)))))
        loss = F.nll_loss(F.log_softmax(logits, 1), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@style
class InstantiatedParts(Plain):
    def __init__(self, net, optimizer_config: dict, lr_scheduler_config: Optional[dict] = None):
        super().__init__()
        self.net = net
        self.oc = optimizer_config

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), **self.oc)


@style
class FactoryNet(Plain):
    def __init__(self, model_fn: Callable[..., nn.Module], num_classes: int):
        super().__init__()
        self.net = model_fn(num_classes=num_classes)
