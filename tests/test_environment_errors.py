"""What the environment lacks is told apart from what the module does wrong."""

from __future__ import annotations

import errno
import re
import socket
import time
import urllib.error

import pytest

from lightning_conformance.subjects.environment_errors import environment_problem


def wrapped(cause: BaseException) -> Exception:
    try:
        raise RuntimeError("cannot load the weights") from cause
    except RuntimeError as error:
        return error


def named(module: str, name: str, text: str = "", base: type = Exception) -> Exception:
    return type(name, (base,), {"__module__": module})(text)


@pytest.mark.parametrize(
    ("error", "kind", "message", "advice"),
    [
        (
            ModuleNotFoundError("No module named 'cv2'", name="cv2"),
            "package",
            "`cv2` is not installed",
            "opencv-python",
        ),
        (
            ImportError("Foo requires the sentencepiece library but it was not found"),
            "package",
            "`sentencepiece`",
            "pip",
        ),
        (
            RuntimeError("operator torchvision::nms does not exist"),
            "package",
            "torchvision was built for another torch",
            "reinstall it",
        ),
        (urllib.error.URLError("no host"), "download", "a download", "make_module"),
        (socket.gaierror(-2, "Name or service not known"), "download", "a download", "make_module"),
        (ConnectionRefusedError(111, "refused"), "download", "a download", "make_module"),
        (named("requests.exceptions", "SSLError"), "download", "a download", "make_module"),
        (named("huggingface_hub.errors", "LocalEntryNotFoundError"), "download", "a download", "make_module"),
        (OSError("We couldn't connect to 'https://huggingface.co' to load this"), "download", "a download", "cached"),
        (RuntimeError("Dataset not found. You can use download=True to download it"), "download", "a download", ""),
        (
            FileNotFoundError(2, "No such file", "data/train.csv"),
            "file",
            "the file data/train.csv is not here",
            "factory",
        ),
        (FileNotFoundError("train.csv"), "file", "a file is not here", "factory"),
        (PermissionError(13, "Permission denied", "/data"), "file", "the file /data cannot be used here", "access"),
        (OSError(errno.ENOSPC, "No space left on device"), "file", "no space left on the disk", "room"),
        (AssertionError("Torch not compiled with CUDA enabled"), "device", "CUDA is asked for", "self.device"),
        (RuntimeError("Found no NVIDIA driver on your system."), "device", "CUDA is asked for", "self.device"),
        (RuntimeError("No CUDA GPUs are available"), "device", "CUDA is asked for", "self.device"),
        (
            RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False."),
            "device",
            "CUDA is asked for",
            "map_location",
        ),
        (
            RuntimeError("PyTorch is not linked with support for mps devices"),
            "device",
            "MPS is asked for",
            "self.device",
        ),
        (wrapped(FileNotFoundError(2, "No such file", "w.pt")), "file", "the file w.pt is not here", "factory"),
    ],
)
def test_what_the_environment_lacks_is_named(error, kind, message, advice):
    problem = environment_problem(error)
    assert problem is not None
    assert problem.kind == kind
    assert message in problem.message
    assert advice in problem.advice


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("no weights"),
        OSError("no weights"),
        NameError("name 'np' is not defined", name="np"),
        ImportError("cannot import name 'Gone' from 'torch'", name="torch"),
        ModuleNotFoundError("No module named 'pytest.gone'", name="pytest.gone"),
        KeyError("file"),
        MemoryError(),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (5x3 and 4x1)"),
        RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu"),
        named("huggingface_hub.errors", "HFValidationError", "Repo id must be", ValueError),
    ],
)
def test_the_modules_own_errors_stay_its_own(error):
    assert environment_problem(error) is None


def test_an_error_raised_from_none_stands_for_itself():
    try:
        try:
            raise FileNotFoundError(2, "No such file", "w.pt")
        except FileNotFoundError:
            raise ValueError("bad argument") from None
    except ValueError as error:
        assert environment_problem(error) is None


BODIES = {
    "constructor": """
class Lacks(Model):
    def __init__(self):
        super().__init__()
        self.weights = open("weights.bin")
""",
    "setup": """
class Lacks(Model):
    def setup(self, stage=None):
        open("weights.bin")
""",
    "training_step": """
class Lacks(Model):
    def training_step(self, batch, batch_idx):
        open("weights.bin")
""",
}


@pytest.mark.parametrize("place", BODIES)
@pytest.mark.parametrize("batch", ["", "float[4,3], float[4,1]"], ids=["inferred", "given"])
def test_it_is_no_failure_of_the_module(kit, items, said, place, batch):
    kit.module(BODIES[place])
    result = kit.run("--lightning-module=model.py:Lacks", "-m", "lightning_conformance", batch=batch)
    text = said(result)
    assert set(items(result).values()) == {"skipped"}, text
    [line] = [line for line in text.splitlines() if "inconclusive training_completes" in line]
    assert "the environment's error, not the module's: the file weights.bin is not here" in line
    assert "give a factory that does not read it" in line


