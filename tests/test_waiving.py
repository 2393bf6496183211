"""What a check's page says of waiving it does waive it."""

from __future__ import annotations

import re

import pytest

from lightning_conformance.checks import CHECKS, all_checks
from lightning_conformance.environments import ENVIRONMENTS, judging
from lightning_conformance.reporting.catalogue import check_page, checks_text, explanation
from lightning_conformance.reporting.waiving import how_to_waive

# An error, and a warning where it fails; each with what shows it.
ERROR = ("loss_returned", "Faulty", ())
WARNING = ("validation_is_logged", "Silent", ("--lightning-strict",))
ADVICE = ("loss_is_returned_for_every_batch", "Skips", ())
SILENT = """
class Silent(Model):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.net(x), y)
"""
SKIPS = """
class Skips(Model):
    def training_step(self, batch, batch_idx):
        return None if batch_idx == 1 else super().training_step(batch, batch_idx)
"""


def block(check, language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", how_to_waive(CHECKS[check]), re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def outcome(kit, items):
    """The outcome of one check, and whether pytest's exit code says that all is well."""
    kit.module(SILENT, SKIPS)

    def run(check, *arguments):
        result = kit.run(f"--lightning-select={check}", *arguments)
        found = {node_id.rpartition("::")[2]: outcome for node_id, outcome in items(result).items()}
        return found.get(check), result.ret

    return run


@pytest.mark.parametrize(("check", "model", "options"), [ERROR, WARNING], ids=["error", "warning"])
@pytest.mark.parametrize("scope", ["", "cpu::"])
def test_the_table_of_the_page_waives_it(check, model, options, scope, kit, outcome):
    target = f"--lightning-module=model.py:{model}"
    assert outcome(check, target, *options) == ("failed", 1)
    table = block(check, "toml").replace("src/model.py:Model", f"model.py:{model}")
    table += 'batch = "x: float[4,3], y: float[4,1]"\n'
    key = f'"{scope}{check}"' if scope else check
    assert f"{{ {check} = " in table
    kit.write("pyproject.toml", table.replace(f"{{ {check} = ", f"{{ {key} = "))
    assert outcome(check, *options) == ("skipped", 0)


@pytest.mark.parametrize(("check", "model", "options"), [ERROR, WARNING], ids=["error", "warning"])
def test_the_decorator_of_the_page_waives_it(check, model, options, kit, outcome):
    decorated = block(check, "python")
    decorated = decorated.replace("class Model(pl.LightningModule): ...", f"class Waived({model}): pass")
    kit.module(SILENT, SKIPS, decorated)
    assert outcome(check, "--lightning-module=model.py:Waived", *options) == ("skipped", 0)


@pytest.mark.parametrize(("check", "model", "options"), [ERROR, WARNING], ids=["error", "warning"])
def test_the_option_and_the_keys_of_the_page_leave_it_out(check, model, options, kit, items):
    text = how_to_waive(CHECKS[check])
    option, key = f"--lightning-ignore={check}", f'ignore = ["{check}"]'
    assert f"`{option}`" in text
    assert f"`{key}`" in text
    kit.module(SILENT)
    target = f"--lightning-module=model.py:{model}"
    assert not [name for name in items(kit.run(target, option, *options)) if name.endswith(f"::{check}")]
    own = f'[[tool.lightning-conformance.modules]]\ntarget = "model.py:{model}"\n'
    for table in (f"[tool.lightning-conformance]\n{key}\n{own}", f"{own}{key}\n"):
        kit.write("pyproject.toml", table)
        found = items(kit.run(*options, batch=""))
        assert found
        assert not [name for name in found if name.endswith(f"::{check}")]


def test_a_baseline_waives_it(kit, outcome):
    check, model, _ = ERROR
    assert "`--lightning-baseline=FILE`" in how_to_waive(CHECKS[check])
    arguments = (f"--lightning-module=model.py:{model}", "--lightning-baseline=known.json")
    assert outcome(check, *arguments) == ("failed", 1)
    assert outcome(check, *arguments) == ("skipped", 0)


def test_advice_needs_no_reason_to_be_waived(kit, said):
    check, model, _ = ADVICE
    text = how_to_waive(CHECKS[check])
    assert "expected" not in text
    assert "`--lightning-severity=warning`" in text
    kit.module(SKIPS)
    arguments = (f"--lightning-module=model.py:{model}", f"--lightning-select={check}", "--lightning-strict")
    assert "advice: `training_step` returned None" in said(kit.run(*arguments))
    hidden = kit.run(*arguments, "--lightning-severity=warning")
    assert hidden.ret == 0
    assert "advice: " not in said(hidden)


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
def test_the_explanation_has_everything(check):
    text, page = explanation(check.name), check_page(check)
    head = text.partition("\n")[0]
    for word in (check.name, check.family, check.severity, f"since {check.since}", *judging(check.family)):
        assert word in head or (word in ENVIRONMENTS and "environments: all" in head), word
    assert "\n## How to waive it\n" in text
    assert f"`--lightning-ignore={check.name}`" in text
    assert text.partition("\n\n")[2].strip() == page.partition("*\n\n")[2].strip()


def test_the_list_names_environments(kit):
    printed = kit.run("--lightning-list-checks", batch="").stdout.str()
    assert checks_text() in printed
    rows = {line.split()[0]: line for line in printed.splitlines() if line.split()[:1]}
    assert re.search(r"device +error +virtual, cuda", rows["tensors_are_on_one_device"])
    assert re.search(r"logging +error +all +\S", rows["train_loss_logged"])
