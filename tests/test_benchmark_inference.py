"""The benchmark of inference counts what is right, what is wrong, and what cannot be."""

from __future__ import annotations

import json
import sys
from collections import namedtuple

import inference_modules as modules
import pytest
import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from benchmarks import inference
from benchmarks.agreement import disagreements, pattern_disagreements
from benchmarks.cases import Case, own, selected, unseen
from benchmarks.inference_rows import Row, percentile, rates
from benchmarks.reading import leaf_paths, replaced, unread_parts
from lightning_conformance.subjects.batch_spec import parse_batch_spec, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")

Transition = namedtuple("Transition", ["state", "reward"])


def differences(expected, found, free=()):
    return disagreements(parse_batch_spec(expected).root, parse_batch_spec(found).root, free)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("float[8,10], int[8]<2", "x: float[B,3], y: int[B]<7"),
        ("[float[8,10], int[8]]", "float[B,10], int[B]"),
        ("{image: float[8,3,4,4], label: int[8]}", "{label: int[B], image: float[B,1,9,9]}"),
        ("{views: [float[8,3], float[8,3]]}", "{views: (float[B,3], float[B,3])}"),
        ("Transition(state: float[8,3], reward: float[8])", "float[B,3], float[B]"),
        ("Transition(state: float[8,3], reward: float[8])", "Batch(reward: float[B], state: float[B,3])"),
        ("{a: none, b: float[8]}", "{a: none, b: float[B]}"),
        ("[float[3,7,5], float[3,9,9]], int[2]", "[float[3,8,8], float[3,8,8], float[3,8,8]], int[B]"),
    ],
)
def test_agreement(expected, found):
    assert differences(expected, found) == []


@pytest.mark.parametrize(
    ("expected", "found", "difference"),
    [
        ("float[8,10]", "float[B]", "batch is float[B], expected float[8,10]"),
        ("float[8]", "int[B]", "batch is int[B], expected float[8]"),
        ("bool[8]", "int[B]", "batch is int[B], expected bool[8]"),
        ("int32[8]", "int[B]", "batch is int[B], expected int32[8]"),
        ("{a: float[8]}", "float[B]", "batch is float[B], expected {a: float[8]}"),
        ("{a: float[8], b: int[8]}", "{a: float[B]}", "batch['b'] is missing"),
        ("{a: float[8]}", "{a: float[B], b: int[B]}", "batch['b'] does not belong there"),
        ("(float[8], (int[8], int[8]))", "float[B], int[B]", "batch[1] is int[B], expected (int[8], int[8])"),
        ("float[8], int[8]", "float[B], int[B], int[B]", "batch[2] does not belong there"),
        ("[float[8,3], float[8,3]]", "[float[B,3], float[B,3], float[B,3]]", "batch[2] does not belong there"),
        ("{a: none}", "{a: float[B]}", "batch['a'] is float[B], expected none"),
        ("{a: float[8]}", "{a: none}", "batch['a'] is none, expected float[8]"),
        ("Sample(x: float[8,3], y: float[8])", "float[B,3], int[B]", "batch[1] is int[B], expected float[8]"),
    ],
)
def test_disagreement(expected, found, difference):
    assert differences(expected, found) == [difference]


def test_parts_that_are_never_read_are_free():
    assert differences("float[8,3], int[8]", "float[B,3], float[B,7]", {(1,)}) == []
    assert differences("float[8,3], int[8]", "(float[B,3],)", {(1,)}) == []
    assert differences("{a: float[8], b: (int[8], int[8])}", "{a: float[B]}", {("b", 0), ("b", 1)}) == []
    assert differences("{a: float[8], b: (int[8], int[8])}", "{a: float[B]}", {("b", 0)}) == ["batch['b'] is missing"]
    assert differences("Transition(state: float[8], reward: int[8])", "float[B], float[B]", {("reward",)}) == []


