"""The fixtures, in the user's own tests."""

from __future__ import annotations

import pytest
import torch

MODULE = "--lightning-module=model.py:Model"


def outcomes(result):
    """Counts by outcome, without what pytest's versions add."""
    return {word: count for word, count in result.parseoutcomes().items() if count}


def test_each_fixture_gives_what_its_name_says(either_kit, items):
    either_kit.write(
        "test_own.py",
        """
        import torch
        import LIGHTNING as pl
        from lightning_conformance.recording.model import LogCall

        def test_subject(lightning_subject):
            assert lightning_subject.label == "model.py:Model"

        def test_environment(lightning_environment):
            assert lightning_environment.name == "cpu"

        def test_device(lightning_device):
            assert lightning_device == torch.device("cpu")

        def test_module(lightning_module):
            assert isinstance(lightning_module, pl.LightningModule)
            assert type(lightning_module).__name__ == "Model"

        def test_batch(lightning_batch):
            x, y = lightning_batch
            assert x.shape == (4, 3) and y.shape == (4, 1)

        def test_batch_fits_module(lightning_module, lightning_batch):
            assert lightning_module.net(lightning_batch[0]).shape == (4, 1)

        def test_recording(lightning_recording):
            assert lightning_recording.failure is None
            assert [step.kind for step in lightning_recording.steps] == ["tensor"] * 8
            assert {call.name for call in lightning_recording.all(LogCall)} == {"train_loss"}
            assert lightning_recording.lightning.startswith("LIGHTNING ")
        """,
    )
    result = either_kit.run(MODULE, "-m", "not lightning_conformance")
    names = ["environment", "device", "module", "batch", "batch_fits_module", "recording"]
    own = {f"test_own.py::test_{name}[Model-cpu]": "passed" for name in names}
    assert items(result) == {"test_own.py::test_subject[Model]": "passed", **own}


def test_a_module_is_fresh_and_has_the_same_weights_each_time(kit, items):
    kit.write(
        "test_own.py",
        """
        import pytest
        import torch

        seen = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_weights(lightning_module, time):
            seen.append(lightning_module.net.weight.detach().clone())
            assert torch.equal(seen[0], seen[-1])
            with torch.no_grad():
                lightning_module.net.weight.zero_()
            torch.rand(time)
        """,
    )
    result = kit.run(MODULE, "-m", "not lightning_conformance")
    assert list(items(result).values()) == ["passed", "passed"]


def test_a_module_starts_with_the_weights_of_the_recorded_run(kit, items):
    kit.write(
        "test_own.py",
        """
        import pytest
        from torch.nn import functional as F

        def test_first_loss(lightning_module, lightning_batch, lightning_recording):
            x, y = lightning_batch
            loss = F.mse_loss(lightning_module.net(x), y).item()
            assert lightning_recording.steps[0].loss.value == pytest.approx(loss)
        """,
    )
    result = kit.run(MODULE, "-m", "not lightning_conformance")
    assert list(items(result).values()) == ["passed"]


def test_the_users_random_numbers_are_not_disturbed(kit, items):
    kit.write(
        "test_own.py",
        """
        import torch
        import pytest

        @pytest.fixture(autouse=True)
        def seeded():
            torch.manual_seed(7)

        def test_numbers(seeded, lightning_module, lightning_batch, lightning_recording):
            drawn = torch.rand(3)
            torch.manual_seed(7)
            assert torch.equal(drawn, torch.rand(3))
        """,
    )
    result = kit.run(MODULE, "-m", "not lightning_conformance")
    assert list(items(result).values()) == ["passed"]


def test_tests_are_parametrized_over_modules(kit, collected):
    kit.write("test_own.py", "def test_any(lightning_module):\n    pass\n\ndef test_other():\n    pass\n")
    modules = [MODULE, "--lightning-module=model.py:Faulty"]
    result = kit.run(*modules, "-m", "not lightning_conformance", "--collect-only", "-q")
    assert collected(result) == [
        "test_own.py::test_any[Model-cpu]",
        "test_own.py::test_any[Faulty-cpu]",
        "test_own.py::test_other",
    ]


