"""The notation of a batch, what is generated from it, and how a concrete batch is described."""

from __future__ import annotations

import copy
import pickle
from collections import namedtuple
from dataclasses import dataclass

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.data import extract_batch_size

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
    "[{boxes: float[3,4] boxes, labels: int[3]<5}] * B",
    "[x: float[3,8,8]] * 4, targets: [(int[], none)] * 4",
    "[float[]] * B=7",
    "int[B] in 1..7 falling",
    "x: float[20,3], batch: int[20]<B=4 rising, num_graphs: B",
    "float[B,3,4] boxes in 0..1",
    "bool[B,7] prefix, int[B,7]<2 prefix, float[B,7]<2 prefix",
    "bool[B,7] suffix",
    "float[B,10] simplex",
    "{B: B=3, '[B]': B, x: B(B: float[2])}",
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
        ("float[3,4] in 0..32 boxes", "float[3,4] boxes in 0..32"),
        ("int[B] falling in 1..7", "int[B] in 1..7 falling"),
        ("float[20]<B, int[B=3]", "float[20]<B=3, int[B]"),
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
        ("[float[3], int[2]] * B", 20, "one item in a list"),
        ("[float[3]] * 0", 14, "a number or B"),
        ("[float[3]] * x", 14, "a number or B"),
        ("float[B] in 0..B", 16, "a number, as in"),
        ("float[B,3] boxes", 12, "a last dimension of 4"),
        ("int[B,4] in 2..2 boxes", 18, "a range with room"),
        ("float[B,3] simplex in 0..1", 12, "without a range"),
        ("int[B,3] simplex", 10, "floats without a range"),
        ("float[B,3] prefix", 12, "a mask for prefix"),
        ("int[B,3]<B suffix", 12, "a mask for suffix"),
        ("int[B,3] prefix <5", 10, "a mask for prefix"),
        ("int[] rising", 7, "a dimension for rising"),
        ("complex[B] rising", 12, "no rising with complex"),
        ("bool[B]<B", 8, "no range after bool"),
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
        ("[{boxes: float[3,4], label: int[]}] * 6", 6),
        ("float[6,3,8,8], [float[3,4]] * 6", 6),
        ("float[5,3,8,8], [float[3,4]] * 6", None),
        ("float[B=8,3], [float[3,4]] * 2", 8),
        ("x: float[20,3], batch: int[20]<B=4", 4),
        ("x: float[20,3], count: B=3", 3),
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


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 20])
def test_lengths_fall_from_the_largest(size):
    lengths = generate("int[B] in 1..7 falling", size)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    assert lengths[0] == 7 and lengths.min() >= 1
    assert size < 3 or len(set(lengths.tolist())) > 1


def test_lengths_fall_from_the_largest_with_any_seed():
    for seed in range(50):
        assert generate("int[B] in 1..50 falling", 3, seed)[0] == 50
        assert generate("int[B] in 1..50", 3, seed).max() == 50


def test_whole_numbers_below_the_batch_size():
    for size in (1, 2, 3, 5):
        x, graphs, count = generate("x: float[20,3], batch: int[20]<B rising, num_graphs: B", size)
        assert len(x) == 20 and count == size and type(count) is int
        assert graphs.tolist() == sorted(graphs.tolist()) and set(graphs.tolist()) == set(range(size))
    assert set(generate("float[B,3]<B", 4).flatten().tolist()) == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("dtype", ["float", "half", "bfloat16", "double", "int", "uint8"])
@pytest.mark.parametrize(("given", "low", "high"), [("", 0, 32), (" in 4..6", 4, 6), (" in 0..1", 0, 1)])
def test_boxes_are_valid(dtype, given, low, high):
    first = generate(f"{dtype}[B,30,4] boxes{given}", 3)
    boxes = first.double()
    assert (boxes[..., 2:] > boxes[..., :2]).all()
    assert boxes.min() >= low and boxes.max() <= high
    assert high - low == 1 or len(boxes[..., 0].unique()) > 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("text", ["bool[B,7] prefix", "int[B,7]<2 prefix", "float[B,7]<2 prefix", "bool[B,2,7] prefix"])
