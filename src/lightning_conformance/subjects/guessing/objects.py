"""Losses, metrics, optimizers, schedulers and activations, as projects hand them over."""

from __future__ import annotations

import functools
import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lightning_conformance.subjects.guessing.slots import Candidate, plain, thing

_LOSS = re.compile(
    r"(\w+_)?(loss|criterion|criteria|objective)(_?(fn|func|function|module|cls|class|f|type|name))?(es|s)?"
)
_OPTIMIZER = re.compile(r"(\w+_)?(optimi[sz]er|optim|opt)(_?(fn|factory|partial|cls|class|constructor))?s?")
_SCHEDULER = re.compile(r"(\w+_)?(lr_?)?(scheduler|sched|lr_schedule)(_?(fn|factory|partial|cls|class))?s?")
_ACTIVATION = re.compile(r"(\w+_)?(activation|act|nonlinearity|act_?(fn|layer|func))(_?(fn|func|function|layer|cls))?")
_METRIC = re.compile(r"(\w+_)?(metrics?|accuracy|acc|f1)(_?(fn|func|function))?")
_REGRESSION = re.compile(r"regress|autoencod|reconstr|forecast|ae$|denois", re.IGNORECASE)


def object_role(name: str) -> str:
    """``loss``, ``optimizer``, ``scheduler``, ``activation`` or ``metric``; empty for none of them."""
    lowered = name.lower().strip("_")
    roles = {
        "scheduler": _SCHEDULER,
        "optimizer": _OPTIMIZER,
        "activation": _ACTIVATION,
        "loss": _LOSS,
        "metric": _METRIC,
    }
    return next((role for role, pattern in roles.items() if pattern.fullmatch(lowered)), "")


def losses(owner: str) -> list[Candidate]:
    """Losses; a mean squared error first where the class's name speaks of a regression."""
    found = [
        thing("torch.nn.CrossEntropyLoss()", nn.CrossEntropyLoss),
        thing("torch.nn.MSELoss()", nn.MSELoss),
        thing("torch.nn.BCEWithLogitsLoss()", nn.BCEWithLogitsLoss),
        thing("torch.nn.NLLLoss()", nn.NLLLoss),
        thing("torch.nn.CrossEntropyLoss", lambda: nn.CrossEntropyLoss),
    ]
    return [found[1], found[0], *found[2:]] if _REGRESSION.search(owner) else found


def loss_functions(owner: str) -> list[Candidate]:
    """Losses that are functions."""
    found = [
        thing("torch.nn.functional.cross_entropy", lambda: F.cross_entropy),
        thing("torch.nn.functional.mse_loss", lambda: F.mse_loss),
    ]
    return found[::-1] if _REGRESSION.search(owner) else found


def optimizers() -> list[Candidate]:
    """Something that makes an optimizer of parameters."""
    return [
        thing("functools.partial(torch.optim.Adam, lr=0.001)", lambda: functools.partial(torch.optim.Adam, lr=1e-3)),
        optimizer_class(),
    ]


def optimizer_class() -> Candidate:
    """A class of optimizers."""
    return thing("torch.optim.Adam", lambda: torch.optim.Adam)


def schedulers() -> list[Candidate]:
    """Nothing, or something that makes a scheduler of an optimizer."""
    made = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    return [*plain(None), thing("functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1)", lambda: made)]


def activations() -> list[Candidate]:
    """An activation: an object to call, a class, a name."""
    return [thing("torch.nn.ReLU()", nn.ReLU), thing("torch.nn.ReLU", lambda: nn.ReLU), *plain("relu")]


def metrics(classes: int, cls: Any = None) -> list[Candidate]:
    """A metric of torchmetrics, of the class that an annotation names."""
    try:
        import torchmetrics
        from torchmetrics.classification import MulticlassAccuracy
    except ImportError:
        return []
    found = [
        thing("torchmetrics.classification.MulticlassAccuracy(...)", lambda: MulticlassAccuracy(num_classes=classes)),
        thing("torchmetrics.MeanSquaredError()", torchmetrics.MeanSquaredError),
        thing("torchmetrics.MeanMetric()", torchmetrics.MeanMetric),
    ]
    collection = torchmetrics.MetricCollection
    many = thing("torchmetrics.MetricCollection(...)", lambda: collection([MulticlassAccuracy(num_classes=classes)]))
    if isinstance(cls, type) and issubclass(cls, collection):
        return [many]
    if isinstance(cls, type) and cls is not torchmetrics.Metric and issubclass(cls, torchmetrics.Metric):
        made = [thing(f"{cls.__name__}()", cls), thing(f"{cls.__name__}(...)", lambda: cls(num_classes=classes))]
        return [*made, thing(f"{cls.__name__}(...)", lambda: cls(task="multiclass", num_classes=classes))]
    return [*found, many]
