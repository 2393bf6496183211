"""What a user's own file says about a module: by the decorator, by a plain attribute, and against the options."""

from __future__ import annotations

import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from lightning_conformance import UsageError, check_module, conformance
from lightning_conformance.declaring import declared
from lightning_conformance.subjects.subject import Subject, SubjectOptions


class Bare(pl.LightningModule):
    def __init__(self, features: int, name: str = "train_loss"):
        super().__init__()
        self.features, self.name = features, name
        self.net = nn.Linear(features, 3)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.log(self.name, loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


@conformance(init={"features": 6, "name": "loss/train"}, batch="float[4,6], int[4]<3", train_loss="loss/train")
class Decorated(Bare):
    pass


class Attribute(Bare):
    lightning_conformance = {
        "init": {"features": 6, "name": "loss/train"},
        "batch": "float[4,6], int[4]<3",
        "train_loss": "loss/train",
    }


@conformance(init={"features": 6, "name": "loss/train"}, batch="float[4,6], int[4]<3", train_loss="loss/train")
def make(features, name):
    return Bare(features, name)


def recording_of(module, **options):
    report = check_module(module, environment="cpu", guess=False, raise_on_failure=False, **options)
    return report.passed, report.recordings[0]


@pytest.mark.parametrize("module", [Decorated, Attribute, make], ids=["decorated", "attribute", "function"])
def test_a_declaration_is_all_that_is_needed(module):
    passed, recording = recording_of(module)
    assert passed
    assert recording.batch_text == "float[4,6], int[4]<3"
    assert recording.init_text == "--lightning-init features=6 --lightning-init name=loss/train"
    assert recording.train_loss_name == "loss/train"
    assert recording.completed


def test_the_undecorated_class_is_not_changed():
    assert declared(Bare, "Bare") == declared(int, "int")
    assert Decorated is not Bare
    assert Decorated.__mro__[1] is Bare


def test_values_may_be_functions():
    calls = []

    def init():
        calls.append(1)
        return {"features": 5}

    @conformance(init=init, batch=lambda batch_size=6: (torch.randn(batch_size, 5), torch.arange(batch_size) % 3))
    class Model(Bare):
        pass

    assert not calls
    passed, recording = recording_of(Model)
    assert passed
    assert calls == [1]
    assert recording.batch_text.startswith("float[6,5]")


def test_a_function_in_a_plain_attribute_is_no_method():
    class Model(Bare):
        lightning_conformance = {
            "init": lambda: {"features": 5},
            "batch": lambda: (torch.randn(4, 5), torch.arange(4) % 3),
        }

    assert recording_of(Model)[0]


def test_objects_may_be_given():
    @conformance(init=lambda: {"encoder": nn.Linear(4, 6)}, batch="float[4,4], int[4]<3")
    class Model(Bare):
        def __init__(self, encoder):
            super().__init__(6)
            self.net = nn.Sequential(encoder, self.net)

    assert recording_of(Model)[0]


def test_options_win():
    passed, recording = recording_of(
        Decorated, init={"features": 7, "name": "x"}, batch="float[8,7], int[8]<3", train_loss="x"
    )
    assert passed
    assert recording.batch_text == "float[8,7], int[8]<3"
    assert recording.init_text == "--lightning-init features=7 --lightning-init name=x"
    _, partly = recording_of(Decorated, init=["name=y"])
    assert partly.init_text == "--lightning-init features=6 --lightning-init name=y"


def test_a_subclass_inherits_what_does_not_depend_on_its_constructor():
    class Same(Decorated):
        pass

    class OwnConstructor(Decorated):
        def __init__(self):
            super().__init__(6, "loss/train")

    class OwnWords(Decorated):
        lightning_conformance = {"init": {"features": 6}, "train_loss": "train_loss"}

    assert declared(Same, "").init == {"features": 6, "name": "loss/train"}
    found = declared(OwnConstructor, "")
    assert (found.init, found.batch, found.train_loss) == (None, "float[4,6], int[4]<3", "loss/train")
    found = declared(OwnWords, "")
    assert (found.init, found.batch, found.train_loss) == ({"features": 6}, "float[4,6], int[4]<3", "train_loss")
    assert all(recording_of(cls)[0] for cls in (Same, OwnConstructor, OwnWords))


def test_two_decorators_add_up_and_the_outer_wins():
    @conformance(batch="float[4,6], int[4]<3", train_loss="a")
    @conformance(init={"features": 6}, train_loss="b")
    class Model(Bare):
        pass

    assert declared(Model, "").init == {"features": 6}
    assert declared(Model, "").train_loss == "a"


def test_an_instance_has_the_words_of_its_class_but_needs_no_arguments():
    passed, recording = recording_of(Decorated(6, "loss/train"))
    assert passed
    assert recording.batch_text == "float[4,6], int[4]<3"


def test_a_class_method_has_the_words_of_its_class_and_its_own():
    class Model(Attribute):
        @classmethod
        def small(cls):
            return cls(6, "loss/train")

        @classmethod
        @conformance(init={"n": 6})
        def sized(cls, n):
            return cls(n, "loss/train")

    for method in (Model.small, Model.sized):
        passed, recording = recording_of(method)
        assert passed
        assert recording.batch_text == "float[4,6], int[4]<3"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            {"inits": {}},
            "Did you mean `init`? Valid are: init, batch, config, train_loss, val_batch, expected_failures.",
        ),
        ({"nonsense": 1}, "has no key `nonsense`."),
        ({"init": 3}, "`init` of lightning_conformance is a int, not a dict."),
        ({"init": lambda: 1 / 0}, "raised ZeroDivisionError: division by zero"),
        ({"init": {"featuress": 3}}, "Did you mean `features`?"),
    ],
)
def test_wrong_words_are_told_when_the_module_is_checked(words, says):
    @conformance(**words)
    class Model(Bare):
        pass

    class Plain(Bare):
        lightning_conformance = words

    for cls in (Model, Plain):
        with pytest.raises(UsageError) as caught:
            check_module(cls, environment="cpu")
        assert says in str(caught.value)


