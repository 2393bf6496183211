"""Bad input: one clear message, exit code 4 or a failed item, never an internal error, no frame of the kit."""

from __future__ import annotations

import pytest
import torch
from outcomes import on_cpu

OBJECTS = """
class Net(nn.Module):
    pass

class Data(pl.LightningDataModule):
    pass

number = 3

def feed():
    return torch.ones(4, 3), torch.ones(4, 1)
"""

WRONG_TARGETS = [
    ("missing.py:Model", "there is no file missing.py"),
    ("modle.py:Model", "Did you mean model.py?"),
    ("model.py", "has no name after a colon"),
    ("model.py:", "LightningModules in it: model.py:Model, model.py:Faulty"),
    ("model.py:Modle", "there is no `Modle` in model.py"),
    ("model.py:Model.Inner", "there is no `Inner` in Model of model.py"),
    ("model.py:Net", "is a torch.nn.Module class, not a LightningModule"),
    ("model.py:number", "is an instance of int (3), not a LightningModule"),
    ("model.py:Data", "--lightning-batch=model.py:Data"),
    ("model.py:pl", "is a Python module, not a LightningModule"),
    ("model.py:pl.LightningModule", "is Lightning's base class LightningModule itself"),
    ("no.such.package:Model", "there is no module `no`"),
    ("notes.txt:Model", "is not a Python file"),
    (":Model", "names no file and no module"),
]


def usage_error(result, said):
    """The message of a run that ended with exit code 4."""
    assert result.ret == 4
    text = said(result)
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(("target", "says"), WRONG_TARGETS, ids=[target for target, _ in WRONG_TARGETS])
def test_a_target_that_names_no_module(kit, said, target, says):
    kit.module(OBJECTS)
    kit.write("notes.txt", "notes")
    kit.write("test_own.py", "def test_own():\n    pass\n")
    text = usage_error(kit.run(f"--lightning-module={target}"), said)
    assert text.count(says) == 1
    assert text.count("ERROR") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lightning-environment=gpu"], "unknown environment 'gpu'"),
        (["--lightning-environment=cpuu"], "Did you mean 'cpu'?"),
        (["--lightning-environment=cpu,tpu"], "unknown environment 'tpu'"),
        (["--lightning-timeout=soon"], "--lightning-timeout=soon: not a number of seconds"),
        (["--lightning-timeout=-1"], "--lightning-timeout=-1: less than nothing"),
        (["--lightning-timeout=nan"], "--lightning-timeout=nan"),
        (["--lightning-init=width=3"], "width"),
        (["--lightning-init=featurs=3"], "Did you mean `features`?"),
        (["--lightning-init=features=three"], "features"),
        (["--lightning-init=features"], "name=value"),
        (["--lightning-init={not json"], "JSON"),
        (["--lightning-config=missing.yaml"], "missing.yaml"),
        (["--lightning-config=broken.yaml"], "broken.yaml"),
        (["--lightning-batch=x: flot[4,3]"], "flot"),
        (["--lightning-batch=x: float[4,3"], "float[4,3"),
        (["--lightning-batch=missing.py:feed"], "there is no file missing.py"),
        (["--lightning-batch=model.py:fed"], "there is no `fed` in model.py"),
        (["--lightning-batch=model.py:number"], "neither a function nor a LightningDataModule"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_option_value_that_cannot_be_meant(kit, said, options, says):
    kit.module(OBJECTS)
    kit.write("broken.yaml", "model: [")
    text = usage_error(kit.run("--lightning-module=model.py:Model", *options, batch=""), said)
    assert says in text
    assert text.count("ERROR") == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("missing.py:Model", "there is no file missing.py"),
        ("model.py:Model --lightning-inti a=1", "--lightning-inti"),
        ("model.py:Model --lightning-init", "expected one argument"),
        ("model.py:Model --lightning-batch 'x: float[4,3]", "No closing quotation"),
        ("model.py:Model stray", "stray"),
    ],
)
def test_a_line_of_the_ini_option_that_cannot_be_meant(kit, said, line, says):
    kit.write("pytest.ini", f"[pytest]\nlightning_modules = {line}")
    assert says in usage_error(kit.run(), said)
    assert says in usage_error(kit.run("model.py:Faulty::cpu"), said)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lightning_environment = gpu", "unknown environment 'gpu'"),
        ("lightning_timeout = soon", "soon: not a number of seconds"),
    ],
)
def test_an_ini_value_that_cannot_be_meant(kit, said, line, says):
    kit.write("pytest.ini", f"[pytest]\n{line}")
    result = kit.pytester.runpytest_inprocess(*kit.arguments, "--lightning-module=model.py:Model")
    assert says in usage_error(result, said)


def test_an_environment_that_is_not_there_says_why(kit, said):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    result = kit.run("--lightning-module=model.py:Model", "--lightning-environment=cuda")
    text = usage_error(result, said)
    assert "environment 'cuda' cannot be had here: " in text


def test_options_about_a_module_without_a_module(kit, said):
    assert "--lightning-init is given, and no module" in usage_error(kit.run("--lightning-init=a=1"), said)