def test_masks_begin_with_ones(text, size):
    for seed in range(20):
        rows = generate(text, size, seed).int().flatten(0, -2)
        assert (rows.diff(dim=1) <= 0).all() and (rows[:, 0] == 1).all()
        assert rows.all(dim=1).any()
        assert len(rows) == 1 or not rows.all()


def test_masks_of_padding_are_what_the_others_leave_out():
    rows = generate("bool[B,7] suffix")
    assert torch.equal(~rows, generate("bool[B,7] prefix"))


def test_mask_of_a_single_sample():
    drawn = [int(generate("bool[7] prefix", seed=seed).sum()) for seed in range(40)]
    assert min(drawn) >= 1 and max(drawn) == 7 and len(set(drawn)) > 2
    assert generate("[bool[1] prefix] * B")[0].tolist() == [True]


def test_fractions_sum_to_one():
    values = generate("float[B,10] simplex", 3)
    assert values.min() > 0 and torch.allclose(values.sum(dim=1), torch.ones(3)) and values.std() > 0
    assert generate("float[B,1] simplex", 3).tolist() == [[1.0]] * 3


def test_forms_of_nothing():
    for text in ("bool[0,7] prefix", "bool[3,0] prefix", "float[0,4] boxes", "float[0,3] simplex", "int[0] rising"):
        assert generate(text).numel() == 0


def test_samples_are_drawn_one_by_one():
    images, targets = generate("[float[3,8,8]] * B, [{boxes: float[3,4] boxes, labels: int[3]<5}] * B", 3)
    assert type(images) is list and len(images) == len(targets) == 3
    assert tuple(images[0].shape) == (3, 8, 8) and tuple(targets[2]["boxes"].shape) == (3, 4)
    assert not torch.equal(images[0], images[1])
    assert len(generate("[float[3,4]] * 6", 2)) == 2
    assert len(generate("float[B,2], [float[3,4]] * 6", 2)[1]) == 6


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


def test_object_is_used_as_graphs_and_as_named_tuples_are():
    batch = generate("Data(x: float[20,3], batch: int[20]<B rising, num_graphs: B)", 3)
    x, graphs, count = batch
    assert type(batch).__name__ == "Data" and batch.num_graphs == count == 3 and len(batch) == 3
    assert batch["x"] is batch[0] is x and batch.get("y", 1) == 1 and "x" in batch and "y" not in batch
    assert dict(**batch) == dict(batch.items()) and batch[1:] == (graphs, 3)
    batch.y = x.sum()
    batch["z"] = 1
    assert batch.keys() == ["x", "batch", "num_graphs", "y", "z"] and batch._replace(z=2).z == 2 and batch.z == 1
    del batch["z"]
    assert not hasattr(batch, "z")
    copied = batch.clone()
    assert type(copied) is type(batch) and copied.x is not x and torch.equal(copied.x, x)


def test_object_is_moved_as_a_whole():
    batch = generate("Data(x: float[B,3], more: {y: [float[B]]}, inner: Data(z: (float[B], none)))", 3)
    assert batch.to(torch.float64) is batch
    assert {t.dtype for t in (batch.x, batch.more["y"][0], batch.inner.z[0])} == {torch.float64}
    assert batch.inner.z[1] is None and batch.cpu() is batch
    moved = pl.LightningModule().transfer_batch_to_device({"batch": batch}, torch.device("meta"), 0)
    assert moved["batch"].x.is_meta and moved["batch"].inner.z[0].is_meta