def test_modules_of_one_name_keep_ids_apart(kit, items):
    kit.module(name="other.py")
    kit.write("test_own.py", "def test_any(lightning_subject):\n    assert lightning_subject.label\n")
    modules = [MODULE, "--lightning-module=other.py:Model"]
    result = kit.run(*modules, "-m", "not lightning_conformance")
    assert len(items(result)) == 2
    assert result.ret == 0


def test_users_own_parameters_and_fixtures_combine(kit, items):
    kit.write(
        "test_own.py",
        """
        import pytest

        @pytest.fixture(params=["a", "b"])
        def letter(request):
            return request.param

        class TestModel:
            @pytest.mark.parametrize("number", [1, 2])
            def test_all(self, lightning_module, letter, number, tmp_path):
                assert lightning_module.lr == 0.1
        """,
    )
    result = kit.run(MODULE, "-m", "not lightning_conformance")
    assert list(items(result).values()) == ["passed"] * 4


def test_without_a_module_the_test_is_skipped_and_says_why(kit):
    kit.write(
        "test_own.py", "def test_any(lightning_module, lightning_batch):\n    pass\n\ndef test_other():\n    pass\n"
    )
    result = kit.run("-rs")
    assert result.ret == 0
    assert outcomes(result) == {"passed": 1, "skipped": 1}
    result.stdout.fnmatch_lines(["SKIPPED*test_own.py*no LightningModule was named: use --lightning-module*"])


@pytest.mark.parametrize("fixture", ["lightning_batch", "lightning_recording", "lightning_device"])
def test_a_fixture_is_found_through_another_fixture(kit, items, fixture):
    kit.write("conftest.py", f"import pytest\n\n@pytest.fixture\ndef mine({fixture}):\n    return {fixture}\n")
    kit.write("test_own.py", "def test_any(mine):\n    assert mine is not None\n")
    result = kit.run(MODULE, "-m", "not lightning_conformance")
    assert items(result) == {"test_own.py::test_any[Model-cpu]": "passed"}


def test_one_recording_serves_tests_and_items(kit, items):
    kit.write(
        "test_own.py",
        """
        def test_one(lightning_recording):
            assert lightning_recording.steps

        def test_two(lightning_recording):
            assert lightning_recording.steps
        """,
    )
    result = kit.run(MODULE)
    assert set(items(result).values()) <= {"passed", "skipped"}
    result.stdout.fnmatch_lines(["1 subject-environment pair: * each made once"])


WIDE = """
class Wide(Model):
    def __init__(self):
        super().__init__(features=7)
"""

OVERRIDE = """
import pytest
import torch

@pytest.fixture
def lightning_batch():
    return torch.ones(6, 7), torch.ones(6, 1)
"""


def test_an_override_of_the_batch_feeds_the_recording(kit, items):
    kit.module(WIDE)
    kit.write("conftest.py", OVERRIDE)
    kit.write(
        "test_own.py",
        """
        def test_batch(lightning_recording):
            assert lightning_recording.batch_source == "fixture lightning_batch"
            assert lightning_recording.steps[0].batch_size == 6
        """,
    )
    result = kit.run("--lightning-module=model.py:Wide", batch="")
    assert result.ret == 0
    assert items(result)["test_own.py::test_batch[Wide-cpu]"] == "passed"
    result.stdout.fnmatch_lines(
        ["*batch*float*6,7*fixture lightning_batch*", "1 subject-environment pair: * each made once"]
    )


