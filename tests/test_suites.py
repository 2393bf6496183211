"""The shipped suite in the user's own test files: decorate a function, inherit a class."""

from __future__ import annotations

import re

import pytest
from outcomes import on_cpu

CHECKS = [check.name for check in on_cpu()]

DECORATED = """
import pytest
from lightning_conformance import parametrize_with_checks
from model import Faulty, Model, make

@pytest.fixture
def lightning_batch():
    import torch
    return torch.ones(4, 3), torch.ones(4, 1)

@parametrize_with_checks(MODULES)
def test_conforms(lightning_check):
    lightning_check()
"""

FACTORY = """
def make():
    return Model(lr=0.2)
"""

INHERITED = """
from lightning_conformance import LightningConformance
from model import Faulty, Model

class TestModel(LightningConformance):
    module = Model
    init = {"lr": 0.05}
    batch = "x: float[4,3], y: float[4,1]"
"""


@pytest.fixture(autouse=True)
def factory(kit):
    kit.module(FACTORY)


def decorated(kit, modules):
    kit.write("test_own.py", DECORATED.replace("MODULES", modules))


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        ("[Model]", ["Model"]),
        ("[Model, make]", ["Model", "make"]),
        ("['model.py:Model']", ["Model"]),
        ("['model:make']", ["make"]),
        ("[Model(lr=0.3)]", ["Model"]),
    ],
)
def test_a_decorated_test_runs_once_a_module_environment_and_check(kit, items, modules, names):
    decorated(kit, modules)
    result = kit.run()
    assert result.ret == 0
    ids = [f"test_own.py::test_conforms[{name}-cpu-{check}]" for name in names for check in CHECKS]
    assert list(items(result)) == ids
    assert set(items(result).values()) == {"passed", "skipped"}


def test_a_decorated_test_fails_with_the_diagnosis(either_kit, items, said):
    either_kit.module(FACTORY)
    decorated(either_kit, "[Model, Faulty]")
    result = either_kit.run()
    assert result.ret == 1
    assert items(result)["test_own.py::test_conforms[Faulty-cpu-loss_returned]"] == "failed"
    text = said(result)
    assert "`training_step` returned None" in text
    assert "def training_step(self, batch, batch_idx):" in text
    assert re.search(r"2 subject-environment pairs: \d+ recordings, each made once", text)


def test_a_lambda_is_a_factory(kit, items):
    decorated(kit, "[lambda: Model(lr=0.01)]")
    result = kit.run()
    assert result.ret == 0
    assert len(items(result)) == len(CHECKS)
    assert set(items(result).values()) == {"passed", "skipped"}


def test_two_factories_of_one_name_are_two_subjects(kit, items):
    decorated(kit, "[lambda: Model(), lambda: Faulty()]")
    result = kit.run()
    failed = [node_id for node_id, outcome in items(result).items() if outcome == "failed"]
    assert len(items(result)) == 2 * len(CHECKS)
    assert failed
    result.stdout.fnmatch_lines(["2 subject-environment pairs: * recordings, each made once"])


def test_the_decorator_ignores_the_modules_of_the_command_line(kit, collected):
    decorated(kit, "[Model]")
    result = kit.run("--lightning-module=model.py:Faulty", "--collect-only", "-q")
    own = [node_id for node_id in collected(result) if node_id.startswith("test_own.py")]
    assert own == [f"test_own.py::test_conforms[Model-cpu-{check}]" for check in CHECKS]
    assert len(collected(result)) == 2 * len(CHECKS)


def test_the_marker_selects_suites_too(kit, collected):
    decorated(kit, "[Model]")
    kit.write("test_plain.py", INHERITED, "def test_other():\n    pass\n")
    chosen = collected(kit.run("-m", "lightning_conformance", "--collect-only", "-q"))
    assert len(chosen) == 2 * len(CHECKS)
    others = collected(kit.run("-m", "not lightning_conformance", "--collect-only", "-q"))
    assert others == ["test_plain.py::test_other"]


def test_a_test_may_do_more_than_call_the_check(kit, items):
    kit.write(
        "test_own.py",
        """
        import pytest
        from lightning_conformance import parametrize_with_checks
        from model import Faulty

        @parametrize_with_checks(["model.py:Faulty"])
        def test_conforms(lightning_check, lightning_subject):
            if lightning_check.name == "loss_returned":
                pytest.xfail("known")
            if lightning_check.name != "weights_update":
                lightning_check()
        """,
    )
    result = kit.run()
    assert "failed" not in items(result).values()
    assert result.parseoutcomes()["xfailed"] == 1


