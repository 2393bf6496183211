"""`pytest --lightning-module=path:Class`: which items there are, and how they are chosen."""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree

import pytest
from outcomes import on_cpu, sound

from lightning_conformance.checks import all_checks

CHECKS = [check.name for check in on_cpu()]

TARGETS = """
class Outer:
    class Inner(Model):
        pass

def make():
    return Model(features=3)

instance = Model()
"""

OWN_TESTS = """
import pytest

def test_own():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    pass
"""


def ids(label):
    return [f"{label}::cpu::{check}" for check in CHECKS]


def test_a_sound_module_passes_every_check(either_kit, items):
    result = either_kit.run("--lightning-module=model.py:Model")
    assert result.ret == 0
    assert sound(items(result)) == dict.fromkeys(ids("model.py:Model"), "passed")


def test_a_faulty_module_fails_the_check_of_its_fault(either_kit, items):
    result = either_kit.run("--lightning-module=model.py:Faulty")
    assert result.ret == 1
    assert items(result)["model.py:Faulty::cpu::loss_returned"] == "failed"


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("model.py:Model", "model.py:Model"),
        ("./model.py:Model", "model.py:Model"),
        ("{folder}/model.py:Model", "model.py:Model"),
        ("package/inner.py:Model", "package/inner.py:Model"),
        ("package.inner:Model", "package.inner:Model"),
        ("model.py:Outer.Inner", "model.py:Outer.Inner"),
        ("model.py:make", "model.py:make"),
        ("model.py:instance", "model.py:instance"),
    ],
)
def test_a_target_names_a_class_a_factory_or_an_instance(kit, items, target, label):
    kit.module(TARGETS)
    kit.write("package/__init__.py", "")
    kit.module(name="package/inner.py")
    result = kit.run(f"--lightning-module={target.format(folder=kit.path)}")
    assert result.ret == 0
    assert sound(items(result)) == dict.fromkeys(ids(label), "passed")


