"""`pytest --lightning-module=path:Class`: which items there are, and how they are chosen."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from lightning_conformance.checks import all_checks

CHECKS = [check.name for check in all_checks()]


def test_a_sound_module_passes_every_check(either_kit, items):
    result = either_kit.run("--lightning-module=model.py:Model", "-rA")
    assert result.ret == 0
    assert items(result) == {f"model.py:Model::cpu::{check}": "passed" for check in CHECKS}


def test_a_faulty_module_fails_the_check_of_its_fault(either_kit, items):
    result = either_kit.run("--lightning-module=model.py:Faulty", "-rA")
    assert result.ret == 1
    assert items(result)["model.py:Faulty::cpu::loss_returned"] == "failed"


@pytest.mark.parametrize("target", ["model.py:Model", "ABSOLUTE", "package.inner:Model", "model.py:Outer.Inner"])
def test_x(kit, target):
    pass