def test_an_inheriting_class_checks_its_module(either_kit, items):
    either_kit.write("test_own.py", INHERITED)
    result = either_kit.run()
    assert result.ret == 0
    ids = [f"test_own.py::TestModel::test_conforms[Model-cpu-{check}]" for check in CHECKS]
    assert list(items(result)) == ids
    assert set(items(result).values()) == {"passed", "skipped"}
    assert "lr=0.05" in result.stdout.str()


def test_the_base_class_itself_is_not_collected(kit, items):
    kit.write("test_own.py", "from lightning_conformance import LightningConformance\n\ndef test_own():\n    pass\n")
    assert items(kit.run()) == {"test_own.py::test_own": "passed"}


def test_an_inheriting_class_takes_targets_factories_and_functions(kit, items):
    kit.write(
        "test_own.py",
        """
        import torch
        from lightning_conformance import LightningConformance
        from model import Model

        class TestTarget(LightningConformance):
            module = "model.py:Model"
            batch = "float[4,3], float[4,1]"

        class TestFactory(LightningConformance):
            @staticmethod
            def module():
                return Model(lr=0.2)

            @staticmethod
            def batch():
                return torch.ones(4, 3), torch.ones(4, 1)

        class TestFunction(LightningConformance):
            module = lambda: Model()
            batch = (torch.ones(4, 3), torch.ones(4, 1))

            def test_more(self, lightning_module):
                assert lightning_module.lr == 0.1

        class TestChild(TestTarget):
            init = {"lr": 0.5}
        """,
    )
    result = kit.run()
    assert result.ret == 0
    assert set(items(result).values()) == {"passed", "skipped"}
    assert len(items(result)) == 4 * len(CHECKS) + 1


def test_an_inheriting_class_names_its_training_loss(kit, items):
    kit.module(
        """
        class Renamed(Model):
            def training_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch[0]), batch[1])
                self.log("train/loss", loss, on_step=False, on_epoch=True)
                return loss
        """
    )
    kit.write("test_own.py", INHERITED.replace("Model\n", "Renamed\n") + '    train_loss = "train/loss"\n', "")
    kit.write(
        "test_own.py",
        """
        from lightning_conformance import LightningConformance
        from model import Renamed

        class TestRenamed(LightningConformance):
            module = Renamed
            batch = "float[4,3], float[4,1]"
            train_loss = "train/loss"
        """,
    )
    result = kit.run()
    assert set(items(result).values()) <= {"passed", "skipped"}


def test_an_inheriting_class_fails_with_the_diagnosis_alone(kit, items, said):
    kit.write("test_own.py", INHERITED.replace("module = Model", "module = Faulty"))
    result = kit.run()
    node_id = "test_own.py::TestModel::test_conforms[Faulty-cpu-loss_returned]"
    assert items(result)[node_id] == "failed"
    assert "`training_step` returned None" in said(result)


def test_a_class_without_a_module_uses_those_of_the_command_line(kit, items):
    kit.write(
        "test_own.py",
        "from lightning_conformance import LightningConformance\n\nclass TestAny(LightningConformance):\n    pass\n",
    )
    result = kit.run("--lightning-module=model.py:Model")
    assert result.ret == 0
    assert f"test_own.py::TestAny::test_conforms[Model-cpu-{CHECKS[0]}]" in items(result)
    result.stdout.fnmatch_lines(["1 subject-environment pair: * recordings, each made once"])


def test_an_unknown_target_in_a_suite_is_an_error_of_collection(kit, said):
    decorated(kit, "['model.py:Modell']")
    result = kit.run()
    assert result.ret == 2
    assert said(result).count("Did you mean `Model`?") == 1


def test_strict_and_timeout_hold_for_suites_too(kit, items):
    kit.module(
        """
        class Unused(Model):
            def __init__(self):
                super().__init__()
                self.extra = nn.Linear(2, 2)
        """
    )
    kit.write(
        "test_own.py",
        """
        from lightning_conformance import LightningConformance

        class TestUnused(LightningConformance):
            module = "model.py:Unused"
            batch = "float[4,3], float[4,1]"
        """,
    )
    node_id = "test_own.py::TestUnused::test_conforms[Unused-cpu-every_parameter_gets_a_gradient]"
    assert items(kit.run())[node_id] == "passed"
    assert items(kit.run("--lightning-strict"))[node_id] == "failed"