BROKEN_FILES = {
    "a syntax error": ("class Model(:\n", ["SyntaxError", "broken.py"]),
    "an import that does not work": ("from torch import no_such_name\n", ["no_such_name", "broken.py"]),
    "an exception": ("1 / 0\n\nclass Model:\n    pass\n", ["ZeroDivisionError", "broken.py"]),
    "a call to exit": ("import sys\nsys.exit(3)\n", ["SystemExit", "broken.py"]),
}

BROKEN_MODULES = {
    "required arguments": (
        "def __init__(self, width: int, names: list[str], other):\n        super().__init__()",
        ["width  int", "names  list[str]", "other", "--lightning-init width=<int>"],
    ),
    "a constructor that raises": (
        "def __init__(self):\n        super().__init__()\n        raise OSError('no weights')",
        ["cannot be constructed: OSError: no weights", "raise OSError('no weights')"],
    ),
    "no super().__init__()": (
        "def __init__(self):\n        self.net = nn.Linear(3, 1)",
        ["cannot be constructed: AttributeError", "self.net = nn.Linear(3, 1)"],
    ),
    "a training_step that raises": (
        "def training_step(self, batch, batch_idx):\n        return batch['image'].sum()",
        ["return batch['image'].sum()", "x: float[4,3], y: float[4,1]"],
    ),
    "a wrong attribute": (
        "def training_step(self, batch, batch_idx):\n        return self.nett(batch[0]).sum()",
        ["no attribute 'nett'", "return self.nett(batch[0]).sum()"],
    ),
}


def one_failure(result, items, said, target):
    """The text of a run in which nothing but ``training_completes`` failed, and the user's own test passed."""
    assert result.ret == 1
    outcomes = items(result)
    assert outcomes.pop(f"{target}::cpu::training_completes") == "failed"
    assert outcomes.pop("test_own.py::test_own") == "passed"
    assert set(outcomes.values()) <= {"skipped"}
    assert len(outcomes) == len(on_cpu()) - 1
    return said(result)


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_file_that_cannot_be_imported_fails_an_item(kit, items, said, name):
    source, says = BROKEN_FILES[name]
    kit.write("broken.py", source)
    kit.write("test_own.py", "def test_own():\n    pass\n")
    result = kit.run("--lightning-module=broken.py:Model")
    text = one_failure(result, items, said, "broken.py:Model")
    assert [word for word in says if word not in text] == []


@pytest.mark.parametrize("name", BROKEN_MODULES)
def test_a_module_that_cannot_run_fails_an_item(kit, items, said, name):
    source, says = BROKEN_MODULES[name]
    kit.module(f"class Broken(Model):\n    {source}\n")
    kit.write("test_own.py", "def test_own():\n    pass\n")
    result = kit.run("--lightning-module=model.py:Broken")
    text = one_failure(result, items, said, "model.py:Broken")
    assert [word for word in says if word not in text] == []


def test_a_batch_that_does_not_fit_shows_the_modules_error_and_the_spec(kit, items, said):
    kit.write("test_own.py", "def test_own():\n    pass\n")
    result = kit.run("--lightning-module=model.py:Model", batch="x: float[4,9], y: float[4,1]")
    text = one_failure(result, items, said, "model.py:Model")
    assert "mat1 and mat2 shapes cannot be multiplied (4x9 and 3x1)" in text
    assert "x: float[4,9], y: float[4,1]" in text
    assert "model.py:" in text


def test_a_batch_function_that_raises_fails_an_item(kit, items, said):
    kit.module("def feed():\n    raise OSError('no data')\n")
    kit.write("test_own.py", "def test_own():\n    pass\n")
    result = kit.run("--lightning-module=model.py:Model", batch="model.py:feed")
    text = one_failure(result, items, said, "model.py:Model")
    assert "model.py:feed raised OSError: no data" in text
    assert "raise OSError('no data')" in text


def test_a_factory_that_returns_something_else_fails_an_item(kit, items, said):
    kit.module("def make():\n    return 3\n")
    kit.write("test_own.py", "def test_own():\n    pass\n")
    text = one_failure(kit.run("--lightning-module=model.py:make"), items, said, "model.py:make")
    assert "returned an instance of int (3), not a LightningModule" in text


def test_one_broken_module_leaves_the_others_their_verdicts(kit, items):
    kit.write("broken.py", "class Model(:\n")
    result = kit.run("--lightning-module=broken.py:Model", "--lightning-module=model.py:Model")
    outcomes = items(result)
    assert {o for node_id, o in outcomes.items() if node_id.startswith("model.py")} <= {"passed", "skipped"}
    assert outcomes["broken.py:Model::cpu::training_completes"] == "failed"


@pytest.mark.parametrize("style", ["long", "short", "line", "native", "no"])
def test_no_style_of_traceback_shows_the_kit(kit, said, style):
    source, _ = BROKEN_MODULES["a constructor that raises"]
    kit.module(f"class Broken(Model):\n    {source}\n")
    modules = ["--lightning-module=model.py:Broken", "--lightning-module=model.py:Faulty"]
    result = kit.run(*modules, f"--tb={style}")
    assert result.ret == 1
    assert ("no weights" in said(result)) or style == "no"
