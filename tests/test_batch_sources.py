"""What the user says about a module: how to build it, what to feed it, what its loss is called."""

from __future__ import annotations

import pytest

MODULE = "--lightning-module=model.py:Model"

DATA = """
from torch.utils.data import DataLoader, TensorDataset

def feed():
    return torch.ones(4, 3), torch.ones(4, 1)

def feed_sized(batch_size=10):
    return torch.ones(batch_size, 3), torch.ones(batch_size, 1)

def loader():
    return DataLoader(TensorDataset(torch.ones(12, 3), torch.ones(12, 1)), batch_size=5)

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return loader()

data = Data()

class Typed(Model):
    def __init__(self, features: int, scales: list[float], name: str = "a"):
        super().__init__(features)
        assert isinstance(features, int) and all(isinstance(scale, float) for scale in scales)
        self.scales, self.name = scales, name

class Own(Model):
    def train_dataloader(self):
        return loader()

class Example(Model):
    def __init__(self):
        super().__init__(features=5)
        self.example_input_array = torch.ones(2, 5)

    def forward(self, x):
        return self.net(x)

class Renamed(Model):
    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss
"""

SHOW = """
def test_show(lightning_recording, lightning_module):
    recording = lightning_recording
    assert recording.failure is None
    print("source:", recording.batch_source)
    print("sizes:", [step.batch_size for step in recording.steps])
    print("features:", lightning_module.net.in_features)
    print("init:", recording.init_text)
    print("loss:", recording.train_loss_name)
"""


@pytest.fixture(autouse=True)
def data(kit):
    kit.module(DATA)
    kit.write("test_show.py", SHOW)


@pytest.fixture
def shown(kit, items):
    """What ``test_show`` printed, for each module of a run in which every item passed."""

    def facts(*options, batch=""):
        result = kit.run(*options, "-rP", "--tb=short", batch=batch)
        assert set(items(result).values()) <= {"passed", "skipped"}, result.stdout.str()
        lines = [line.partition(": ") for line in result.outlines]
        words = ("source", "sizes", "features", "init", "loss")
        return {word: [value for name, _, value in lines if name == word] for word in words}

    return facts


@pytest.mark.parametrize(
    ("batch", "source", "sizes"),
    [
        ("x: float[4,3], y: float[4,1]", "--lightning-batch", [4, 4, 4, 2] * 2),
        ("float[6,3], float[6,1]", "--lightning-batch", [6, 6, 6, 3] * 2),
        ("model.py:feed", "model.py:feed", [4, 4, 4, 2] * 2),
        ("model.py:feed_sized", "model.py:feed_sized", [10, 10, 10, 5] * 2),
        ("model.py:loader", "model.py:loader", [5, 5, 2] * 2),
        ("model.py:Data", "model.py:Data", [5, 5, 2] * 2),
        ("model.py:data", "model.py:data", [5, 5, 2] * 2),
        ("model:Data", "model:Data", [5, 5, 2] * 2),
    ],
)
def test_the_option_says_what_a_batch_is(shown, batch, source, sizes):
    facts = shown(MODULE, batch=batch)
    assert facts["source"] == [source]
    assert facts["sizes"] == [str(sizes)]


def test_batches_may_be_dicts_and_nested(kit, items):
    kit.module(
        """
        class Nested(Model):
            def training_step(self, batch, batch_idx):
                (x, mask), target = batch["inputs"], batch["target"]
                assert mask.dtype == torch.bool
                loss = F.mse_loss(self.net(x), target)
                self.log("train_loss", loss, on_step=False, on_epoch=True)
                return loss
        """
    )
    spec = "{inputs: (float[4,3], bool[4]), target: float[4,1]}"
    result = kit.run("--lightning-module=model.py:Nested", "-m", "lightning_conformance", batch=spec)
    assert set(items(result).values()) <= {"passed", "skipped"}


def test_a_datamodule_of_either_package_feeds_its_modules(either_kit, shown):
    either_kit.module(DATA)
    assert shown(MODULE, batch="model.py:Data")["sizes"] == [str([5, 5, 2] * 2)]


def test_a_modules_own_dataloader_is_used(shown):
    facts = shown("--lightning-module=model.py:Own")
    assert facts["source"] == ["its own train_dataloader"]
    assert facts["sizes"] == [str([5, 5, 2] * 2)]


