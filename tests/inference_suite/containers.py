"""Many ways to hand a batch on: branches on its type, whole, by keyword, nested, several loaders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import Tensor, nn

from inference_suite.expectations import batch_of


class Network(nn.Module):
    """A model that makes its own loss, as those of transformers do."""

    @dataclass
    class Output:
        loss: Tensor
        logits: Tensor

    def __init__(self, vocab=40, labels=4):
        super().__init__()
        self.emb, self.head = nn.Embedding(vocab, 8), nn.Linear(8, labels)

    def forward(self, input_ids, attention_mask=None, labels=None):
        hidden = self.emb(input_ids)
        if attention_mask is not None:
            hidden = hidden * attention_mask.unsqueeze(-1)
        logits = self.head(hidden.mean(dim=1))
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        return self.Output(loss, logits)


@batch_of(
    "{input_ids: int[B,T]<40, attention_mask: int|float|bool[B,T]<2, labels: int[B]<4}",
    "{input_ids: int[B,T]<40, labels: int[B]<4}",
    example="{input_ids: int[B,7]<40, attention_mask: int[B,7]<2, labels: int[B]<4}",
)
class ModelWithKeywords(Adam):
    def __init__(self):
        super().__init__()
        self.model = Network()

    def forward(self, **inputs):
        return self.model(**inputs)

    def training_step(self, batch, batch_idx):
        outputs = self(**batch)
        loss = outputs.loss
        self.log("train_loss", loss, prog_bar=True)
        return loss


@batch_of(
    "float[B,9], int[B]<3",
    "{x: float[B,9], y: int[B]<3}",
    example="{x: float[B,9], y: int[B]<3}",
)
class DictOrTuple(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(9, 3)

    def shared_step(self, batch):
        if isinstance(batch, dict):
            x, y = batch["x"], batch["y"]
        else:
            x, y = batch
        return F.cross_entropy(self.net(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.shared_step(batch)
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,7]", "(float[B,7],)", "float[B,7], ?", example="float[B,7]")
class FirstOfListIfList(Adam):
    def __init__(self):
        super().__init__()
        self.ae = nn.Sequential(nn.Linear(7, 3), nn.ReLU(), nn.Linear(3, 7))

    def training_step(self, batch, batch_idx):
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        loss = F.mse_loss(self.ae(batch), batch)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{labeled: (float[B,3,?,?], int[B]<5), unlabeled: (float[B,3,?,?], ?)}",
    example="{labeled: (float[B,3,16,16], int[B]<5), unlabeled: (float[B,3,16,16], int[B])}",
)
class SemiSupervisedLoaders(Adam):
    """Two loaders, by name."""

    def __init__(self, threshold=0.3):
        super().__init__()
        self.threshold = threshold
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def training_step(self, batch, batch_idx):
        x, y = batch["labeled"]
        x_u, _ = batch["unlabeled"]
        supervised = F.cross_entropy(self.net(x), y)
        with torch.no_grad():
            probs, pseudo = self.net(x_u).softmax(dim=-1).max(dim=-1)
        noisy = x_u + 0.1 * torch.randn_like(x_u)
        keep = (probs > self.threshold).float()
        consistency = (F.cross_entropy(self.net(noisy), pseudo, reduction="none") * keep).mean()
        loss = supervised + consistency
        self.log_dict({"train_loss": loss, "consistency": consistency}, batch_size=len(x))
        return loss


@batch_of(
    "(float[B,10], int[B]<3), (float[B,10], ?)",
    example="(float[B,10], int[B]<3), (float[B,10], int[B])",
)
class DomainAdaptationLoaders(Adam):
    """Two loaders, in a list."""

    def __init__(self):
        super().__init__()
        self.features, self.classifier = nn.Sequential(nn.Linear(10, 8), nn.ReLU()), nn.Linear(8, 3)
        self.domain = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        source, target = batch
        x_s, y_s = source
        x_t, _ = target
        f_s, f_t = self.features(x_s), self.features(x_t)
        task = F.cross_entropy(self.classifier(f_s), y_s)
        scores = self.domain(torch.cat([f_s, f_t])).squeeze(1)
        domains = torch.cat([torch.zeros(len(f_s)), torch.ones(len(f_t))]).to(scores)
        loss = task + F.binary_cross_entropy_with_logits(scores, domains)
        self.log("train/total_loss", loss, batch_size=len(x_s))
        return loss


@batch_of(
    "{inputs: {image: float[B,1,?,?], meta: float[B,4]}, targets: {category: int[B]<6}}",
    example="{inputs: {image: float[B,1,16,16], meta: float[B,4]}, targets: {category: int[B]<6}}",
)
class NestedDicts(Adam):
    def __init__(self):
        super().__init__()
        self.conv, self.meta, self.out = nn.Conv2d(1, 6, 3), nn.Linear(4, 6), nn.Linear(12, 6)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch["inputs"], batch["targets"]
        h = torch.cat([self.conv(inputs["image"]).amax(dim=(2, 3)), self.meta(inputs["meta"])], dim=1)
        loss = F.cross_entropy(self.out(F.relu(h)), targets["category"])
        self.log("train_loss", loss)
        return loss


class DictModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.text = nn.Embedding(15, 6), nn.EmbeddingBag(30, 6)
        self.out = nn.Linear(12, 1)

    def forward(self, batch):
        return self.out(torch.cat([self.user(batch["user_id"]), self.text(batch["tokens"])], dim=1)).squeeze(-1)


@batch_of(
    "{user_id: int[B]<15, tokens: int[B,T]<30, score: float[B]}",
    example="{user_id: int[B]<15, tokens: int[B,6]<30, score: float[B]}",
)
class BatchHandedOnWhole(Adam):
    def __init__(self):
        super().__init__()
        self.model, self.loss_fn = DictModel(), nn.MSELoss()

    def _shared_eval(self, batch, prefix):
        pred = self.model(batch)
        loss = self.loss_fn(pred, batch["score"])
        self.log(f"{prefix}_loss", loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self._shared_eval(batch, "train")


@dataclass
class WindowBatch:
    inputs: Tensor
    target: Tensor
    weight: Tensor


@batch_of(
    "WindowBatch(inputs: float[B,10,3], target: float[B,2], weight: float[B])",
    "WindowBatch(inputs: float[B,10,3], target: float[B,2], weight: float[B,1])",
    "WindowBatch(inputs: float[B,30], target: float[B,2], weight: float[B])",
    example=lambda: WindowBatch(torch.randn(6, 10, 3), torch.randn(6, 2), torch.rand(6)),
)
class AnnotatedDataclass(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))

    def training_step(self, batch: WindowBatch, batch_idx: int) -> Tensor:
        error = F.mse_loss(self.net(batch.inputs), batch.target, reduction="none").mean(dim=1)
        loss = (error * batch.weight.view(-1)).mean()
        self.log("train_loss", loss, batch_size=len(batch.inputs))
        return loss


class Sample(NamedTuple):
    image: Tensor
    label: Tensor
    index: Tensor


@batch_of(
    "Sample(image: float[B,1,28,28], label: int[B]<10)",
    "Sample(image: float[B,1,28,28], label: int[B]<10, index: ?)",
    example=lambda: Sample(torch.randn(6, 1, 28, 28), torch.arange(6), torch.arange(6)),
)
class NamedTupleOfWhichTwoAreRead(Adam):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def training_step(self, batch: Sample, batch_idx):
        logits = self.net(batch.image)
        loss = F.cross_entropy(logits, batch.label)
        self.log("train_loss", loss, batch_size=batch.image.size(0))
        return loss


@batch_of("float[B,5], float[B,1]", "float[B,5], float[B]", example="float[B,5], float[B,1]")
class OtherStructureInValidation(Adam):
    """Validation has a third part."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.layer(x), y.view(-1, 1))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y, group = batch
        error = (self.layer(x) - y.view(-1, 1)).abs()
        for name in group.unique():
            self.log(f"val_error_{int(name)}", error[group == name].mean())