def test_a_missing_package_is_no_failure_of_the_module(kit, items, said):
    kit.module("import nowhere_at_all\n")
    result = kit.run("--lightning-module=model.py:Model", "-m", "lightning_conformance")
    text = said(result)
    assert set(items(result).values()) == {"skipped"}
    assert "the package `nowhere_at_all` is not installed" in text
    assert re.search(r"No module named 'nowhere_at_all' \(model\.py:\d+\)", text)
    assert "pip install nowhere_at_all" in text


def test_under_strict_it_fails(kit, items, said):
    kit.module(BODIES["constructor"])
    result = kit.run("--lightning-module=model.py:Lacks", "-m", "lightning_conformance", "--lightning-strict")
    text = said(result)
    assert items(result)["model.py:Lacks::cpu::training_completes"] == "failed"
    assert "Cause  The environment, not the module: the file weights.bin is not here." in text
    assert "weights = open" in text


def test_an_error_of_the_modules_own_still_fails(kit, items):
    kit.module("class Own(Model):\n    def training_step(self, batch, batch_idx):\n        raise OSError('broken')\n")
    result = kit.run("--lightning-module=model.py:Own", "-m", "lightning_conformance", batch="")
    assert items(result)["model.py:Own::cpu::training_completes"] == "failed"


LOADERS = """
from torch.utils.data import DataLoader, TensorDataset
import time, urllib.error

def loader():
    return DataLoader(TensorDataset(torch.ones(12, 3), torch.ones(12, 1)), batch_size=5)

class Downloads(Model):
    def train_dataloader(self):
        raise urllib.error.URLError("no host")

class Hangs(Model):
    def train_dataloader(self):
        while True:
            try:
                time.sleep(60)
            except Exception:
                pass

class HangsInPrepareData(Model):
    def prepare_data(self):
        time.sleep(600)

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return loader()

class Carries(Model):
    def __init__(self):
        super().__init__()
        self.data = Data()

class LateData(pl.LightningDataModule):
    def train_dataloader(self):
        open("nowhere.csv")

class CarriesLate(Model):
    def __init__(self):
        super().__init__()
        self.data = LateData()

    def train_dataloader(self):
        return loader()
"""


def test_a_download_that_fails_falls_through_with_a_note(kit, said):
    kit.module(LOADERS)
    result = kit.run("--lightning-module=model.py:Downloads", "-m", "lightning_conformance", batch="")
    text = said(result)
    assert "Its own train_dataloader could not be used: URLError: <urlopen error no host> (the environment's" in text
    assert "  inferred    --lightning-batch" in text


@pytest.mark.parametrize("name", ["Hangs", "HangsInPrepareData"])
def test_a_download_that_hangs_does_not_take_the_run(kit, said, name):
    kit.module(LOADERS)
    started = time.monotonic()
    result = kit.run(
        f"--lightning-module=model.py:{name}",
        "--lightning-timeout=12",
        *("-m", "lightning_conformance", "-k", "loss_returned"),
        batch="",
    )
    text = said(result)
    assert time.monotonic() - started < 60
    assert result.ret == 0, text
    assert "longer than 3 seconds" in text
    assert "  inferred    --lightning-batch" in text


def test_a_datamodule_that_the_module_carries_feeds_it(kit, said):
    kit.module(LOADERS)
    result = kit.run("--lightning-module=model.py:Carries", "-m", "lightning_conformance", batch="")
    assert "(from its own data)" in said(result)


def test_a_carried_datamodule_that_fails_leaves_the_modules_own_loaders(kit, said):
    kit.module(LOADERS)
    result = kit.run("--lightning-module=model.py:CarriesLate", "-m", "lightning_conformance", batch="")
    text = said(result)
    assert "Its own datamodule (self.data) could not be used: FileNotFoundError" in text
    assert "(from its own train_dataloader)" in text


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--lightning-infer-attempts=0", "not a number of attempts"),
        ("--lightning-infer-attempts=many", "not a number of attempts"),
        ("--lightning-infer-seconds=0", "a search needs some time"),
        ("--lightning-infer-seconds=-1", "less than nothing"),
        ("--lightning-infer-seconds=inf", "not a number of seconds"),
    ],
)
def test_limits_of_the_search_are_checked(kit, said, option, says):
    result = kit.run("--lightning-module=model.py:Model", option)
    assert result.ret == 4
    assert says in said(result)


def test_the_ini_file_limits_the_search(kit, said):
    kit.write("pytest.ini", "[pytest]\nlightning_infer_attempts = 1\nlightning_infer_seconds = 9")
    result = kit.run("--lightning-module=model.py:Model", "-m", "lightning_conformance", batch="")
    text = said(result)
    assert "no batch was found" in text
    assert "1 training steps tried" in text
    assert kit.run("--lightning-module=model.py:Model", "--lightning-infer-attempts=50", batch="").ret == 0
