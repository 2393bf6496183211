"""The version table: what tox is told, and what is read off the reports."""

from __future__ import annotations

import configparser
import json

import pytest

from lightning_conformance.errors import UsageError
from lightning_conformance.versions import main, read_table, report_file, table_lines, tox_ini

RELEASES = ["1.9", "2.0", "2.6"]


def report(work, release, **outcomes):
    verdicts = [{"check": check, "outcome": outcome} for check, outcome in outcomes.items()]
    cell = {"subject": "model.py:Model", "environment": "cpu", "verdicts": verdicts}
    report_file(work, release).write_text(json.dumps({"subjects": [cell]}), "utf-8")


def test_the_table_shows_what_fails_or_differs(tmp_path):
    report(tmp_path, "1.9", training_completes="passed", weights_update="passed", loss_returned="passed")
    report(tmp_path, "2.0", training_completes="failed", weights_update="inconclusive", loss_returned="passed")
    report(tmp_path, "2.6", training_completes="failed", weights_update="inconclusive")
    lines = list(table_lines(read_table(tmp_path, RELEASES), RELEASES))
    assert lines == [
        "model.py:Model :: cpu",
        "  Lightning           1.9    2.0    2.6",
        "  training_completes  ok     FAIL   FAIL",
        "  loss_returned       ok     ok     none",
        "  weights_update      ok     ?      ?",
    ]


def test_what_is_the_same_on_all_is_counted(tmp_path):
    for release in RELEASES:
        report(tmp_path, release, training_completes="passed", weights_update="failed", loss_returned="not applicable")
    lines = list(table_lines(read_table(tmp_path, RELEASES), RELEASES))
    assert lines[2:] == [
        "  weights_update  FAIL   FAIL   FAIL",
        "  2 others        pass, or do not apply, on all",
    ]


def test_what_differs_alike_is_counted_where_it_is_much(tmp_path):
    harmless = ["loss_returned", "loss_is_scalar", "loss_is_finite"]
    for release, first, others in (("1.9", "passed", "passed"), ("2.0", "failed", "inconclusive")):
        report(tmp_path, release, training_completes=first, **dict.fromkeys(harmless, others), closure_executed=others)
    lines = list(table_lines(read_table(tmp_path, RELEASES[:2]), RELEASES[:2]))
    assert lines[2:] == ["  training_completes  ok     FAIL", "  4 others            ok     ?"]


def test_tox_is_told_the_releases_and_what_old_ones_need(tmp_path):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(tox_ini(RELEASES, tmp_path, tmp_path, ["timm"], "constraints.txt"))
    assert parser["tox"]["env_list"] == "lightning{1.9,2.0,2.6}"
    deps = parser["testenv"]["deps"].split("\n")
    assert {"timm", "lightning1.9: lightning==1.9.*", "lightning2.0: setuptools<81"} <= set(deps)
    assert "lightning2.6: setuptools<81" not in deps
    assert any(line.startswith("-c ") and line.endswith("constraints.txt") for line in deps)
    assert "lightning-conformance" in " ".join(deps)


@pytest.mark.parametrize("words", [["versions", "--lightning=two"], ["versions", "--lightning=2"]])
def test_a_wrong_release_is_an_error(words):
    with pytest.raises(UsageError, match="is no release"):
        main(words)