def test_an_override_may_use_the_subject(kit, items):
    kit.module(WIDE)
    kit.write(
        "conftest.py",
        """
        import pytest
        import torch

        @pytest.fixture
        def lightning_batch(lightning_subject):
            features = {"Wide": 7, "Model": 3}[lightning_subject.label.split(":")[1]]
            return torch.ones(5, features), torch.ones(5, 1)
        """,
    )
    result = kit.run("--lightning-module=model.py:Wide", MODULE, "-k", "training_completes", batch="")
    assert list(items(result).values()) == ["passed", "passed"]


def test_the_option_wins_over_an_override(kit, items):
    kit.write("conftest.py", OVERRIDE)
    result = kit.run(MODULE)
    assert set(items(result).values()) <= {"passed", "skipped"}
    result.stdout.fnmatch_lines(["*batch*x: float[[]4,3], y: float[[]4,1] (from --lightning-batch)"])


def test_an_override_may_build_on_the_batch_of_the_kit(kit, items):
    kit.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def lightning_batch(lightning_batch):
            x, y = lightning_batch
            return x * 0 + 2, y
        """,
    )
    kit.write(
        "test_own.py",
        """
        def test_batch(lightning_batch, lightning_recording):
            assert (lightning_batch[0] == 2).all()
            assert lightning_recording.batch_source == "fixture lightning_batch"
        """,
    )
    result = kit.run(MODULE, batch="")
    assert set(items(result).values()) <= {"passed", "skipped"}


def test_an_override_in_one_test_file_leaves_the_others_alone(kit, items):
    override = OVERRIDE.replace("6, 7", "6, 3")
    body = "\ndef test_batch(lightning_recording):\n    assert (lightning_recording.batch_source == '{}') is {}\n"
    kit.write("test_mine.py", override + body.format("fixture lightning_batch", True))
    kit.write("test_other.py", body.format("fixture lightning_batch", False))
    result = kit.run(MODULE, batch="")
    assert set(items(result).values()) <= {"passed", "skipped"}
    result.stdout.fnmatch_lines(["1 subject-environment pair: *, each made once; 1 with several kinds of batch"])


def test_an_override_that_raises_is_the_users_error(kit, items, said):
    kit.write("conftest.py", "import pytest\n\n@pytest.fixture\ndef lightning_batch():\n    raise OSError('no data')\n")
    result = kit.run(MODULE, batch="")
    assert result.ret == 1
    assert set(items(result).values()) == {"failed"}
    assert "OSError: no data" in said(result)


def test_an_override_for_a_batch_that_does_not_fit_shows_its_spec(kit, said):
    kit.write("conftest.py", OVERRIDE)
    result = kit.run(MODULE, batch="")
    assert result.ret == 1
    text = said(result)
    assert "mat1 and mat2 shapes cannot be multiplied (6x7 and 3x1)" in text
    assert "float[6,7]" in text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.gpu
def test_module_and_batch_are_on_the_device(kit, items):
    kit.write(
        "test_own.py",
        """
        def test_device(lightning_module, lightning_batch, lightning_device):
            assert {p.device for p in lightning_module.parameters()} == {lightning_device}
            assert {t.device for t in lightning_batch} == {lightning_device}
        """,
    )
    result = kit.run(MODULE, "--lightning-environment=cpu,cuda", "-m", "not lightning_conformance")
    assert list(items(result)) == [f"test_own.py::test_device[Model-{name}]" for name in ("cpu", "cuda")]
    assert result.ret == 0


BROKEN = """
class Broken(Model):
    def __init__(self):
        raise ZeroDivisionError("no width")
"""


def test_a_module_that_cannot_be_built_is_told_without_the_kits_frames(kit, said):
    kit.module(BROKEN)
    kit.write("test_own.py", "def test_any(lightning_module):\n    pass\n")
    result = kit.run("--lightning-module=model.py:Broken", "-m", "not lightning_conformance")
    assert result.parseoutcomes()["errors"] == 1
    text = said(result)
    assert "model.py:Broken cannot be constructed: ZeroDivisionError: no width" in text
    assert 'raise ZeroDivisionError("no width")' in text
