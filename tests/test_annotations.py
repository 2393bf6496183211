"""What annotations tell of a batch, and that a search starts from it."""

# ruff: noqa: F722, F821, UP006, UP007, UP035, UP037, UP045

from __future__ import annotations

import dataclasses
import typing
from typing import Any, NamedTuple, TypedDict

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_conformance.subjects.annotations import annotated_batch, annotated_inputs, node_of_annotation
from lightning_conformance.subjects.batch_spec import parse_batch_spec
from lightning_conformance.subjects.inference import infer_batch


class _Array:
    """Stands for jaxtyping, by what its annotations have: ``dim_str``, ``dtypes`` and ``array_type``."""

    dtypes: tuple[str, ...] = ("float16", "float32", "float64")

    def __class_getitem__(cls, item):
        array_type, dims = item
        return type(cls.__name__, (cls,), {"array_type": array_type, "dim_str": dims})


class StandInFloat(_Array):
    pass


class StandInInt(_Array):
    dtypes = ("int8", "int16", "int32", "int64")


class StandInBool(_Array):
    dtypes = ("bool",)


class StandInShaped(_Array):
    dtypes = typing.cast(Any, object())


Kinds = tuple[Any, Any, Any, Any]


@pytest.fixture(params=["stand-in", "jaxtyping"])
def kinds(request) -> Kinds:
    if request.param == "stand-in":
        return StandInFloat, StandInInt, StandInBool, StandInShaped
    jaxtyping = pytest.importorskip("jaxtyping")
    return jaxtyping.Float, jaxtyping.Int, jaxtyping.Bool, jaxtyping.Shaped


def text(annotation: Any) -> str:
    return node_of_annotation(annotation).body()


def test_array_annotations(kinds):
    Float, Int, Bool, Shaped = kinds
    assert text(Float[Tensor, "b 3 32 32"]) == "float[B,3,32,32]"
    assert text(Float[Tensor, "batch channels=3 h w"]) == "float[B,3,?,?]"
    assert text(Float[Tensor, "time batch 8"]) == "float[?,B,8]"
    assert text(Int[Tensor, "samples"]) == "int[B]"
    assert text(Bool[Tensor, "x y"]) == "bool[B,?]"
    assert text(Float[Tensor, ""]) == "float[]"
    assert text(Float[Tensor, "4 3"]) == "float[4,3]"
    assert text(Float[Tensor, "*batch 3"]) == "float[...]"
    assert text(Float[Tensor, "... 3"]) == "float[...]"
    assert text(Float[Tensor, "b n-1"]) == "float[B,?]"
    assert text(Shaped[Tensor, "b 2"]) == "?[B,2]"


class Pair(NamedTuple):
    x: Tensor
    y: torch.LongTensor
    weight: Tensor | None = None


@dataclasses.dataclass
class Sample:
    image: Tensor
    count: int
    label: Tensor = None  # type: ignore[assignment]
    note: str = "none"


class Keys(TypedDict, total=False):
    ids: typing.Annotated[Tensor, "ids"]


class AllKeys(TypedDict):
    ids: Tensor
    pair: tuple[Tensor, Tensor]


class Recursive(NamedTuple):
    inner: Recursive


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (tuple[Tensor, Tensor], "(?[...], ?[...])"),
        (tuple[Tensor, Tensor | None], "(?[...], ?[...])"),
        (tuple[torch.LongTensor, Any], "(int[...], ?)"),
        (tuple[Tensor, ...], "?"),
        (tuple[Tensor], "?"),
        (typing.Tuple[Tensor], "?"),
        (typing.Tuple[Tensor, typing.Optional[Tensor]], "(?[...], ?[...])"),
        (typing.Union[Tensor, list[Tensor]], "?"),
        (dict[str, Tensor], "{}"),
        (typing.Mapping[str, Any], "{}"),
        (list[Tensor], "?"),
        (Tensor | list[Tensor], "?"),
        (Tensor | None, "?[...]"),
        (Pair, "Pair(x: ?[...], y: int[...], weight: ?[...] or none)"),
        (Sample, "Sample(image: ?[...], count: 1, label: ?[...])"),
        (Keys, "{}"),
        (AllKeys, "{ids: ?[...], pair: (?[...], ?[...])}"),
        (Recursive, "Recursive(inner: ?)"),
        (Any, "?"),
        (object, "?"),
        ("Unresolved", "?"),
        (None, "?"),
    ],
)
def test_structures(annotation, expected):
    assert text(annotation) == expected