def test_a_config_file_is_looked_for_beside_the_class(tmp_path, monkeypatch):
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "config.yaml").write_text("init_args:\n  features: 9\n", "utf-8")
    (folder / "declares_config.py").write_text(
        "import pytorch_lightning as pl\n"
        "class Model(pl.LightningModule):\n"
        "    lightning_conformance = {'config': 'config.yaml'}\n"
        "    def __init__(self, features: int):\n"
        "        super().__init__()\n"
        "        self.features = features\n",
        "utf-8",
    )
    monkeypatch.syspath_prepend(str(folder))
    import declares_config

    assert Subject(declares_config.Model).build().features == 9
    assert Subject(declares_config.Model, SubjectOptions(("features=2",))).build().features == 2
    (tmp_path / "other.yaml").write_text("init_args:\n  features: 5\n", "utf-8")
    assert Subject(declares_config.Model, SubjectOptions(config="other.yaml"), tmp_path).build().features == 5


# On the command line, in a file of the user's.

DECLARED = """
class Plain(Model):
    lightning_conformance = {"init": {"width": 5, "rate": 0.1}, "batch": "float[4,5], float[4,1]", "train_loss": "loss"}

    def __init__(self, width: int, rate: float):
        super().__init__(width, rate)

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    @classmethod
    def small(cls):
        return cls(5, 0.01)


class Wrong(Model):
    lightning_conformance = {"bach": "float[4,5]"}
"""

DECORATED = """
from lightning_conformance import conformance

@conformance(init=lambda: {"features": 5}, batch="float[4,5], float[4,1]")
def build(features):
    return Model(features)
"""


@pytest.mark.parametrize("target", ["model.py:Plain", "model.py:Plain.small", "model.py:build"])
def test_the_command_line_reads_it(either_kit, items, said, target):
    either_kit.module(DECLARED, DECORATED)
    result = either_kit.run(f"--lightning-module={target}", batch="")
    assert set(items(result).values()) <= {"passed", "skipped"}
    assert "float[4,5], float[4,1]" in said(result)


def test_the_command_line_wins(kit, said):
    kit.module(DECLARED)
    text = said(
        kit.run("--lightning-module=model.py:Plain", "--lightning-init", "width=7", batch="float[6,7], float[6,1]")
    )
    assert "built with  --lightning-init width=7 --lightning-init rate=0.1" in text
    assert "float[6,7], float[6,1]" in text


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_name_of_the_loss_that_is_configured_wins(kit, items, how):
    kit.module(DECLARED)
    if how == "ini":
        kit.write("pytest.ini", "[pytest]\nlightning_train_loss = other\n")
    words = ["--lightning-train-loss=other"] if how == "option" else []
    found = items(kit.run("--lightning-module=model.py:Plain", *words, batch=""))
    assert found["model.py:Plain::cpu::train_loss_logged"] == "failed"


def test_wrong_words_end_the_run_with_exit_code_4(kit, said):
    kit.module(DECLARED)
    result = kit.run("--lightning-module=model.py:Wrong")
    assert result.ret == 4
    assert "lightning_conformance has no key `bach`" in said(result)
    assert "Did you mean `batch`?" in said(result)


def test_the_decorator_needs_neither_torch_nor_lightning():
    code = (
        "import sys; from lightning_conformance import conformance\n"
        "conformance(init={})(lambda: 1)\n"
        "assert not {'torch', 'lightning', 'pytorch_lightning', 'pytest'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
