"""What the terminal shows."""

from __future__ import annotations

import re
import shlex
import textwrap

import pytest
from conftest import BATCH
from outcomes import on_cpu

from lightning_conformance.lightning_api import LightningPackage

STEP_ONLY = """
class StepOnly(Model):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss

class Unused(Model):
    def __init__(self):
        super().__init__()
        self.extra = nn.Linear(2, 2)

class Manual(Model):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
"""

DIAGNOSIS = """
model.py:StepOnly :: cpu :: train_loss_logged_once_per_epoch

  `train_loss` reached the logger 4 times in epoch 0, 4 times in epoch 1; expected once per epoch.

  model.py:35 in StepOnly.training_step
     35 |         self.log("train_loss", loss)
        |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  Cause  In training_step, self.log defaults to on_step=True, on_epoch=False: each batch's value is
         logged, and no mean of the epoch is computed.
  Fix    self.log("train_loss", loss, on_step=False, on_epoch=True)

  More   pytest --lightning-explain=train_loss_logged_once_per_epoch
"""

CHECK = "train_loss_logged_once_per_epoch"
STEP = ["--lightning-module=model.py:StepOnly", "-k", CHECK]


@pytest.fixture(autouse=True)
def modules(kit):
    kit.module(STEP_ONLY)


def section(result, title):
    """The lines between a section's heading and the next one."""
    lines = iter(result.outlines)
    for line in lines:
        if line.startswith("=") and f" {title} " in line:
            break
    found = []
    for line in lines:
        if line.startswith("==="):
            break
        found.append(line.rstrip())
    return found


def test_a_failure_reads_like_a_good_compilers(either_kit, said):
    either_kit.module(STEP_ONLY)
    result = either_kit.run(*STEP)
    shown = "\n".join(section(result, "FAILURES")[1:])
    assert shown.strip() == DIAGNOSIS.strip()
    assert said(result)


def test_a_decorated_test_shows_the_same_diagnosis(kit):
    kit.write(
        "test_own.py",
        """
        from lightning_conformance import LightningConformance

        class TestStepOnly(LightningConformance):
            module = "model.py:StepOnly"
            batch = "float[4,3], float[4,1]"
        """,
    )
    shown = "\n".join(section(kit.run("-k", CHECK), "FAILURES")[1:])
    assert shown.strip() == DIAGNOSIS.strip()


@pytest.mark.parametrize("style", ["auto", "long", "short", "native"])
def test_styles_of_traceback_show_the_diagnosis_once(kit, said, style):
    text = said(kit.run(*STEP, f"--tb={style}"))
    assert text.count(DIAGNOSIS.strip()) == 1


def test_the_style_of_one_line_shows_the_users_line(kit):
    shown = [line for line in section(kit.run(*STEP, "--tb=line"), "FAILURES") if line]
    message = "`train_loss` reached the logger 4 times in epoch 0, 4 times in epoch 1; expected once per epoch."
    assert shown == [f"{kit.path / 'model.py'}:35: {message}"]


def test_no_traceback_means_no_diagnosis(kit, said):
    text = said(kit.run(*STEP, "--tb=no"))
    assert "Cause" not in text
    assert f"FAILED model.py:StepOnly::cpu::{CHECK} - `train_loss" in text


def test_the_header_shows_the_resolved_configuration(kit):
    result = kit.run("--lightning-module=model.py:Model", "--lightning-module=model.py:Unused", "--lightning-strict")
    [at] = [i for i, line in enumerate(result.outlines) if line.startswith("lightning-conformance ")]
    assert result.outlines[at].partition(": ")[2] == "model.py:Model, model.py:Unused; environment: cpu"
    assert result.outlines[at + 1 : at + 3] == [
        "  settings: strict (command line)",
        "  all modules: batch 'x: float[4,3], y: float[4,1]' (command line)",
    ]


def test_the_header_says_which_file_said_it(kit):
    kit.write(
        "pytest.ini",
        """
        [pytest]
        lightning_guess = false
        lightning_train_loss = loss
        lightning_timeout = 120
        lightning_modules =
            model.py:Model --lightning-ignore a*,b*,c*,d* --lightning-init features=3
        """,
    )
    result = kit.run("--collect-only", "--lightning-infer-seconds=9", batch="")
    at = next(i for i, line in enumerate(result.outlines) if line.startswith("lightning-conformance "))
    assert result.outlines[at + 1 : at + 3] == [
        "  settings: infer-seconds 9 (command line); no guess (pytest.ini)",
        "  model.py:Model: train-loss loss, ignore a*, b*, c* and 1 more, init features=3 (pytest.ini)",
    ]


def test_the_header_of_a_bare_run_is_one_line(kit):
    result = kit.run("--collect-only", "--lightning-module=model.py:Model", batch="")
    lines = result.outlines
    at = next(i for i, line in enumerate(lines) if line.startswith("lightning-conformance "))
    assert lines[at].endswith(": model.py:Model; environment: cpu")
    assert lines[at + 1].startswith("rootdir:")


