"""What the names of a batch's parts say of their values."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lightning_conformance.subjects.batch_spec import BatchSpec, DictSpec, TensorSpec, parse_batch_spec
from lightning_conformance.subjects.batch_values import draw_tensor
from lightning_conformance.subjects.inference.graphs import EDGES, NODES, graph_leaves
from lightning_conformance.subjects.inference.naming import prior_of, refined
from lightning_conformance.subjects.inference.words import meaning_of, words_of

NAMES = (
    "mask attention_mask padding_mask key_padding_mask valid signal_len lengths wav_lens edge_index batch boxes "
    "is_weekend done terminated event old_log_probs prob probabilities alpha sample_weight temperature images img "
    "pixel_values audio t timesteps num_objects counts age price action rewards input_ids labels x y"
).split()


def tensor(text):
    spec = parse_batch_spec(text).root
    assert isinstance(spec, TensorSpec)
    return spec


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("signal_len", ("signal", "len")),
        ("targetLengths", ("target", "lengths")),
        ("imgHR2", ("img", "hr")),
        ("__x1", ("x",)),
        ("", ()),
        (None, ()),
    ],
)
def test_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("image_mask", "mask"),
        ("mask_image", "image"),
        ("image_id", "index"),
        ("label_lengths", "lengths"),
        ("class_weights", "fraction"),
        ("problem", None),
        ("pollen", None),
        ("imagination", None),
        ("pixel_values", "image"),
        ("imgs_left", "image"),
        ("image_features", None),
        ("class_embedding", None),
        ("time_series", None),
        ("src_key_padding_mask", "padding mask"),
        ("attn_mask", "attention mask"),
        ("old_log_probs", "log probability"),
        ("is_weekend", "flag"),
        ("is", None),
        ("num_boxes", "count"),
        ("edge_index", "edges"),
        ("t", "timestep"),
        ("x_t", None),
        ("x", None),
        ("_", None),
        (None, None),
    ],
)
def test_meaning_of_a_name(name, meaning):
    assert meaning_of(name) == meaning


@pytest.mark.parametrize(
    ("name", "kind", "rank", "prior"),
    [
        ("loss_mask", "any", None, "int[]<2"),
        ("loss_mask", "float", None, "float[]<2"),
        ("padding_mask", "any", 2, "bool[]"),
        ("dones", "any", 1, "float[]<2"),
        ("dones", "int", 1, "int[]<2"),
        ("signal_len", "any", 1, "int[] in 1..7"),
        ("probs", "any", 2, "float[] in 0.1..1"),
        ("image", "any", 4, "float[] in 0..1"),
        ("image", "any", 2, None),
        ("image", "int", 4, None),
        ("action", "any", 1, "int[]<2"),
        ("action", "any", 2, "float[]"),
        ("action", "int", 2, "int[]<2"),
        ("reward", "any", 1, "float[]"),
        ("reward", "int", 1, None),
        ("input_ids", "any", 2, "int[]<2"),
        ("timesteps", "any", 1, "int[]<10"),
        ("t", "float", 1, "float[] in 0..1"),
        ("x", "any", 2, None),
        (None, "any", None, None),
    ],
)
def test_prior_where_the_consumer_says_little(name, kind, rank, prior):
    assert prior_of(name, kind, rank) == (None if prior is None else tensor(prior))


@pytest.mark.parametrize(
    ("name", "found", "better"),
    [
        ("probs", "float[B]", "float[B] in 0.1..1"),
        ("probs", "float[B,10]", "float[B,10] simplex"),
        ("probs", "float[B,1]", "float[B,1] in 0.1..1"),
        ("alpha", "float[B,3]", "float[B,3] in 0.1..1"),
        ("sample_weight", "float[B]", "float[B] in 0.1..1"),
        ("old_log_probs", "float[B]", "float[B] in -3..-0.1"),
        ("img", "float[B,3,32,32]", "float[B,3,32,32] in 0..1"),
        ("img", "float[B,784]", "float[B,784]"),
        ("img", "uint8[B,3,32,32]", "uint8[B,3,32,32]"),
        ("mask", "float[B,7]", "float[B,7]<2"),
        ("mask", "bool[B,7]", "bool[B,7]"),
        ("attention_mask", "int[B,7]<2", "int[B,7]<2 prefix"),
        ("attention_mask", "float[B,7]", "float[B,7]<2 prefix"),
        ("attention_mask", "bool[7,7]", "bool[7,7]"),
        ("attention_mask", "int[B,7]<9", "int[B,7]<9"),
        ("padding_mask", "bool[B,7]", "bool[B,7] suffix"),
        ("padding_mask", "bool[B]", "bool[B]"),
        ("is_weekend", "float[B]", "float[B]<2"),
        ("done", "bool[B]", "bool[B]"),
        ("boxes", "float[3,4]", "float[3,4] boxes"),
        ("boxes", "float[B,3,4] in 0..1", "float[B,3,4] boxes in 0..1"),
        ("boxes", "float[B,5]", "float[B,5]"),
        ("boxes", "int[B,3,4]<2", "int[B,3,4] boxes"),
        ("timesteps", "int[B]<2", "int[B]<10"),
        ("timesteps", "int[B]<1000", "int[B]<1000"),
        ("t", "float[B]", "float[B] in 0..1"),
        ("age", "float[B]", "float[B] in 0.1..3"),
        ("age", "int[B]<2", "int[B]<2"),
        ("counts", "float[B]", "float[B]<5"),
        ("audio", "float[B,100]", "float[B,100] in -1..1"),
        ("reward", "float[B]", "float[B]"),
        ("labels", "int[B]<10", "int[B]<10"),
        ("x", "float[B,10]", "float[B,10]"),
    ],
)
def test_refined(name, found, better):
    assert refined(tensor(found), name) == tensor(better)


@pytest.mark.parametrize(
    ("name", "found", "others", "better"),
    [
        ("signal_len", "int[B]<2", {"signal": "float[B,50]", "text": "int[B,7]<9"}, "int[B] in 1..50 falling"),
        ("text_len", "int[B]<2", {"signal": "float[B,50]", "text": "int[B,7]<9"}, "int[B] in 1..7 falling"),
        ("lengths", "int[B]<2", {"y": "int[B]<2", "x": "float[B,7,3]"}, "int[B] in 1..7 falling"),
        ("lengths", "int[B]<2", {"x": "float[B,1,80,31]"}, "int[B] in 1..31 falling"),
        ("lengths", "int[B]<2", {"y": "int[B]<2"}, "int[B]<2"),
        ("lengths", "int[B] in 3..7", {"x": "float[B,9]"}, "int[B] in 3..7 falling"),
        ("lengths", "int[B]<8", {}, "int[B] in 1..7 falling"),
        ("wav_lens", "float[B]", {}, "float[B] in 0.1..1"),
        ("edge_index", "int[2,40]<2", {"x": "float[20,8]"}, "int[2,40]<20"),
        ("edge_index", "int[2,40]<90", {"x": "float[20,8]"}, "int[2,40]<20"),
        ("edge_index", "int[2,40]<9", {"x": "float[20,8]"}, "int[2,40]<9"),
        ("edge_index", "int[2,40]<2", {"x": "float[B,8]"}, "int[2,40]<B"),
        ("edge_index", "int[2,40]<2", {}, "int[2,40]<2"),
        ("edge_index", "int[B,40]<2", {"x": "float[20,8]"}, "int[B,40]<2"),
        ("batch", "int[20]<2", {"edge_index": "int[2,40]<20"}, "int[20]<B rising"),
        ("batch", "int[20]<2", {"x": "float[20,8]"}, "int[20]<2"),
    ],
)
def test_refined_beside_other_leaves(name, found, others, better):
    given = {key: tensor(text) for key, text in others.items()}
    assert refined(tensor(found), name, given) == tensor(better)


@pytest.mark.parametrize(
    ("name", "found", "consumers", "better"),
    [
        ("target", "float[B]", ["log"], "float[B] in 0.1..3"),
        ("target", "float[B]", ["poisson_nll_loss"], "float[B]<5"),
        ("counts", "float[B]", ["log"], "float[B] in 0.1..3"),
        ("counts", "float[B]", ["poisson_nll_loss"], "float[B]<5"),
        ("target", "float[B,10]", ["kl_div"], "float[B,10] simplex"),
        ("target", "float[B]", ["kl_div"], "float[B]"),
        ("probs", "float[B,10]", ["log"], "float[B,10] simplex"),
        ("weights", "float[B]", ["sqrt"], "float[B] in 0.1..1"),
        ("target", "float[B]<2", ["log"], "float[B]<2"),
        ("target", "float[B] in -1..1", ["log"], "float[B] in -1..1"),
        ("target", "float[B]", ["mse_loss"], "float[B]"),
        ("image", "float[B,3,8,8]", ["log"], "float[B,3,8,8] in 0.1..3"),
    ],
)
def test_refined_for_what_consumes_it(name, found, consumers, better):
    assert refined(tensor(found), name, consumers=consumers) == tensor(better)


FOUND = (
    "float[B] float[B,7] float[B,7,4] float[B,3,8,8] float[B]<2 float[B,7]<2 float[B,4] int[B] int[B]<2 int[B,7]<2 "
    "int[B,7,4]<2 int[B]<10 int[2,40]<2 bool[B] bool[B,7] bool[B,4] uint8[B,4] complex[B,4] float[] int[] int[23]<B"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_refined_keeps_shape_and_dtype_and_can_be_drawn_and_pasted(name):
    others = {"x": tensor("float[23,7]"), "edge_index": tensor("int[2,40]<23")}
    for found in [tensor(text) for text in [*FOUND, "float[B,4] in -1..1", "int[B] in 3..7"]]:
        for given in ({}, others):
            better = refined(found, name, given, ["log"])
            assert (better.shape, better.dtype, better.name) == (found.shape, found.dtype, found.name)
            assert refined(better, name, given, ["log"]) == better
            assert parse_batch_spec(str(BatchSpec(better))).root == better
            for size in (1, 3, 5):
                drawn = draw_tensor(better.with_batch_size(size), torch.Generator().manual_seed(size))
                assert_in_range(drawn, found.with_batch_size(size))


def assert_in_range(drawn, found):
    is_open = found.high is None or (found.high == 2 and not found.whole)
    if not is_open and drawn.numel():
        assert drawn.min() >= found.low and drawn.max() <= found.high - found.is_whole


def test_refined_keeps_the_name_of_a_leaf():
    assert refined(replace(tensor("float[B]"), name="w"), "weight").name == "w"


def test_parts_of_graphs():
    names = ["x", "edge_index", "batch", "y", "num_graphs", "num_nodes", "own"]
    parts = graph_leaves(names)
    assert list(parts) == names[:-1]
    spec = BatchSpec(DictSpec(tuple(parts.items())))
    assert parse_batch_spec(str(spec)) == spec
    batch = spec.generate(3, torch.Generator().manual_seed(0))
    assert batch["num_graphs"] == len(batch["y"]) == 3 and batch["num_nodes"] == len(batch["x"]) == NODES
    assert set(batch["batch"].tolist()) == {0, 1, 2}
    assert tuple(batch["edge_index"].shape) == (2, EDGES) and batch["edge_index"].max() < NODES


def test_one_graph_with_labels_of_its_nodes():
    assert str(BatchSpec(graph_leaves(["edge_index", "y", "train_mask"])["y"])) == f"float[{NODES}]"


def test_no_graph_without_edges():
    assert graph_leaves(["x", "y", "batch"]) == {}
