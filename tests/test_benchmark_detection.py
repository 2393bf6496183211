"""The benchmark of detection tells what is caught from what is not, and asks each tool in a process of its own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from suite_cases import HERE, Case, Fault, cases, catalogue
from suite_outcomes import Outcome, fault_outcome, legitimate_outcome, settings

from benchmarks import cost, detection, detection_tools
from benchmarks.children import ChildLost, in_child
from benchmarks.detection_rows import Row, markdown, percent, row_of
from benchmarks.detection_tools import TOOLS, isolated
from benchmarks.pages import PAGE, written
from lightning_conformance import Report
from lightning_conformance.checks.verdict import Finding, Verdict
from lightning_conformance.recording.model import Place

FAULTS = {case.name: case for case in cases("faults", "EXPECTED")}
LEGITIMATE = {case.name: case for case in cases("legitimate", "LEGITIMATE")}
CASE = FAULTS["LayersInList"]
CHECK = CASE.expected["check"]
WORDS = " ".join(CASE.expected["words"])


def finding(severity="error", message=WORDS, line=CASE.places[0], file=CASE.file):
    return Finding(message, severity=severity, place=Place(str(file), line))


def report(*findings, check=CHECK, reason=""):
    """A report in which one check says something, and the expected one perhaps nothing."""
    failed = any(each.severity == "error" for each in findings)
    outcome = "failed" if failed else "inconclusive" if reason else "passed"
    said = Verdict(check, "model:Model", "cpu", outcome, findings, reason)
    silent = Verdict(CHECK, "model:Model", "cpu", "passed")
    return Report((said,) if check == CHECK else (silent, said))


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        (report(finding()), "caught", ""),
        (report(finding(line=1), finding()), "caught", ""),
        (report(finding(line=1)), "misplaced", ":1, and the fault is on"),
        (report(finding(file=HERE / "other.py")), "misplaced", "other.py"),
        (report(finding(message="something")), "misjudged", "does not say ModuleList"),
        (report(finding(severity="warning")), "misjudged", "warning in place of error"),
        (report(finding(), check="loss_returned"), "wrong check", "loss_returned (error, line"),
        (report(finding(severity="advice"), check="loss_returned"), "missed", "passed"),
        (report(reason="nothing was seen"), "missed", "inconclusive (nothing was seen)"),
        (Report(()), "missed", "there is no check"),
    ],
)
def test_a_fault_is_caught_by_its_check_at_its_line_in_its_words(given, kind, reason):
    outcome = fault_outcome(CASE, given)
    assert outcome.kind == kind, outcome.reason
    assert reason in outcome.reason


def test_a_warning_that_was_expected_must_not_fail():
    case = next(case for case in FAULTS.values() if case.expected["severity"] == "warning")
    said = Finding(" ".join(case.expected["words"]), severity="warning", place=Place(str(case.file), case.places[0]))
    verdict = Verdict(case.expected["check"], "", "cpu", "passed", (said,))
    assert fault_outcome(case, Report((verdict,))).kind == "caught"


@pytest.mark.parametrize(
    ("severity", "kind"), [("error", "accused"), ("warning", "accused"), ("advice", "quiet"), (None, "quiet")]
)
def test_advice_accuses_nobody(severity, kind):
    outcome = legitimate_outcome(report(*([finding(severity)] if severity else [])))
    assert outcome.kind == kind
    assert (CHECK in outcome.reason) == (kind == "accused")


def test_a_case_says_what_the_module_is_told():
    said = {"batch": "float[4,3]", "init": {"width": 3}, "metric": "loss"}
    told = settings(Case(Path("file.py"), "Model", said))
    assert told.pop("environment") == "cpu"
    assert told == {"batch": "float[4,3]", "val_batch": None, "init": {"width": 3}, "train_loss": "loss"}


# The processes.


def test_a_child_answers():
    assert in_child(lambda: os.getpid(), 30) != os.getpid()


@pytest.mark.parametrize(
    ("function", "told"), [(lambda: time.sleep(60), "did not end in 0.5 s"), (lambda: os._exit(3), "died")]
)
def test_a_child_that_hangs_or_dies_is_told(function, told):
    with pytest.raises(ChildLost, match=told):
        in_child(function, 0.5)


def test_what_does_not_end_is_missed():
    assert isolated(CASE, lambda: time.sleep(60), seconds=0.5) == Outcome("missed", "it did not end in 0.5 s")
    assert isolated(LEGITIMATE["QLearner"], lambda: time.sleep(60), seconds=0.5).kind == "accused"


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ForgetsReturn", ["caught", "warned", "warned"]),
        ("HardCodedBatchSize", ["caught", "missed", "raised"]),
        ("LayersInList", ["caught", "missed", "missed"]),
        ("LogsAVector", ["caught", "raised", "raised"]),
    ],
)
def test_the_tools_and_a_faulty_module(name, kinds):
    if why := FAULTS[name].why_not_here():
        pytest.skip(why)
    assert [tool.ask(FAULTS[name]).kind for tool in TOOLS.values()] == kinds


@pytest.mark.parametrize("name", ["OwnTrainDataloader", "StatefulAcrossBatches"])
def test_the_tools_and_a_legitimate_module(name):
    if why := LEGITIMATE[name].why_not_here():
        pytest.skip(why)
    assert [tool.ask(LEGITIMATE[name]) for tool in TOOLS.values()] == [Outcome("quiet")] * 3


def test_a_batch_that_cannot_be_had_is_no_fault_of_the_module(tmp_path):
    pytest.importorskip("pytorch_lightning")
    file = tmp_path / "refuses.py"
    file.write_text(
        "import pytorch_lightning as pl\n\nclass Refuses(pl.LightningModule):\n"
        "    def training_step(self, batch, batch_idx):\n        raise KeyError(batch)\n"
        "    def configure_optimizers(self):\n        return None\n"
    )
    outcome = detection_tools.FAST_DEV_RUN.ask(Case(file, "Refuses", {"check": "training_completes"}))
    assert outcome.kind in ("raised", "not run")


# The tables.

CATALOGUE = {
    "lost": Fault("lost", "loss", "SW"),
    "early": Fault("early", "loss", "CE"),
    "missing": Fault("missing", "hooks", "SW", open=True),
    "meant": Fault("meant", "hooks", "SW", undecided="it may be meant"),
    "ranks": Fault("ranks", "distributed", "CL", issue="environments"),
}


def row(name, kind, *faults, plain="missed", reason="why"):
    outcomes = {"kit": Outcome(kind, "" if kind in ("caught", "quiet") else reason), "fit": Outcome(plain)}
    expected = {"check": "some_check", "fault": list(faults)} if kind not in ("quiet", "accused") else {}
    return row_of(Case(Path("file.py"), name, expected), outcomes, CATALOGUE)


ROWS = [
    row("A", "caught", "lost"),
    row("B", "misplaced", "lost"),
    row("C", "caught", "early", plain="raised"),
    row("D", "missed", reason="a | b"),
    row("E", "quiet", plain="quiet"),
    row("F", "accused", plain="quiet"),
]


def test_rows_know_family_and_severity():
    assert [(each.family, each.severity) for each in ROWS[2:4]] == [("loss", "CE"), ("not in the catalogue", "")]
    assert str(ROWS[1]) == "file/B: kit misplaced, fit missed\n    kit misplaced: why"


def test_tables_count_by_family_and_severity():
    lines = list(markdown(ROWS, CATALOGUE))
    assert "| loss | 3 | 2 (66%), 1 misplaced | 1 (33%) |" in lines
    assert "| not in the catalogue | 1 | 0 (0%) | 0 (0%) |" in lines
    assert "| trains or measures something else | 2 | 1 (50%), 1 misplaced | 0 (0%) |" in lines
    assert "| all | 4 | 2 (50%), 1 misplaced | 1 (25%) |" in lines


def test_a_fault_is_caught_where_all_its_modules_are():
    text = "\n".join(markdown(ROWS, CATALOGUE))
    assert "Of the 5 faults of the catalogue, 2 were tried here. 1 have no module yet, 1 cannot be decided" in text
    assert "| all | 2 | 1 (50%) | 1 (50%) |" in text
    assert "Of the 3 right findings of kit, 66% point to the right line." in text
    assert "right findings of fit" not in text


def test_false_alarms_and_reasons_are_listed():
    lines = list(markdown(ROWS, CATALOGUE))
    assert "| accused | 2 | 1 | 0 |" in lines
    assert "| `file/B` | lost | kit | misplaced: why |" in lines
    assert "| `file/D` |  | kit | missed: a \\| b |" in lines
    assert "| `file/F` | none: legitimate | kit | accused: why |" in lines
    assert "| meant | it may be meant |" in lines


def test_no_rows_make_no_tables():
    assert list(markdown([], CATALOGUE)) == []


def test_only_all_are_a_hundred_percent():
    assert (percent(199, 200), percent(200, 200), percent(0, 0)) == ("99%", "100%", "-")


# The commands.


@pytest.fixture
def answers(monkeypatch):
    """Tools that answer at once."""

    class Tool:
        def ask(self, case):
            return Outcome("caught" if case.is_faulty else "quiet")

    monkeypatch.setattr(detection, "TOOLS", {"kit": Tool(), "fit": Tool()})


def test_the_command_prints_and_writes(answers, capsys, tmp_path):
    detection.main(["--tools", "kit", "--case", "LayersInList", "--case", "QLearner", "--json", str(tmp_path / "j")])
    printed = capsys.readouterr().out
    assert "parameters_unregistered/LayersInList: kit caught" in printed
    assert "| parameters | 1 | 1 (100%) |" in printed
    assert [each["name"] for each in json.loads((tmp_path / "j").read_text())] == ["LayersInList", "QLearner"]


def test_the_command_takes_a_family(answers, capsys):
    detection.main(["--family", "parameters"])
    printed = capsys.readouterr().out
    assert "parameters_unregistered/LayersInList: kit caught" in printed
    assert "| all |" in printed
    assert "| loss |" not in printed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tools", "kid"], "no such tool: kid; there are kit, fit"),
        (["--case", "Nobody"], "no such file or case: Nobody"),
        (["--markdown", "--case", "QLearner"], "--markdown wants all modules"),
    ],
)
def test_wrong_words_are_told(answers, capsys, words, told):
    with pytest.raises(SystemExit):
        detection.main(words)
    assert told in capsys.readouterr().err


def test_a_part_of_the_page_is_replaced():
    page = "before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter\n"
    changed = written(page, "tables", ["new"])
    assert changed == "before\n<!-- tables: begin -->\n\nnew\n\n<!-- tables: end -->\nafter\n"
    assert written(changed, "tables", ["new"]) == changed
    with pytest.raises(ValueError, match="cost"):
        written(page, "cost", [])


def test_the_page_has_the_parts_that_are_written():
    text = PAGE.read_text(encoding="utf-8")
    for part in ("tables", "cost"):
        assert "\n\nso many lines\n\n" in written(text, part, ["so many lines"])


def test_the_cost_is_the_median_of_the_ratios():
    measured = cost.Cost("Model", ((1.0, 2.0), (1.0, 9.0), (2.0, 6.0)))
    assert measured.ratios == [2.0, 3.0, 9.0]
    assert str(measured) == "| `Model` | 1.00 s | 6.00 s | 3.0 | 2.0 to 9.0 |"
    assert "take the time of 3.0 plain fits" in list(cost.table([measured]))[-1]


def test_the_cost_of_an_example_can_be_measured(capsys):
    pytest.importorskip("pytorch_lightning")
    cost.main(["--pairs", "1", "classifier.py:Classifier"])
    assert "| `classifier.py:Classifier` |" in capsys.readouterr().out


def test_every_row_of_the_suite_has_its_place():
    families = {fault.family for fault in catalogue().values()}
    rows = [row_of(case, {}, catalogue()) for case in FAULTS.values()]
    assert {each.family for each in rows if each.faults} <= families
    assert all(isinstance(each, Row) for each in rows)
