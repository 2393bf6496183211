"""An inferred batch is remembered under what it depends on, and never becomes a false verdict."""

from __future__ import annotations

import json

import pytest

MODULE = "--lightning-module=model.py:Model"
COUNT = """
from lightning_conformance.subjects import feeding

def pytest_configure(config):
    search = feeding.infer_batch

    def counted(*arguments, **options):
        with open("searches.txt", "a") as file:
            file.write("one\\n")
        return search(*arguments, **options)

    feeding.infer_batch = counted
    config.add_cleanup(lambda: setattr(feeding, "infer_batch", search))
"""
REMEMBERED = "The batch was inferred in an earlier run"


@pytest.fixture
def searches(kit):
    """Runs pytest, and tells how often it searched and what it said."""
    kit.write("conftest.py", COUNT)
    log = kit.path / "searches.txt"

    def run(*options, cache=True, ret=0):
        log.write_text("")
        result = kit.run(MODULE, *options, "-m", "lightning_conformance", batch="", cache=cache)
        assert result.ret == ret, result.stdout.str()
        return len(log.read_text().split()), result.stdout.str()

    return run


def test_a_second_run_does_not_search(searches):
    first, second = searches(), searches()
    assert first[0] == 1
    assert second[0] == 0
    assert REMEMBERED not in first[1]
    assert REMEMBERED in second[1]
    line = "  inferred    --lightning-batch 'x: float[B,3], y: float[B,1]'"
    assert line in first[1]
    assert line in second[1]


def test_doubts_are_remembered_too(kit, searches):
    kit.module(
        """
        class Doubtful(Model):
            def training_step(self, batch, batch_idx):
                x, weights, y = batch
                loss = F.mse_loss(self.net(x), y) + 0 * weights.sum()
                self.log("train_loss", loss, on_step=False, on_epoch=True)
                return loss
        """
    )
    kit.module(name="other.py")
    texts = [searches("--lightning-module=model.py:Doubtful")[1] for _ in range(2)]
    assert all("  doubt       `weights` does not influence the loss" in text for text in texts)
    quiet = searches("--lightning-module=model.py:Doubtful", "-q")[1]
    assert "  doubt       `weights` does not influence the loss" in quiet


def test_without_the_cache_each_run_searches(kit, searches):
    assert [searches(cache=False)[0] for _ in range(2)] == [1, 1]
    assert not (kit.path / ".pytest_cache").exists()


def test_cache_clear_forgets(searches):
    searches()
    assert searches("--cache-clear")[0] == 1


@pytest.mark.parametrize(
    "change",
    ["--lightning-init=features=4", "--lightning-infer-attempts=150", "--lightning-infer-seconds=15"],
)
def test_an_option_that_matters_searches_anew(searches, change):
    searches()
    assert searches(change)[0] == 1
    assert searches(change)[0] == 0
    assert searches()[0] == 0


def test_another_seed_or_timeout_does_not_matter(searches):
    searches()
    assert searches("--lightning-timeout=100", "--lightning-strict")[0] == 0


def test_a_change_of_the_file_searches_anew(kit, searches):
    searches()
    kit.module("# changed\n")
    assert searches()[0] == 1


def test_a_change_of_a_parts_file_searches_anew(kit, searches):
    kit.write("net.py", "from torch import nn\n\nclass Net(nn.Linear):\n    pass\n")
    kit.module(
        "import net\n\nclass Parted(Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = net.Net(3, 1)\n"
    )
    options = ["--lightning-module=model.py:Parted", "-k", "Parted"]
    searches(*options)
    assert searches(*options)[0] == 0
    kit.write("net.py", "from torch import nn\n\nclass Net(nn.Linear):\n    pass  # changed\n")
    assert searches(*options)[0] == 1


def test_a_change_of_the_config_file_searches_anew(kit, searches):
    kit.write("c.yaml", "class_path: model.Model\ninit_args: {features: 3}")
    searches("--lightning-config=c.yaml")
    assert searches("--lightning-config=c.yaml")[0] == 0
    kit.write("c.yaml", "class_path: model.Model\ninit_args: {features: 5}")
    count, text = searches("--lightning-config=c.yaml")
    assert count == 1
    assert "x: float[B,5]" in text


READS = """
class Model(Model):
    def __init__(self):
        super().__init__(features=int(open("features.txt").read()))
"""


def test_a_stale_batch_is_inferred_anew_and_gives_no_verdict(kit, searches):
    kit.module(READS)
    kit.write("features.txt", "3")
    searches()
    kit.write("features.txt", "6")
    count, text = searches()
    assert count == 1
    assert "x: float[B,6]" in text
    assert "no longer fits; it was inferred anew" in text
    assert searches()[0] == 0


def test_a_module_that_became_faulty_still_fails(kit, searches):
    kit.module(
        READS,
        """
        class Model(Model):
            def training_step(self, batch, batch_idx):
                assert self.net.in_features == 3, "no other size works"
                return super().training_step(batch, batch_idx)
        """,
    )
    kit.write("features.txt", "3")
    searches()
    kit.write("features.txt", "6")
    assert searches(ret=1)[0] == 1


def test_a_search_that_failed_is_not_remembered(kit, searches):
    kit.module(
        """
        class Model(Model):
            def training_step(self, batch, batch_idx):
                if tuple(batch.shape) != (4, 31, 17):
                    raise ValueError("other data")
                return self.net.weight.sum() * batch.sum()
        """
    )
    options = ["--lightning-infer-attempts=5"]
    assert [searches(*options, ret=1)[0] for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    "junk", ["null", "3", '{"text": "float["}', '{"text": 3}', '{"text": "float[B,3]", "doubts": 1}']
)
def test_a_damaged_cache_is_no_harm(kit, searches, junk):
    searches()
    [file] = (kit.path / ".pytest_cache/v/lightning_conformance/batches").iterdir()
    assert json.loads(file.read_text())["text"] == "x: float[B,3], y: float[B,1]"
    file.write_text(junk)
    assert searches()[0] == 1


def test_one_worker_infers_for_all(kit):
    kit.write("conftest.py", COUNT)
    kit.write(
        "test_many.py",
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_batch(lightning_batch, number):
            x, y = lightning_batch
            assert x.shape[1] == 3
        """,
    )
    result = kit.run_apart(MODULE, "-n2", "--dist=worksteal", "-v", "test_many.py", batch="")
    assert result.ret == 0, result.stdout.str()
    assert "[gw0]" in result.stdout.str()
    assert "[gw1]" in result.stdout.str()
    assert (kit.path / "searches.txt").read_text().split() == ["one"]


def test_objects_as_arguments_are_not_confused(kit, items):
    """Two subjects that no text tells apart share nothing."""
    kit.write("conftest.py", COUNT)
    kit.write(
        "test_two.py",
        """
        from lightning_conformance import parametrize_with_checks
        from model import Model

        @parametrize_with_checks([lambda: Model(features=4), lambda: Model(features=5)])
        def test_two(lightning_check):
            lightning_check()
        """,
    )
    for _ in range(2):
        result = kit.run("test_two.py", cache=True)
        assert result.ret == 0
        assert "x: float[B,4]" in result.stdout.str()
        assert "x: float[B,5]" in result.stdout.str()