@pytest.mark.parametrize(
    ("patterns", "found", "fits"),
    [
        (["float[B,3,?,?], ?"], "float[B,3,8,9], float[B,3]", True),
        (["float[B,3,H,H]"], "float[B,3,8,8]", True),
        (["float[B,3,H,H]"], "float[B,3,8,9]", False),
        (["float[B,3]"], "float[B,4]", False),
        (["float[B,3]"], "float[3,B]", False),
        (["int[B]<3"], "int[B]<3", True),
        (["int[B]<3"], "int[B]<4", False),
        (["int[B]<3"], "int[B]", True),
        (["int[B,T]<9, int[B] in 1..T"], "int[B,7]<9, int[B] in 1..7", True),
        (["int[B,T]<9, int[B] in 1..T"], "int[B,7]<9, int[B] in 1..8", False),
        (["int[B,T]<9, int[B] in 1..T, float[U]"], "int[B,7]<9, int[B] in 1..7, float[3]", True),
        (["float[N,3], int[2,E]<N"], "float[11,3], int[2,20]<11", True),
        (["float[N,3], int[2,E]<N"], "float[11,3], int[2,20]<12", False),
        (["float[B] in 0..1"], "float[B]<2", True),
        (["float[B] in 0..1"], "float[B]", False),
        (["float|bool[B,7]<2"], "bool[B,7]", True),
        (["float|bool[B,7]<2"], "int[B,7]<2", False),
        (["float[B]", "int[B]<2"], "int[B]<2", True),
        (["[float[3,H,W], ...], ?"], "[float[3,8,9], float[3,7,6]], none", True),
        (["[float[3,H,W], ...], ?"], "[float[3,8,9], float[1,7,6]], none", False),
        (["{a: ?, b: float[B]}"], "{a: (int[B], int[B]), b: float[B]}", True),
    ],
)
def test_pattern(patterns, found, fits):
    assert (not pattern_disagreements(patterns, parse_batch_spec(found).root)) == fits


def test_sizes_and_ranges_of_a_pattern_need_not_count():
    found = parse_batch_spec("float[B,4], int[B]<9").root
    assert len(pattern_disagreements(["float[B,3], int[B]<3"], found)) == 2
    assert pattern_disagreements(["float[B,3], int[B]<3"], found, exact=False) == []
    assert len(pattern_disagreements(["float[B,3], int[B,T]"], found, exact=False)) == 1


def test_pattern_is_shown_as_it_was_written():
    (difference,) = pattern_disagreements(["float[B,H,?]"], parse_batch_spec("float[B,3]").root)
    assert difference == "batch is float[B,3], expected float[B,H,?]"


class ReadsTwoOfFour(Adam):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def training_step(self, batch, batch_idx):
        x, unread = batch["x"], batch["meta"]
        return F.cross_entropy(self.layer(x), batch["pair"][1])


def four():
    return {"x": torch.randn(4, 3), "meta": torch.zeros(4), "pair": (torch.zeros(4), torch.tensor([0, 1, 0, 1]))}


def test_unread_parts():
    assert unread_parts(ReadsTwoOfFour, four) == {("meta",), ("pair", 0)}


def test_nothing_is_unread_where_the_hand_made_batch_does_not_run():
    assert unread_parts(ReadsTwoOfFour, lambda: {**four(), "x": torch.randn(4, 5)}) == set()


@pytest.mark.parametrize("batch", [four(), [torch.zeros(2), Transition(torch.zeros(1), None)]], ids=["dict", "list"])
def test_each_leaf_can_be_replaced(batch):
    paths = list(leaf_paths(batch))
    for path in paths:
        changed = replaced(batch, path, "new")
        assert list(leaf_paths(changed)) == paths
        assert str(spec_of(changed)).count("'new'") == 1 and "'new'" not in str(spec_of(batch))


def hand_made(build, batch, name="case"):
    return inference.try_case(Case("group", name, build, batch))


def test_row_of_a_batch_that_is_right():
    row = hand_made(modules.LinearClassifier, lambda: [torch.randn(4, 10), torch.tensor([0, 1, 2, 0])])
    assert (row.found, row.verified, row.agrees, row.is_wrong) == (True, True, True, False)
    assert row.attempts > 0 and row.seconds > 0 and str(row).startswith("ok  group/case")