def test_what_to_type_next_runs_the_failure_alone(kit, items):
    told = section(kit.run("--lightning-module=model.py:Faulty", "--lightning-init=lr=0.2"), "lightning-conformance")
    explain, alone = [line.removeprefix("  next        ") for line in told if line.startswith("  next ")]
    assert explain == "pytest --lightning-explain=loss_returned"
    program, *arguments = shlex.split(alone)
    assert program == "pytest"
    assert items(kit.run(*arguments, batch="")) == {"model.py:Faulty::cpu::loss_returned": "failed"}
    assert "lr=0.2" in alone and f"--lightning-batch '{BATCH}'" in alone


def test_an_item_of_a_dotted_module_can_be_named(kit, items):
    kit.write("pyproject.toml", '[tool.lightning-conformance]\nmodules = [{ target = "model:Model" }]\n')
    found = items(kit.run("model:Model::cpu::loss_returned", "--lightning-batch", BATCH))
    assert found == {"model:Model::cpu::loss_returned": "passed"}


def test_nothing_is_to_be_typed_where_all_is_given_and_passes(kit):
    told = section(kit.run("--lightning-module=model.py:Model"), "lightning-conformance")
    assert told
    assert not [line for line in told if line.startswith("  next ")]


def test_the_summary_is_a_census_with_what_was_decided(kit):
    result = kit.run("--lightning-module=model.py:Faulty", "--tb=no", batch="")
    census, inferred, *_ = filter(None, section(result, "lightning-conformance"))
    counted = census.removeprefix("model.py:Faulty :: cpu: ")
    assert counted.startswith(f"{len(on_cpu())} checks: ")
    told = counted.partition(": ")[2].partition(" [")[0]
    assert sum(int(part.split()[0]) for part in told.split(", ")) == len(on_cpu())
    version = re.escape(LightningPackage(kit.package).version)
    assert re.search(rf"\[{kit.package} {version}\] in \d+\.\ds$", counted)
    assert float(counted.rpartition(" in ")[2].rstrip("s")) > 0
    assert inferred == "  inferred    --lightning-batch 'x: float[B,3], y: float[B,1]'"


def test_the_summary_gives_a_reason_for_each_check_that_could_not_judge(kit):
    lines = section(kit.run("--lightning-module=model.py:Faulty"), "lightning-conformance")
    told = [line for line in lines if line.startswith("  inconclusive ")]
    assert told
    assert all(line.partition(": ")[2] for line in told)


def test_a_check_that_does_not_apply_says_so(kit, said):
    result = kit.run("--lightning-module=model.py:Manual", "-rs")
    assert result.ret == 0
    assert "not applicable" in said(result)
    assert "inconclusive" not in said(result)


def test_a_warning_is_told_and_does_not_fail(kit):
    result = kit.run("--lightning-module=model.py:Unused")
    assert result.ret == 0
    lines = section(result, "lightning-conformance")
    assert "    warning: 2 of 4 trainable parameters got no gradient: `extra.weight` and `extra.bias`." in lines
    assert any(line.startswith("    model.py:") and line.endswith(" in Unused.__init__") for line in lines)


def test_a_warning_fails_under_strict(kit, items):
    result = kit.run("--lightning-module=model.py:Unused", "--lightning-strict")
    assert items(result)["model.py:Unused::cpu::every_parameter_gets_a_gradient"] == "failed"
    kit.write("pytest.ini", "[pytest]\nlightning_strict = true")
    assert kit.run("--lightning-module=model.py:Unused").ret == 1


def test_quiet_runs_say_less(kit):
    told = [len(kit.run("--lightning-module=model.py:Unused", *v).outlines) for v in (["-v"], [], ["-q"])]
    assert told[0] > told[1] > told[2]
    quiet = section(kit.run("--lightning-module=model.py:Unused", "-q"), "lightning-conformance")
    assert len([line for line in quiet if line.startswith("model.py:Unused :: cpu: ")]) == 1


def test_verbose_runs_name_each_item(kit):
    result = kit.run("--lightning-module=model.py:Model", "-v")
    result.stdout.fnmatch_lines(["model.py:Model::cpu::loss_returned PASSED*"])


def test_lightning_is_not_heard(kit):
    result = kit.run("--lightning-module=model.py:Model", "-s")
    text = f"{result.stdout.str()}\n{result.stderr.str()}"
    for noise in ("GPU available", "TPU", "max_epochs", "Epoch 0", "does not have many workers", "💡"):
        assert noise not in text
    assert result.parseoutcomes().get("warnings", 0) == 0


def test_what_the_module_prints_is_captured_like_any_tests(kit):
    kit.module(
        """
        class Loud(Model):
            def training_step(self, batch, batch_idx):
                print("loud")
        """
    )
    result = kit.run("--lightning-module=model.py:Loud")
    assert result.ret == 1
    before, _, after = result.stdout.str().partition("FAILURES")
    assert "loud" not in before


def test_the_explanation_follows_one_skeleton(kit):
    text = kit.run(f"--lightning-explain={CHECK}").stdout.str()
    assert textwrap.dedent(text).startswith(f"{CHECK} (")
    assert "on_epoch=True" in text


def test_no_summary_where_nothing_was_checked(kit):
    kit.write("test_own.py", "def test_own():\n    pass\n")
    assert "lightning-conformance ==" not in kit.run().stdout.str()
    result = kit.run("--lightning-module=model.py:Model", "-m", "not lightning_conformance")
    assert section(result, "lightning-conformance") == []
