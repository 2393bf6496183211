"""`[tool.lightning-conformance]`: keys like the options, one table a module; the command line wins."""

from __future__ import annotations

import pytest
from outcomes import on_cpu

from lightning_conformance.checks import CHECKS, all_checks

TABLE = """
[tool.lightning-conformance]
environment = "cpu"

[[tool.lightning-conformance.modules]]
target = "model.py:Model"
batch = "x: float[4,3], y: float[4,1]"
"""

UNUSED = """
class Unused(Model):
    def __init__(self):
        super().__init__()
        self.more = nn.Linear(2, 2)
"""


@pytest.fixture
def configured(kit):
    """Runs pytest in a folder with a pyproject.toml."""

    def run(text, *arguments):
        kit.write("pyproject.toml", text)
        return kit.run(*arguments, batch="")

    return run


def checks_of(items, label="model.py:Model"):
    return [node_id.rpartition("::")[2] for node_id in items if node_id.startswith(f"{label}::cpu::")]


def test_plain_pytest_checks_the_modules_of_the_table(configured, items, said):
    result = configured(TABLE)
    assert result.ret == 0
    assert checks_of(items(result)) == [check.name for check in on_cpu()]
    assert "(from --lightning-batch)" in said(result) or "float[4,3]" in said(result)


def test_arguments_of_the_constructor_keep_their_types(configured, kit, items):
    kit.module(
        "class Wide(Model):\n    def __init__(self, features: int, lr: float = 0.1, names: tuple = ()):\n"
        "        super().__init__(features, lr)\n        assert names == ('a', 'b') or list(names) == ['a', 'b']\n"
    )
    text = TABLE.replace("model.py:Model", "model.py:Wide") + 'init = { features = 3, lr = 0.5, names = ["a", "b"] }\n'
    result = configured(text)
    assert result.ret == 0
    assert "failed" not in items(result).values()


def test_each_module_has_its_own_checks_and_the_others_those_of_all(configured, kit, items):
    text = (
        TABLE
        + 'select = ["loss"]\nignore = ["loss_is_finite"]\n'
        + """
[[tool.lightning-conformance.modules]]
target = "model.py:Faulty"
batch = "x: float[4,3], y: float[4,1]"
"""
    )
    text = text.replace('environment = "cpu"', 'environment = "cpu"\nignore = ["logging", "weights_*"]')
    found = items(configured(text))
    own = {check.name for check in all_checks() if check.family == "loss"} - {"loss_is_finite"}
    assert set(checks_of(found)) == own
    others = {c.name for c in on_cpu() if c.family != "logging" and not c.name.startswith("weights_")}
    assert set(checks_of(found, "model.py:Faulty")) == others


def test_the_command_line_wins(configured, items):
    text = TABLE + 'select = ["logging"]\nignore = ["train_loss_logged"]\n'
    result = configured(text, "--lightning-select=train_loss_logged", "--lightning-batch=x: float[6,3], y: float[6,1]")
    assert checks_of(items(result)) == ["train_loss_logged"]
    assert "float[6,3]" in result.stdout.str()


def test_the_table_wins_over_the_ini_keys(configured, kit, items):
    kit.module(UNUSED)
    text = TABLE.replace("model.py:Model", "model.py:Unused")
    ini = '\n[tool.pytest.ini_options]\nlightning_strict = "{}"\n'
    assert configured(text + ini.format("true")).ret == 1
    assert configured(text.replace('"cpu"', '"cpu"\nstrict = false', 1) + ini.format("true")).ret == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('environment = "cpu"', 'enviroment = "cpu"'), ["unknown key `enviroment`", "Did you mean `environment`?"]),
        (('batch = "', 'bath = "'), ["number 1", "unknown key `bath`", "`batch`"]),
        (('environment = "cpu"', "strict = 1"), ["`strict` is 1, not true or false"]),
        (('environment = "cpu"', 'timeout = "long"'), ["`timeout` is 'long', not a whole number or a number"]),
        (('target = "model.py:Model"\n', ""), ["no `target`"]),
        (('environment = "cpu"', 'select = ["loss_retruned"]'), ["'loss_retruned'", "Did you mean 'loss_returned'"]),
        (('environment = "cpu"', 'ignore = ["logings"]'), ["'logings'", "'logging'"]),
        (('environment = "cpu"', 'report = "out.xml"'), ["out.xml", ".json, .md, .sarif"]),
        (('environment = "cpu"', 'severity = "bad"'), ["bad", "error, warning, advice"]),
        (
            ('environment = "cpu"', 'expected-failures = { loss_retruned = "x" }'),
            ["'loss_retruned'", "'loss_returned'"],
        ),
        (("[tool.lightning-conformance]", "[tool.lightning-conformance"), ["pyproject.toml"]),
    ],
)
def test_a_wrong_word_is_an_error_that_names_the_nearest(configured, said, change, words):
    assert change[0] in TABLE
    result = configured(TABLE.replace(*change, 1))
    assert result.ret in (3, 4), said(result)
    text = " ".join(said(result).split())
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ("loss_returned", "", {"loss_returned"}),
        ("loss_returned,weights_update", "", {"loss_returned", "weights_update"}),
        (
            "train_loss_*",
            "train_loss_logged",
            {n for n in CHECKS if n.startswith("train_loss_")} - {"train_loss_logged"},
        ),
        ("", "*", set()),
        ("parameters", "", {c.name for c in all_checks() if c.family == "parameters"}),
    ],
)
def test_checks_are_chosen_by_name_family_and_pattern(kit, items, select, ignore, expected):
    options = [f"--lightning-select={select}"] * bool(select) + [f"--lightning-ignore={ignore}"] * bool(ignore)
    result = kit.run("--lightning-module=model.py:Model", *options)
    assert set(checks_of(items(result))) == expected


def test_what_was_left_out_is_counted(kit):
    result = kit.run("--lightning-module=model.py:Model", "--lightning-select=loss_returned")
    result.stdout.fnmatch_lines([f"model.py:Model :: cpu: 1 check: 1 passed, {len(on_cpu()) - 1} deselected*"])


def test_a_choice_holds_for_suites_in_test_files(kit, items):
    kit.write(
        "test_own.py",
        "from lightning_conformance import parametrize_with_checks\nfrom model import Model\n\n"
        "@parametrize_with_checks([Model])\ndef test_conforms(lightning_check):\n    lightning_check()\n",
    )
    result = kit.run("--lightning-select=loss_returned")
    assert list(items(result)) == ["test_own.py::test_conforms[Model-cpu-loss_returned]"]


@pytest.mark.parametrize(("level", "is_told"), [("advice", True), ("warning", True), ("error", False)])
def test_findings_below_the_threshold_are_not_reported(kit, level, is_told):
    kit.module(UNUSED)
    result = kit.run("--lightning-module=model.py:Unused", f"--lightning-severity={level}")
    assert ("warning: " in result.stdout.str()) is is_told