def test_the_option_wins_over_the_modules_own_dataloader(shown):
    assert shown("--lightning-module=model.py:Own", batch="float[4,3], float[4,1]")["source"] == ["--lightning-batch"]


def test_an_example_input_starts_the_inference(shown):
    facts = shown("--lightning-module=model.py:Example")
    assert facts["source"] == ["inferred"]
    assert facts["features"] == ["5"]


def test_what_was_inferred_can_be_pasted_back(kit, items):
    inferred = kit.run(MODULE, "-m", "lightning_conformance", batch="")
    [line] = [line for line in inferred.outlines if line.strip().startswith("inferred")]
    spec = line.partition("--lightning-batch ")[2].strip("'")
    given = kit.run(MODULE, "-m", "lightning_conformance", batch=spec)
    assert items(given) == items(inferred)
    assert f"{spec} (from --lightning-batch)" in given.stdout.str()


@pytest.mark.parametrize(
    "options",
    [
        ["--lightning-init=features=3", "--lightning-init=scales=[1, 2]", "--lightning-init=name=b"],
        ['--lightning-init={"features": 3, "scales": [1, 2], "name": "b"}'],
        ["--lightning-config=model.yaml"],
        ["--lightning-config=model.yaml", "--lightning-init=features=3"],
    ],
)
def test_constructor_arguments_are_given_and_typed(kit, shown, options):
    kit.write(
        "model.yaml",
        """
        model:
          class_path: model.Typed
          init_args:
            features: 3
            scales: [1, 2]
            name: b
        """,
    )
    facts = shown("--lightning-module=model.py:Typed", *options, batch="float[4,3], float[4,1]")
    assert facts["features"] == ["3"]
    assert "--lightning-init features=3" in facts["init"][0]


def test_options_belong_to_the_module_before_them(shown):
    facts = shown(
        MODULE,
        "--lightning-init=features=4",
        "--lightning-batch=float[8,4], float[8,1]",
        "--lightning-module=model.py:Renamed",
        "--lightning-train-loss=train/loss",
        "--lightning-batch=float[4,3], float[4,1]",
    )
    assert facts["features"] == ["4", "3"]
    assert facts["sizes"] == [str([8, 8, 8, 4] * 2), str([4, 4, 4, 2] * 2)]
    assert facts["loss"] == ["train_loss", "train/loss"]


def test_options_before_the_first_module_belong_to_all(shown):
    facts = shown(
        "--lightning-init=features=6",
        "--lightning-batch=float[4,6], float[4,1]",
        MODULE,
        "--lightning-module=model.py:Model",
        "--lightning-init=features=2",
        "--lightning-batch=float[4,2], float[4,1]",
    )
    assert facts["features"] == ["6", "2"]


def test_options_before_the_first_module_belong_to_those_of_the_ini_option_too(kit, shown):
    kit.write("pytest.ini", "[pytest]\nlightning_modules = model.py:Model --lightning-init features=4")
    facts = shown("--lightning-batch=float[4,4], float[4,1]")
    assert facts["features"] == ["4"]
    assert facts["source"] == ["--lightning-batch"]


def test_the_ini_option_names_the_training_loss(kit, shown):
    kit.write("pytest.ini", "[pytest]\nlightning_train_loss = train/loss")
    assert shown("--lightning-module=model.py:Renamed", batch="float[4,3], float[4,1]")["loss"] == ["train/loss"]


def test_a_near_miss_of_the_training_loss_is_named(kit, said):
    result = kit.run("--lightning-module=model.py:Renamed", "-k", "train_loss_logged")
    assert result.ret == 1
    assert "train/loss" in said(result)


def test_a_batch_of_one_serves_a_module_that_takes_no_other(kit, items):
    kit.module(
        """
        class One(Model):
            def training_step(self, batch, batch_idx):
                assert len(batch[0]) == 1
                return super().training_step(batch, batch_idx)
        """
    )
    result = kit.run("--lightning-module=model.py:One", "-m", "lightning_conformance", batch="float[1,3], float[1,1]")
    assert set(items(result).values()) <= {"passed", "skipped"}
