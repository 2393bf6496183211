"""The notation of a batch, what is generated from it, and how a concrete batch is described."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch

from lightning_conformance.errors import UsageError
from lightning_conformance.subjects.batch_spec import (
    BatchSpec,
    TensorSpec,
    batch_size_of,
    describe,
    parse_batch_spec,
    slice_batch,
    spec_of,
)

NOTATIONS = [
    "x: float[8,10], y: int[8]<2",
    "{image: float[B=8,3,8,8], 'a.b': int[B]<4}",
    "(float[B,3],)",
    "float[B,3] in 0..1",
    "float[B]<2",
    "[a: (float[5], int[5] in 1..9), none, 'a', 3, true]",
    "Batch(x: float[B,3], y: bool[B])",
    "float[] in -0.5..1000",
    "{1: int32[B], nested: {mask: bool[B,4]}}",
    "x: (float[7,B,2], none)",
    "()",
    "<Graph>",
]


def generate(text, size=None, seed=0):
    return parse_batch_spec(text).generate(size, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("text", NOTATIONS)
def test_notation_is_its_own_description(text):
    spec = parse_batch_spec(text)
    assert str(spec) == text
    assert parse_batch_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("(float[2], int64[2])", "float[2], int[2]"),
        ("float32[B=5, 3]", "float[B,3]"),
        ("{'image': long[4]}", "{image: int[4]}"),
        ("(float[3])", "float[3]"),
    ],
)
def test_one_canonical_spelling(text, same):
    assert str(parse_batch_spec(text)) == same


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a tensor such as float[8,10]"),
        ("x: flot[3]", 4, "did you mean float?"),
        ("float[3", 8, "',' or ']'"),
        ("float[ten]", 7, "a whole number, or B"),
        ("int[5]<?", 8, "how many values there are"),
        ("int[5]<x>", 7, "the number of values"),
        ("{a float[3]}", 4, "':' after the key"),
        ("{a: float[3], a: int[2]}", 15, "each key once"),
        ("bool[3]<2", 8, "no range after bool"),
        ("int[3] in 1.5..2", 11, "a whole number"),
        ("float[3] in 2..1", 13, "the smaller value first"),
        ("float[3] int[3]", 10, "',' or the end"),
        ("float[B=3], int[B=4]", 19, "one size for B"),
        ("float", 6, "'[' and the shape"),
    ],
)
def test_error_says_where_what_and_how(text, position, expected):
    with pytest.raises(UsageError) as caught:
        parse_batch_spec(text)
    assert f"at position {position}:" in caught.value.message
    assert expected in caught.value.message
    assert parse_batch_spec(caught.value.advice.partition(": ")[2])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("float[B,3], int[B]", 5),
        ("float[B=8,3], int[B]", 8),
        ("float[4,3], int[4]", 4),
        ("float[4,3], int[5]", None),
        ("float[4,3], float[]", 4),
        ("none", None),
    ],
)
def test_batch_size(text, size):
    assert parse_batch_spec(text).batch_size == size


def test_other_batch_size_reaches_every_batch_dimension():
    batch = generate("{x: float[8,10], pair: (int[8]<2, float[8,8])}", 3)
    assert [tuple(t.shape) for t in (batch["x"], *batch["pair"])] == [(3, 10), (3,), (3, 8)]
    assert tuple(generate("float[7,B,2]", 3).shape) == (7, 3, 2)


def test_spec_without_batch_dimension_is_generated_as_it_stands():
    first, second = generate("float[4,3], int[5]", 3)
    assert (first.shape[0], second.shape[0]) == (4, 5)


def test_dtypes():
    batch = generate("double[2], half[2], bfloat16[2], int32[2], uint8[2], complex[2]")
    wanted = [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.uint8, torch.complex64]
    assert [t.dtype for t in batch] == wanted


@pytest.mark.parametrize("size", [4, 5, 13])
def test_every_class_occurs(size):
    assert set(generate("int[B]<4", size).tolist()) == {0, 1, 2, 3}


def test_ranges_are_kept():
    assert set(generate("int[50] in 3..5").tolist()) == {3, 4, 5}
    assert set(generate("float[6]<2").tolist()) == {0.0, 1.0}
    assert set(generate("bool[5]").tolist()) == {True, False}
    values = generate("float[100] in 2..3")
    assert values.min() >= 2 and values.max() <= 3 and values.std() > 0
    assert generate("int[3]<1000000").max() < 1000000


def test_values_are_new_each_time_and_determined_by_the_generator():
    spec = parse_batch_spec("float[B,3], int[B]<100")
    source = torch.Generator().manual_seed(1)
    first, second = spec.generate(None, source), spec.generate(None, source)
    assert not torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])
    again = spec.generate(None, torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(first, again))


def test_generator_of_torch_is_left_alone():
    before = torch.get_rng_state()
    generate("float[B,3], int[B]<100, bool[B]")
    assert torch.equal(before, torch.get_rng_state())


def test_structure_of_the_batch():
    batch = generate("{a: [float[2], none], b: Sample(text: int[2], label: 'x')}")
    assert type(batch["a"]) is list and batch["a"][1] is None
    assert batch["b"].label == "x" and tuple(batch["b"].text.shape) == (2,)


def test_opaque_object_cannot_be_generated():
    with pytest.raises(UsageError, match="<Graph>"):
        generate("float[3], <Graph>")


Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Sample:
    image: torch.Tensor
    label: torch.Tensor


def test_description_of_concrete_batches():
    image, label = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])
    assert describe([image, label]) == "[float[4,3], int[4]<3]"
    assert describe(Sample(image, label)) == "Sample(image: float[4,3], label: int[4]<3)"
    assert describe(Pair(image, None)) == "Pair(left: float[4,3], right: none)"
    assert describe({"x": torch.tensor([-2, 4])}) == "{x: int[2] in -2..4}"
    assert describe({"m": torch.tensor([0.0, 1.0])}) == "{m: float[2]<2}"
    assert describe((object(),)) == "(<object>,)"


def test_description_generates_a_batch_of_the_same_description():
    batch = {"x": torch.rand(6, 3), "y": torch.arange(6) % 3, "name": "a"}
    spec = spec_of(batch)
    assert describe(spec.generate(generator=torch.Generator().manual_seed(0))) == str(spec)


def test_description_never_raises():
    class Hostile(dict):
        def items(self):
            raise RuntimeError

    assert describe(Hostile()) == "<Hostile>"
    assert describe(torch.empty(0, 3)) == "float[0,3]"
    assert describe(torch.tensor([float("nan")])) == "float[1]"


def test_batch_size_of_a_concrete_batch():
    assert batch_size_of({"x": torch.zeros(4, 2), "scale": torch.tensor(1.0)}) == 4
    assert batch_size_of((torch.zeros(4, 2), torch.zeros(5))) is None
    assert batch_size_of("text") is None


def test_slice_keeps_containers():
    batch = {
        "pair": Pair(torch.arange(4), torch.tensor(7)),
        "sample": Sample(torch.zeros(4, 2), torch.ones(4)),
        "names": list("abcd"),
        "flag": True,
    }
    part = slice_batch(batch, 2)
    assert type(part["pair"]) is Pair and part["pair"].left.tolist() == [0, 1] and part["pair"].right == 7
    assert type(part["sample"]) is Sample and tuple(part["sample"].image.shape) == (2, 2)
    assert part["names"] == ["a", "b"] and part["flag"] is True
    assert tuple(batch["sample"].image.shape) == (4, 2)


@pytest.mark.parametrize(
    "batch",
    [(torch.zeros(4), torch.zeros(5)), (torch.zeros(4), object()), torch.zeros(1), None],
    ids=["sizes differ", "opaque part", "one sample", "no tensor"],
)
def test_slice_that_would_be_ambiguous_is_refused(batch):
    assert slice_batch(batch, 2) is None


def test_built_by_hand():
    spec = BatchSpec(TensorSpec(("B", 3), "int", 0, 5, name="ids"), 4)
    assert str(spec) == "ids: int[B=4,3]<5"