def test_row_of_a_batch_that_is_wrong():
    row = hand_made(modules.LinearClassifier, lambda: [torch.randn(4, 2, 10), torch.zeros(4, 10)])
    assert (row.verified, row.agrees, row.is_wrong) == (True, False, True)
    assert row.differences[0] == "batch[0] is float[B,10], expected float[4,2,10]"


def test_parts_that_are_never_read_do_not_count():
    assert hand_made(ReadsTwoOfFour, four).agrees


class Misspelt(ReadsTwoOfFour):
    def training_step(self, batch, batch_idx):
        return self.lager(batch["x"]).sum()


class NotVerified(ReadsTwoOfFour):
    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum().detach()


def not_built():
    raise OSError("no such file\nwith more")


def exits():
    sys.exit(3)


def test_rows_of_cases_that_fail():
    row = hand_made(Misspelt, four)
    assert not row.found and "lager" in row.error
    row = hand_made(NotVerified, lambda: torch.randn(4, 3))
    assert (row.found, row.verified, row.agrees, row.is_wrong) == (True, False, True, False)
    assert "does not require grad" in row.error
    assert hand_made(not_built, four).missing == "not built: OSError: no such file"
    assert hand_made(exits, four).missing == "not built: SystemExit: 3"
    assert "ValueError: broken" in hand_made(modules.LinearClassifier, broken).differences[0]


def broken():
    raise ValueError("broken")


class CannotBeCopied(modules.LinearClassifier):
    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


def test_module_that_cannot_be_copied_is_built_anew():
    assert hand_made(CannotBeCopied, lambda: (torch.randn(4, 10), torch.tensor([0, 1, 2, 0]))).agrees


def test_rates():
    right = {"found": True, "verified": True, "agrees": True, "attempts": 4}
    rows = [
        *(Row("own", "g", str(i), **right, seconds=i / 10) for i in range(1, 9)),
        Row("own", "g", "wrong", found=True, verified=True, attempts=40, seconds=2.0, doubts=("?",)),
        Row("own", "g", "failed", seconds=3.0, error="no"),
        Row("own", "g", "absent", missing="not installed"),
    ]
    assert list(rates(rows)) == [
        "own: 10 cases, found 9 (90%), verified 9 (90%), agrees 8 (80%), wrong but running 1 (10%), "
        "with doubts 1 (10%)",
        "    found in 0.50 s (median), 2.00 s (90th percentile), 2.00 s (longest)",
        "    attempts: 4 (median), 40 (90th percentile)",
        "    longest failure 3.00 s",
    ]


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (90, 9), (91, 10), (100, 10), (1, 1)])
def test_percentile(percent, value):
    assert percentile(range(1, 11), percent) == value


def test_names_select_cases():
    cases = [Case("a", "x", dict), Case("a", "y", dict), Case("b", "z", dict)]
    assert selected(cases, []) == cases
    assert selected(cases, ["a", "z"]) == cases and selected(cases, ["y"]) == cases[1:2]
    with pytest.raises(LookupError, match="no such file or case: w"):
        selected(cases, ["w", "a"])


def test_unseen_modules_are_a_source_of_their_own():
    cases = list(unseen())
    assert {case.source for case in cases} == {"unseen"} and all(case.expected for case in cases)
    assert not {case.name for case in cases} & {case.name for case in own()}


def test_command(tmp_path, monkeypatch, capsys):
    names = ["LinearClassifier", "AutoencoderIgnoresLabel"]
    rows = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", ["inference", "--own", "--markdown", "--json", str(rows), *names])
    inference.main()
    out = capsys.readouterr().out
    assert "own: 2 cases, found 2 (100%)" in out
    assert "| inference_modules/LinearClassifier | yes | yes | yes | 0 |" in out
    written = json.loads(rows.read_text())
    assert [row["name"] for row in written] == names and all(row["agrees"] for row in written)


def test_a_part_that_is_none_may_be_left_out():
    expected = parse_batch_spec("{x: float[8,3], weights: none}").root
    assert disagreements(expected, parse_batch_spec("{x: float[B,3]}").root) == []
    assert disagreements(expected, parse_batch_spec("{weights: none}").root) != []