class Base(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Named(Base):
    def forward(self, x: StandInFloat[Tensor, "b 6"]):
        return self.net(x)

    def training_step(self, batch: Pair, batch_idx: int) -> Tensor:
        assert type(batch) is Pair
        return F.cross_entropy(self(batch.x), batch.y)


class Typed(Base):
    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        if not isinstance(batch, Sample):
            raise TypeError("a Sample is wanted")
        return batch.count * F.cross_entropy(self.net(batch.image), batch.label)


class Parts(NamedTuple):
    past: Tensor
    static: Tensor | None = None
    future: Tensor | None = None

    def inputs(self):
        return (self.past,) if self.static is None else (self.past, self.static)


class Methods(Base):
    """Calls a method of its batch, and needs one of the parts that may be left out."""

    def training_step(self, batch: Parts, batch_idx: int) -> Tensor:
        (past,) = batch.inputs()
        return F.mse_loss(self.net(past), batch.future)


class Shaped(Base):
    """Nothing in the code says what the shape is."""

    def training_step(self, batch: tuple[StandInFloat[Tensor, "b 4 9"], StandInInt[Tensor, "b 7"]], batch_idx: int):
        x, y = batch
        return self.net.weight.sum() * x.mean() + self.net.bias.sum() * y.float().mean()


class Checked(Base):
    """Checks its batch against the annotation, as runtime type checkers do."""

    def training_step(self, batch: tuple[StandInFloat[Tensor, "b k"], StandInInt[Tensor, "b"]], batch_idx: int):
        x, y = batch
        if x.dtype != torch.float32 or y.dtype != torch.int64:
            raise ValueError("wrong types")
        return (self.net.weight.sum() * x).mean() + y.sum()


class DictIsChecked(Base):
    def training_step(self, batch: dict[str, Tensor], batch_idx: int):
        if not isinstance(batch, dict):
            raise SystemError("unreachable with a dict")
        return F.cross_entropy(self.net(batch["image"]), batch["label"])


class Wrong(Base):
    """Annotated as no step can take it."""

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int):
        x, y = batch
        return F.cross_entropy(self.net(x), y)


class WrongShape(Base):
    def training_step(self, batch: tuple[StandInFloat[Tensor, "b 5"], StandInInt[Tensor, "b"]], batch_idx: int):
        x, y = batch
        return F.cross_entropy(self.net(x), y)


class Loose(Base):
    def training_step(self, batch: Tensor, batch_idx: int):
        x, y = batch
        return F.cross_entropy(self.net(x), y)


class CheckersOnly(Base):
    def training_step(self, batch: NotThere, batch_idx: tuple[int, AlsoNotThere]):  # noqa: F821
        x, y = batch
        return F.cross_entropy(self.net(x), y)


def found(cls: type, **options: Any) -> Any:
    return infer_batch(cls, seed=annotated_batch(cls), example=annotated_inputs(cls), **options)


@pytest.mark.parametrize(
    ("cls", "spec"),
    [
        (Named, "Pair(x: float[B,6], y: int[B]<3)"),
        (Typed, "Sample(image: float[B,6], count: 1, label: int[B]<3)"),
        (Methods, "Parts(past: float[B,6], future: float[B,3])"),
        (Shaped, "float[B,4,9], int[B,7]"),
        (Checked, "float[B,8], int[B]"),
        (DictIsChecked, "{image: float[B,6], label: int[B]<3}"),
    ],
)
def test_a_search_starts_from_the_annotation(cls, spec):
    inferred = found(cls)
    assert str(inferred.spec) == spec
    assert inferred.seeded


