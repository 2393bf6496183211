"""The book-keeping of the fault suite: which faults of the catalogue have a module, and which have none yet."""

from __future__ import annotations

from collections import Counter

import pytest
from suite_cases import HERE, cases, catalogue, tomllib

FAULTS = catalogue()
CASES = list(cases("faults", "EXPECTED"))
SHOWN = {name for case in CASES for name in case.faults}
ELSEWHERE = {"device and precision", "distributed"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_module_names_faults_of_the_catalogue(case):
    assert case.expected["fault"] == "" or case.faults
    assert [name for name in case.faults if name not in FAULTS] == []


def test_no_two_modules_have_one_name():
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_what_the_catalogue_calls_open_has_no_module():
    assert [name for name, fault in FAULTS.items() if fault.open and name in SHOWN] == []


def _is_explained(fault):
    """Whether one reason is given: what no run decides needs no issue besides."""
    return [fault.open, fault.undecided != "", fault.issue != "" and not fault.undecided].count(True) == 1


def test_a_fault_without_a_module_says_why():
    unexplained = [name for name, fault in FAULTS.items() if name not in SHOWN and not _is_explained(fault)]
    assert unexplained == []


def test_other_issues_have_their_families_alone():
    assert {fault.family for fault in FAULTS.values() if fault.issue} == ELSEWHERE
    assert {fault.issue for fault in FAULTS.values() if fault.family in ELSEWHERE} == {"environments"}


def test_what_no_run_decides_is_advice_at_most():
    undecided = [case for case in CASES for name in case.faults if FAULTS[name].undecided]
    assert [case.name for case in undecided if case.expected["severity"] != "advice"] == []


def test_the_catalogue_is_whole():
    assert len(FAULTS) == 179
    assert {fault.severity for fault in FAULTS.values()} == {"SW", "CE", "CL", "ST"}
    tables = tomllib.loads((HERE / "faults" / "catalogue.toml").read_text(encoding="utf-8"))
    assert tables["undecided"].keys() <= FAULTS.keys()