@batch_of(
    "float[B,1,?,?], int[B]<10, ?",
    "float[B,1,?,?], int[B]<10",
    example="float[B,1,28,28], int[B]<10, int[B]",
)
class IndicesAndRest(Adam):
    """Reads by position and leaves the rest."""

    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 10)
        )

    def training_step(self, batch, batch_idx):
        data, target = batch[0], batch[1]
        output = self.cnn(data)
        loss = nn.CrossEntropyLoss()(output, target)
        acc = torch.sum(torch.argmax(output, dim=1) == target).item() / len(target)
        self.log("train_loss", loss)
        self.log("train_acc", acc)
        return loss


@batch_of("float[B,12], int[B]<4", example="float[B,12], int[B]<4")
class EverythingInHelpers(Adam):
    """The batch is unpacked two calls down, with the device moved by hand."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))

    def unpack(self, batch):
        data, target = [item.to(self.device) for item in batch]
        return data.type(torch.float32), target.type(torch.long)

    def compute(self, batch):
        data, target = self.unpack(batch)
        logits = self.net(data)
        return {"loss": F.cross_entropy(logits, target), "logits": logits, "target": target}

    def training_step(self, batch, batch_idx):
        outputs = self.compute(batch)
        accuracy = (outputs["logits"].argmax(1) == outputs["target"]).float().mean()
        self.log_dict({"train_loss": outputs["loss"], "train_acc": accuracy})
        return outputs["loss"]