def test_without_the_annotation_the_shape_would_not_be_found():
    assert str(infer_batch(Shaped).spec) != str(found(Shaped).spec)


@pytest.mark.parametrize("cls", [Wrong, Loose, CheckersOnly])
def test_an_annotation_that_leads_nowhere_is_left_aside(cls):
    inferred = found(cls)
    assert str(inferred.spec) == "x: float[B,6], y: int[B]<3"
    assert not inferred.seeded


def test_an_annotated_dimension_that_cannot_be_is_doubted():
    inferred = found(WrongShape)
    assert str(inferred.spec) == "float[B,6], int[B]<3"
    assert any("annotation of the batch says otherwise" in doubt for doubt in inferred.doubts)


@pytest.mark.parametrize("cls", [Loose, CheckersOnly, Base, pl.LightningModule])
def test_a_loose_annotation_says_nothing(cls):
    assert annotated_batch(cls) is None
    assert annotated_inputs(cls) is None


def test_a_batch_is_generated_as_the_annotated_class():
    for cls, wanted in ((Named, Pair), (Typed, Sample)):
        spec = found(cls).spec
        assert type(spec.generate()) is wanted
        assert str(parse_batch_spec(str(spec))) == str(spec)


MODULE = """
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import LIGHTNING as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from nowhere import Batch

@dataclass
class MyBatch:
    x: Tensor
    y: Tensor

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def training_step(self, batch: MyBatch, batch_idx: int) -> Batch:
        if not isinstance(batch, MyBatch):
            raise TypeError(f"{type(batch)} is no MyBatch")
        loss = F.cross_entropy(self.net(batch.x), batch.y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Twice(Model):
    def forward(self, left, right):
        return self.net(torch.cat([left, right], 1))

    def __init__(self):
        super().__init__()
        self.example_input_array = (torch.ones(2, 2), torch.ones(2, 4))

    def training_step(self, batch, batch_idx):
        left, right, y = batch
        return F.cross_entropy(self(left, right), y)

class ByName(Twice):
    def __init__(self):
        super().__init__()
        self.example_input_array = {"right": torch.ones(2, 5), "left": torch.ones(2, 1)}

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(left=batch["left"], right=batch["right"]), batch["y"])
"""


def test_a_string_annotation_gives_the_users_own_class(kit, said):
    kit.write("model.py", MODULE)
    result = kit.run("--lightning-module=model.py:Model", "-m", "lightning_conformance", batch="")
    text = said(result)
    assert result.ret == 0, text
    assert "  inferred    --lightning-batch 'MyBatch(x: float[B,6], y: int[B]<3)'" in text
    assert "The search started from the annotation of training_step's batch." in text


@pytest.mark.parametrize("spec", ["MyBatch(x: float[4,6], y: int[4]<3)", "MyBatch(y: int[B]<3, x: float[B,6])"])
def test_a_spec_names_the_users_own_class(kit, said, spec):
    kit.write("model.py", MODULE)
    result = kit.run("--lightning-module=model.py:Model", "-m", "lightning_conformance", batch=spec)
    assert result.ret == 0, said(result)


def test_a_name_that_is_no_class_of_the_users_stays_a_named_tuple(kit, said):
    kit.write("model.py", MODULE)
    result = kit.run("--lightning-module=model.py:Model", batch="Other(x: float[4,6], y: int[4]<3)")
    assert result.ret == 1
    assert "is no MyBatch" in said(result)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("Twice", "left: float[B,2], right: float[B,4], y: int[B]<3"),
        ("ByName", "{left: float[B,1], right: float[B,5], y: int[B]<3}"),
    ],
)
def test_all_of_example_input_array_is_used(kit, said, name, spec):
    kit.write("model.py", MODULE)
    result = kit.run(f"--lightning-module=model.py:{name}", "-m", "lightning_conformance", "-k", "completes", batch="")
    text = said(result)
    assert f"--lightning-batch '{spec}'" in text
    assert "The search took its inputs from example_input_array." in text