def test_a_file_outside_of_the_working_directory_keeps_its_absolute_path(kit, items, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    file = (kit.path / "model.py").rename(folder / "model.py")
    result = kit.run(f"--lightning-module={file}:Model")
    assert sound(items(result)) == dict.fromkeys(ids(f"{file.as_posix()}:Model"), "passed")


def test_a_relative_path_starts_from_the_working_directory(kit, collected, monkeypatch):
    kit.write("pytest.ini", "[pytest]")
    kit.module(name="sub/other.py")
    monkeypatch.chdir(kit.path / "sub")
    result = kit.run("--lightning-module=other.py:Model", "--collect-only", "-q")
    assert result.ret == 0
    assert collected(result) == ids("other.py:Model")


def test_the_option_repeats(kit, items):
    result = kit.run("--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty")
    assert list(items(result)) == [*ids("model.py:Model"), *ids("model.py:Faulty")]
    assert {node_id.split("::")[0] for node_id, o in items(result).items() if o == "failed"} == {"model.py:Faulty"}


def test_a_module_named_twice_gets_ids_of_its_own(kit, collected):
    twice = ["--lightning-module=model.py:Model"] * 2
    result = kit.run(*twice, "--collect-only", "-q")
    assert collected(result) == [*ids("model.py:Model"), *ids("model.py:Model#2")]


def test_the_ini_option_lists_modules_with_their_options(kit, items):
    kit.module("class Wide(Model):\n    def __init__(self, features: int):\n        super().__init__(features)\n")
    kit.write(
        "pytest.ini",
        """
        [pytest]
        lightning_modules =
            # the sound one
            model.py:Model --lightning-batch 'x: float[4,3], y: float[4,1]'

            model.py:Wide --lightning-init features=7 --lightning-batch='float[4,7], float[4,1]'
        """,
    )
    result = kit.run()
    assert result.ret == 0
    assert sound(items(result)) == dict.fromkeys([*ids("model.py:Model"), *ids("model.py:Wide")], "passed")


def test_the_ini_option_starts_from_the_root_folder(kit, collected, monkeypatch):
    kit.write("pytest.ini", "[pytest]\nlightning_modules = model.py:Model")
    (kit.path / "sub").mkdir()
    monkeypatch.chdir(kit.path / "sub")
    result = kit.run("--collect-only", "-q")
    assert result.ret == 0
    assert collected(result) == ids("model.py:Model")


def test_ini_and_command_line_add_up_wherever_pytest_is_started(kit, collected, monkeypatch):
    kit.write("pytest.ini", "[pytest]\nlightning_modules = model.py:Model")
    kit.module(name="sub/other.py")
    monkeypatch.chdir(kit.path / "sub")
    result = kit.run("--lightning-module=other.py:Faulty", "--collect-only", "-q")
    assert result.ret == 0
    assert collected(result) == [*ids("model.py:Model"), *ids("other.py:Faulty")]


def test_items_are_added_to_the_users_own_tests(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    result = kit.run("--lightning-module=model.py:Model")
    own = ["test_own.py::test_own", "test_own.py::test_numbers[1]", "test_own.py::test_numbers[2]"]
    assert list(items(result)) == [*own, *ids("model.py:Model")]
    assert set(items(result).values()) <= {"passed", "skipped"}


def test_items_are_added_to_the_file_that_the_user_named(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    kit.write("test_other.py", OWN_TESTS)
    result = kit.run("--lightning-module=model.py:Model", "test_own.py::test_own")
    assert list(items(result)) == ["test_own.py::test_own", *ids("model.py:Model")]


@pytest.mark.parametrize(
    ("options", "own", "conformance"),
    [
        (["-m", "lightning_conformance"], 0, CHECKS),
        (["-m", "not lightning_conformance"], 3, []),
        (["-k", "loss_is_finite or test_own"], 3, ["loss_is_finite"]),
        (["-k", "Model and cpu and loss_returned"], 0, ["loss_returned"]),
        (["--deselect", "model.py:Model::cpu::loss_returned"], 3, [c for c in CHECKS if c != "loss_returned"]),
        (["--deselect", "model.py:Model"], 3, []),
    ],
)
def test_pytests_own_selection_works(kit, collected, options, own, conformance):
    kit.write("test_own.py", OWN_TESTS)
    found = collected(kit.run("--lightning-module=model.py:Model", "--collect-only", "-q", *options))
    assert len([node_id for node_id in found if node_id.startswith("test_own.py")]) == own
    assert [i for i in found if i.startswith("model.py")] == [f"model.py:Model::cpu::{c}" for c in conformance]


def test_collecting_runs_nothing(kit):
    kit.module('import pathlib\n\ndef make():\n    pathlib.Path("built").touch()\n    return Model()\n')
    result = kit.run("--lightning-module=model.py:make", "--collect-only")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*model.py:make*", "*cpu*", "*loss_returned*"])
    assert not (kit.path / "built").exists()


def test_the_last_failures_run_again(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    modules = ["--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty"]
    before = items(kit.run(*modules, cache=True))
    failed = [node_id for node_id, outcome in before.items() if outcome == "failed"]
    again = items(kit.run(*modules, "--lf", cache=True))
    assert failed
    assert again == dict.fromkeys(failed, "failed")


def test_a_junit_file_tells_items_apart(kit):
    kit.write("test_own.py", OWN_TESTS)
    kit.run("--lightning-module=model.py:Faulty", "--junitxml=report.xml")
    cases = list(ElementTree.parse(kit.path / "report.xml").iter("testcase"))
    names = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(names)) == len(names) == len(CHECKS) + 3
    [failed] = [case for case in cases if case.get("name") == "loss_returned"]
    assert "Faulty" in failed.get("classname")
    assert "return loss" in failed.find("failure").text


@pytest.mark.parametrize("options", [[], ["--lightning-module=model.py:Model"]])
def test_a_node_id_selects_one_item(kit, items, options):
    kit.write("test_own.py", OWN_TESTS)
    result = kit.run(*options, "model.py:Model::cpu::loss_returned")
    assert result.ret == 0
    assert items(result) == {"model.py:Model::cpu::loss_returned": "passed"}


def test_node_ids_select_as_a_test_runner_would_paste_them(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    chosen = ["model.py:Model::cpu::loss_returned", "model.py:Faulty::cpu::loss_returned", "test_own.py::test_own"]
    result = kit.run(*chosen)
    assert items(result) == dict(zip(chosen, ["passed", "failed", "passed"]))


def test_the_node_id_of_a_subject_selects_all_of_its_items(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    modules = ["--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty"]
    assert set(items(kit.run(*modules, "model.py:Model::cpu"))) == set(ids("model.py:Model"))


def test_a_node_id_selects_a_module_of_the_ini_option(kit, items):
    kit.write("pytest.ini", "[pytest]\nlightning_modules = model.py:Model --lightning-batch 'float[4,3], float[4,1]'")
    result = kit.run("model.py:Model::cpu::loss_returned")
    assert items(result) == {"model.py:Model::cpu::loss_returned": "passed"}


def test_a_node_id_with_an_unknown_check_is_refused(kit, said):
    result = kit.run("model.py:Model::cpu::loss_returnd")
    assert result.ret == 4
    assert "loss_returned" in said(result)


def test_node_ids_are_the_same_each_time(kit, collected):
    modules = ["--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty", "--collect-only", "-q"]
    assert (
        collected(kit.run(*modules))
        == collected(kit.run(*modules))
        == [*ids("model.py:Model"), *ids("model.py:Faulty")]
    )


def test_a_class_that_pytest_collects_is_still_collected(kit, items):
    kit.module("def test_in_the_models_file():\n    pass\n", name="test_model.py")
    result = kit.run("--lightning-module=test_model.py:Model")
    assert items(result)["test_model.py::test_in_the_models_file"] == "passed"
    assert len(items(result)) == 1 + len(CHECKS)


def test_without_a_module_nothing_is_added(kit, items):
    kit.write("test_own.py", OWN_TESTS)
    result = kit.run()
    assert len(items(result)) == 3
    assert "lightning-conformance" not in result.stdout.str().partition("plugins:")[2].partition("\n")[2]


@pytest.mark.parametrize(("value", "chosen"), [("cpu", ["cpu"]), ("auto", None), ("cpu,cpu", ["cpu"])])
def test_the_environment_is_chosen(kit, collected, value, chosen):
    from lightning_conformance.environments import select

    result = kit.run("--lightning-module=model.py:Model", f"--lightning-environment={value}", "--collect-only", "-q")
    found = dict.fromkeys(node_id.split("::")[1] for node_id in collected(result))
    assert list(found) == (chosen or [environment.name for environment in select(["auto"])])


def test_the_ini_option_chooses_the_environment(kit):
    import torch

    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA: the ini option names one that is not there")
    kit.write("pytest.ini", "[pytest]\nlightning_environment = cuda")
    result = kit.pytester.runpytest_inprocess(*kit.arguments, "--lightning-module=model.py:Model")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*'cuda' cannot be had here: *torch*"])


def test_a_module_is_imported_once_for_the_kit_and_for_the_users_tests(kit, items):
    kit.write(
        "test_own.py",
        """
        from model import Model

        def test_same_class(lightning_module):
            assert type(lightning_module) is Model
        """,
    )
    result = kit.run("--lightning-module=model.py:Model", "-k", "test_same_class")
    assert items(result) == {"test_own.py::test_same_class[Model-cpu]": "passed"}


def test_checks_are_listed_and_explained_without_a_module(kit):
    listed = kit.run("--lightning-list-checks")
    assert listed.ret == 0
    _, *lines = filter(None, listed.outlines)
    assert [line.split()[0] for line in lines] == [check.name for check in all_checks()]
    explained = kit.run("--lightning-explain=loss_returned")
    assert explained.ret == 0
    assert re.match(r"loss_returned \(loss, error, environments: all, since \d", explained.stdout.str())


def test_an_unknown_check_is_answered_with_the_nearest(kit, said):
    result = kit.run("--lightning-explain=loss_returnd")
    assert result.ret == 4
    assert "'loss_returnd'. Did you mean 'loss_returned'?" in said(result)


def test_no_file_is_left_in_the_users_folder(kit):
    before = {p.relative_to(kit.path) for p in kit.path.rglob("*")}
    kit.run("--lightning-module=model.py:Model", "--lightning-module=model.py:Faulty", cache=True)
    left = {p.relative_to(kit.path) for p in kit.path.rglob("*")} - before
    assert {path.parts[0] for path in left} == {".pytest_cache"}
    assert os.getcwd() == str(kit.path)
