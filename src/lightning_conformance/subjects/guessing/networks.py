"""Small networks that train, in place of those that the user would hand over."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lightning_conformance.subjects.guessing.slots import SIZES, WrongGuess

KINDS = ("vector", "image", "map", "tokens", "wrapped")
KIND_TEXTS = {
    "vector": "linear layers",
    "image": "convolutions and a linear layer",
    "map": "convolutions",
    "tokens": "an embedding and linear layers",
    "wrapped": "an embedding and linear layers, giving loss and logits",
}

_SOURCES = re.compile(
    r"(\w+_)?(decoder|dec|generator|gen|netg|g|head|classifier|projector|projection|predictor|neck)\d*"
)
_DECODERS = re.compile(r"(\w+_)?(decoder|dec|generator|gen|netg|g)\d*")
_CRITICS = re.compile(r"(\w+_)?(discriminator|disc|critic|netd|d|value_?(net\w*)?)\d*")
_ENCODERS = re.compile(
    r"(\w+_)?(encoder|enc|backbone|feature_?extractor|extractor|embedder|body|trunk|stem|base_encoder)\d*"
)
_NETWORKS = re.compile(
    r"(\w+_)?(model|net|network|nets|module|nn|actor|policy|agent|q_?net\w*|mlp|cnn|rnn|unet|core|architecture|arch"
    r"|learner|forecaster|segmenter|denoiser|transformer|estimator|regressor|student|teacher)\d*"
)


def _singular(name: str) -> str:
    lowered = name.lower().strip("_")
    return lowered if lowered.endswith("ss") else lowered.removesuffix("s")


def means_network(name: str) -> bool:
    """Whether a name is that of a network."""
    lowered = _singular(name)
    if re.match(r"(n|nb|num)_", lowered):
        return False
    return any(p.fullmatch(lowered) for p in (_SOURCES, _CRITICS, _ENCODERS, _NETWORKS)) and len(lowered) > 1


def role_of(name: str) -> str:
    """``decoder``, ``critic``, ``encoder``, ``head`` or ``model``."""
    lowered = _singular(name)
    if _DECODERS.fullmatch(lowered):
        return "decoder"
    if _CRITICS.fullmatch(lowered):
        return "critic"
    if _ENCODERS.fullmatch(lowered):
        return "encoder"
    return "head" if _SOURCES.fullmatch(lowered) else "model"


def network(role: str, kind: str, sizes: dict[str, int], out: int | None) -> nn.Module:
    """A network for one role.

    Args:
        role: As :func:`role_of` says.
        kind: One of ``KINDS``: what it is fed.
        sizes: By name, as ``SIZES``.
        out: Values that it gives, where that is known.
    """
    given = {"decoder": sizes["features"], "critic": 1, "encoder": sizes["latent"]}.get(role, sizes["classes"])
    if role == "decoder" and kind in ("image", "map"):
        return ImageDecoder(out or sizes["channels"])
    out = out or given
    if role in ("decoder", "head"):
        return Adaptive(out)
    if kind == "vector":
        return Vector(sizes["features"], out)
    if kind == "image":
        return Image(sizes["channels"], out)
    if kind == "map":
        return Map(sizes["channels"], out)
    return (Wrapped if kind == "wrapped" else Tokens)(sizes["vocabulary"], out)


class _Network(nn.Module):
    """What users read from the network that they were handed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.in_features = self.input_dim = self.in_channels = inputs
        self.out_features = self.output_dim = self.out_channels = outputs
        self.num_features = self.embed_dim = self.out_dim = self.hidden_size = outputs


class Vector(_Network):
    """Linear layers over the last dimension."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.body = nn.Sequential(nn.Linear(inputs, SIZES["hidden"]), nn.Tanh())
        self.fc = nn.Linear(SIZES["hidden"], outputs)

    def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """Features to values."""
        if type(x) is torch.Tensor and x.dim() > 3:
            raise WrongGuess
        return self.fc(self.body(x))


class Image(_Network):
    """A convolution, pooled, and a linear layer: an image to values."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs)
        self.body = nn.Sequential(
            nn.Conv2d(channels, SIZES["hidden"], 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(1)
        )
        self.fc = nn.Linear(SIZES["hidden"], outputs)

    def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """An image to values."""
        return self.fc(self.body(x).flatten(1))


class Map(_Network):
    """Convolutions: an image to a map of the same size."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs)
        self.body = nn.Sequential(nn.Conv2d(channels, SIZES["hidden"], 3, padding=1), nn.Tanh())
        self.last = nn.Conv2d(SIZES["hidden"], outputs, 1)

    def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """An image to a map."""
        return self.last(self.body(x))


class Adaptive(_Network):
    """Linear layers that take whatever features they are given."""

    def __init__(self, outputs: int) -> None:
        super().__init__(SIZES["latent"], outputs)
        self.body = nn.Sequential(nn.Linear(SIZES["latent"], SIZES["hidden"]), nn.Tanh())
        self.fc = nn.Linear(SIZES["hidden"], outputs)

    def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """Features, resized, to values."""
        if type(x) is torch.Tensor and x.shape[-1] != SIZES["latent"]:
            x = F.interpolate(x.reshape(-1, 1, x.shape[-1]), SIZES["latent"]).reshape(*x.shape[:-1], SIZES["latent"])
        return self.fc(self.body(x))


class ImageDecoder(_Network):
    """An image from a vector or a map."""

    side = 32

    def __init__(self, channels: int) -> None:
        super().__init__(SIZES["latent"], channels)
        self.body = Adaptive(SIZES["hidden"])
        self.last = nn.Conv2d(SIZES["hidden"], channels, 1)

    def forward(self, x: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """A vector to an image of a fixed size, or a map to one of its size."""
        if x.dim() == 4 and x.shape[-1] > 1:
            return self.last(self.body(x.movedim(1, -1)).movedim(-1, 1))
        values = self.body(x.flatten(1))[:, :, None, None]
        return self.last(values.expand(-1, -1, self.side, self.side))


class Tokens(_Network):
    """An embedding, and linear layers at each position."""

    def __init__(self, vocabulary: int, outputs: int) -> None:
        super().__init__(vocabulary, outputs)
        self.embedding = nn.Embedding(vocabulary, SIZES["hidden"])
        self.fc = nn.Linear(SIZES["hidden"], outputs)

    def forward(self, input_ids: torch.Tensor, *rest: Any, **named: Any) -> Any:
        """Token ids to values."""
        return self.fc(torch.tanh(self.embedding(input_ids)))


class _Answer(dict[str, Any]):
    """``loss`` and ``logits``, by key, attribute or position, as Hugging Face's models give them."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(name)

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


class Wrapped(Tokens):
    """A classifier of texts that computes its own loss, as Hugging Face's models do."""

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, labels: Any = None, **named: Any) -> Any:
        """Token ids, and labels, to loss and logits."""
        logits = super().forward(input_ids).mean(1)
        answer = _Answer(logits=logits)
        return answer if labels is None else _Answer(loss=F.cross_entropy(logits, labels), logits=logits)