def test_object_is_copied_and_pickled():
    batch = generate("Data(x: float[B,3], inner: Inner(y: int[B]))", 3)
    for again in (copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert type(again) is type(batch) and type(again.inner) is type(batch.inner)
        assert torch.equal(again.x, batch.x) and again.x is not batch.x and again.inner is not batch.inner
    assert copy.copy(batch).x is batch.x


def test_batch_size_that_lightning_extracts_from_an_object():
    batch = generate("Data(x: float[B,3], y: int[B])", 3)
    assert extract_batch_size(batch) == 3


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


def detection(*counts):
    return [{"boxes": torch.rand(n, 4) * 9 + 1, "labels": torch.tensor([n]), "id": n} for n in counts]


IMAGE, TABLE, LABELS = torch.randn(3, 8, 8), torch.randn(8, 3), torch.randn(8)
TARGET = "{boxes: float[1,4], labels: int[1]<2, id: 1}"
UNLIKE = [{"size": torch.randn(1), "text": "a"}, {"size": torch.randn(1)}]


@pytest.mark.parametrize(
    ("batch", "described", "size"),
    [
        (detection(3, 1), "[{boxes: float[3,4], labels: int[1]<4, id: 3}] * 2", 2),
        (detection(1, 1, 1, 1), f"[{TARGET}] * 4", 4),
        (detection(1, 1), f"[{TARGET}, {TARGET}]", 1),
        ((torch.randn(2, 3, 8, 8), detection(1, 1)), f"float[2,3,8,8], [{TARGET}] * 2", 2),
        ([IMAGE] * 4, "[float[3,8,8]] * 4", 4),
        (([IMAGE] * 2, [{"x": IMAGE, "y": LABELS}] * 2), "[float[3,8,8]] * 2, [{x: float[3,8,8], y: float[8]}] * 2", 2),
        ([(IMAGE, torch.tensor(1))] * 5, "[(float[3,8,8], int[]<2)] * 5", 5),
        ([TABLE] * 5, f"[{', '.join(['float[8,3]'] * 5)}]", 8),
        ([TABLE, torch.randn(9, 3)], "[float[8,3], float[9,3]]", None),
        ({"views": [TABLE] * 2, "y": LABELS}, "{views: [float[8,3], float[8,3]], y: float[8]}", 8),
        ([[TABLE, LABELS]] * 2, "[[float[8,3], float[8]], [float[8,3], float[8]]]", 8),
        ({"x": TABLE[:2], "name": ["a", "b"]}, "{x: float[2,3], name: ['a', 'b']}", 2),
        ({"x": TABLE[:2], "m": UNLIKE}, "{x: float[2,3], m: [{size: float[1], text: 'a'}, {size: float[1]}]}", None),
    ],
)
def test_lists_of_samples_are_told_from_other_lists(batch, described, size):
    assert describe(batch) == described
    assert batch_size_of(batch) == size


def test_samples_are_described_by_what_all_of_them_show():
    first, second = (
        {"x": torch.tensor([0, 3]), "m": torch.tensor([0.0, 1])},
        {"x": torch.tensor([-1]), "m": torch.rand(9)},
    )
    assert describe([first, second]) == "[{x: int[2] in -1..3, m: float[2]}] * 2"


@pytest.mark.parametrize(
    "text",
    ["int[B] in 1..7 falling", "bool[B,7] suffix", "bool[B,7] prefix", "int[B,7]<2 prefix", "float[B,10] simplex"],
)
def test_forms_are_seen_in_a_concrete_batch(text):
    spec = parse_batch_spec(text)
    assert spec_of(generate(text)).symbolic() == spec


def test_no_form_is_seen_where_there_is_none():
    assert describe(torch.tensor([3, 2, 1])) == "int[3]<4"
    assert describe(torch.tensor([[True, False], [False, True]])) == "bool[2,2]"
    assert describe(torch.ones(3, 3, dtype=torch.bool)) == "bool[3,3]"
    assert describe(torch.full((3, 4), 0.5)) == "float[3,4] in 0..1"


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


def test_slice_of_samples():
    images, targets = slice_batch((torch.zeros(4, 3, 8, 8), detection(3, 1, 2, 1)), 2)
    assert len(images) == 2 and [len(t["boxes"]) for t in targets] == [3, 1]


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
