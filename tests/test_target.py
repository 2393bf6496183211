from __future__ import annotations

import importlib.util
import inspect
import pickle
import sys
import textwrap
from pathlib import Path

import pytest

from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.lightning_api import installed_packages
from lightning_conformance.subjects import target as target_module
from lightning_conformance.subjects.importing import preserved_sys_path
from lightning_conformance.subjects.lookup import modules_in_source
from lightning_conformance.subjects.target import parse_target
from lightning_conformance.subjects.tracebacks import user_frames, user_traceback

PACKAGES = [package.name for package in installed_packages()]

MODULE = """
import {lightning} as pl
from torch import nn

class Base(pl.LightningModule):
    pass

class Classifier(Base):
    class Inner(pl.LightningModule):
        pass

class Net(nn.Module):
    pass

class Data(pl.LightningDataModule):
    pass

def make():
    return Classifier()

def unrelated():
    return 3

instance = Classifier()
network = nn.Linear(2, 2)
number = 3
"""


@pytest.fixture(autouse=True)
def clean_imports(tmp_path):
    """Each test writes files of the same names in another folder."""
    with preserved_sys_path():
        yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__dict__", {}).get("__file__") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


@pytest.fixture(params=PACKAGES)
def user_file(request, tmp_path):
    return write(tmp_path, "examples/classifier.py", MODULE.format(lightning=request.param))


def resolve(tmp_path: Path, text: str):
    return parse_target(text, base=tmp_path).resolve()


def usage_error(tmp_path: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(tmp_path, text)
    return str(caught.value)


def import_failure(tmp_path: Path, source: str, name: str = "broken.py") -> SubjectError:
    write(tmp_path, name, source)
    with pytest.raises(SubjectError) as caught:
        resolve(tmp_path, f"{name}:Model")
    assert caught.value.stage == "import"
    return caught.value


@pytest.mark.parametrize("name", ["Classifier", "Classifier.Inner"])
def test_a_class_is_found_by_its_dotted_name(user_file, tmp_path, name):
    cls = resolve(tmp_path, f"examples/classifier.py:{name}")
    assert cls.__qualname__ == name


def test_a_factory_and_an_instance_are_given_as_they_are(user_file, tmp_path):
    assert type(resolve(tmp_path, "examples/classifier.py:instance")).__name__ == "Classifier"
    assert type(resolve(tmp_path, "examples/classifier.py:make")()).__name__ == "Classifier"


def test_a_target_for_batches_may_name_anything(user_file, tmp_path):
    assert parse_target("examples/classifier.py:unrelated", tmp_path).resolve_any()() == 3
    assert parse_target("examples/classifier.py:Data", tmp_path).resolve_any().__name__ == "Data"


def test_parsing_keeps_the_words_and_shortens_the_label(user_file, tmp_path):
    text = f"{user_file}:Classifier.Inner"
    target = parse_target(text, base=tmp_path)
    assert (target.text, target.path, target.module_name) == (text, user_file, None)
    assert target.label == "examples/classifier.py:Classifier.Inner"
    assert parse_target(text, base=tmp_path / "examples").label == "classifier.py:Classifier.Inner"
    assert parse_target(text, base=tmp_path / "elsewhere").label == text.replace("\\", "/")


def test_two_colons_are_read_as_one(user_file, tmp_path):
    assert parse_target("examples/classifier.py::make", tmp_path).label == "examples/classifier.py:make"


@pytest.mark.skipif(sys.platform == "win32", reason="a colon cannot be in a file name there")
def test_the_colon_of_a_drive_is_not_the_separator(tmp_path):
    write(tmp_path, "C:\\x.py", "class Model: pass")
    assert parse_target("C:\\x.py:Model", tmp_path).qualname == "Model"
    with pytest.raises(UsageError, match="has no name after a colon"):
        parse_target("C:\\x.py", tmp_path)


@pytest.mark.parametrize("text", ["examples/classifier.py", "examples/classifier.py:"])
def test_a_file_without_a_name_lists_its_modules_unimported(user_file, tmp_path, text):
    with user_file.open("a") as file:
        file.write("raise RuntimeError('must not run')\n")
    message = usage_error(tmp_path, text)
    names = ("Base", "Classifier", "Classifier.Inner", "make")
    assert message.endswith(": " + ", ".join(f"examples/classifier.py:{name}" for name in names))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no file"),
        (":Classifier", "names no file"),
        ("torch.nn.Linear", "Did you mean torch.nn:Linear?"),
        ("examples/clasifier.py:Classifier", "Did you mean examples/classifier.py?"),
        ("nowhere/classifier.py:Classifier", "There is no folder"),
        ("./examples:Classifier", "is a folder, not a file"),
        ("examples/classifier.py:Clas sifier", "is not a Python name"),
        ("examples/classifier.py:1", "is not a Python name"),
    ],
)
def test_words_that_name_nothing_are_refused_before_any_import(user_file, tmp_path, text, says):
    with pytest.raises(UsageError) as caught:
        parse_target(text, tmp_path)
    assert says in str(caught.value)


def test_a_missing_name_is_answered_with_the_nearest_and_the_list(user_file, tmp_path):
    message = usage_error(tmp_path, "examples/classifier.py:Clasifier")
    assert "no `Clasifier` in examples/classifier.py" in message
    assert "Did you mean `Classifier`?" in message
    assert "Base, Classifier" in message
    assert "make" in message
    assert "unrelated" not in message
    assert "no `Iner` in Classifier of" in usage_error(tmp_path, "examples/classifier.py:Classifier.Iner")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Net", "a torch.nn.Module class"),
        ("network", "a torch.nn.Module (Linear)"),
        ("number", "an instance of int (3)"),
        ("nn", "a Python module"),
        ("Data", "--lightning-batch=examples/classifier.py:Data"),
        ("pl.LightningModule", "LightningModule itself"),
    ],
)
def test_what_is_no_lightning_module_is_refused_by_kind(user_file, tmp_path, name, says):
    assert says in usage_error(tmp_path, f"examples/classifier.py:{name}")


@pytest.mark.parametrize("lightning", PACKAGES)
def test_the_base_class_of_either_package_is_refused(tmp_path, lightning):
    assert "LightningModule itself" in usage_error(tmp_path, f"{lightning}:LightningModule")


def test_a_file_in_a_src_layout_is_imported_by_its_dotted_name(tmp_path):
    write(tmp_path, "src/mypackage/__init__.py", "")
    write(tmp_path, "src/mypackage/parts/__init__.py", "")
    write(tmp_path, "src/mypackage/width.py", "WIDTH = 3")
    net = "from ..width import WIDTH\nimport mypackage.width\ndef make(): return WIDTH"
    write(tmp_path, "src/mypackage/parts/net.py", net)
    make = resolve(tmp_path, "src/mypackage/parts/net.py:make")
    assert (make(), make.__module__) == (3, "mypackage.parts.net")
    assert sys.path[0] == str(tmp_path / "src")
    assert resolve(tmp_path, "mypackage.parts.net:make") is make


def test_a_dotted_module_is_found_below_the_base_and_its_src_folder(tmp_path):
    write(tmp_path, "here/plain.py", "def make(): ...")
    write(tmp_path, "src/there/__init__.py", "def make(): ...")
    assert resolve(tmp_path, "here.plain:make").__module__ == "here.plain"
    assert resolve(tmp_path, "there:make").__module__ == "there"


def test_a_dotted_module_that_is_not_there_is_a_usage_error(tmp_path):
    assert "there is no module `nowhere_at_all`" in usage_error(tmp_path, "nowhere_at_all.net:Model")
    assert "Did you mean `torch.nn.utils`?" in usage_error(tmp_path, "torch.nn.utilz:Model")


def test_siblings_are_found_at_import_and_at_run_time(tmp_path):
    write(tmp_path, "one/first_helper.py", "x = 1")
    write(tmp_path, "one/late_helper.py", "y = 2")
    source = """
        import first_helper
        def make():
            import late_helper
            return first_helper.x + late_helper.y
    """
    write(tmp_path, "one/user.py", source)
    assert resolve(tmp_path, "one/user.py:make")() == 3


def test_a_file_is_executed_once_and_pickles(tmp_path):
    write(
        tmp_path,
        "once.py",
        "import sys\nsys.executions = getattr(sys, 'executions', 0) + 1\nclass Thing: pass\ndef make(): ...",
    )
    make = resolve(tmp_path, "once.py:make")
    try:
        assert resolve(tmp_path, f"{tmp_path}/once.py:make") is make
        assert resolve(tmp_path, "once:make") is make
        assert sys.executions == 1
    finally:
        del sys.executions
    assert pickle.loads(pickle.dumps(make)) is make
    assert inspect.getsource(make) == "def make(): ...\n"


def test_a_file_and_its_dotted_module_are_one(tmp_path):
    write(tmp_path, "folder/shared_by_both.py", "def make(): ...")
    make = resolve(tmp_path, "folder/shared_by_both.py:make")
    assert resolve(tmp_path, "folder.shared_by_both:make") is make


def test_a_module_loaded_by_someone_else_is_used(tmp_path):
    path = write(tmp_path, "loaded.py", "def make(): ...")
    spec = importlib.util.spec_from_file_location("under.another_name", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["under.another_name"] = module
    try:
        spec.loader.exec_module(module)
        assert resolve(tmp_path, "loaded.py:make") is module.make
    finally:
        del sys.modules["under.another_name"]


def test_files_of_one_name_are_two_modules(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path, f"{folder}/model.py", f"def make(): return {folder!r}")
    first, second = resolve(tmp_path, "a/model.py:make"), resolve(tmp_path, "b/model.py:make")
    assert (first(), second()) == ("a", "b")
    assert pickle.loads(pickle.dumps(second)) is second


def test_siblings_of_one_name_in_two_folders_are_refused_rather_than_mixed_up(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path, f"{folder}/shared_helper.py", f"name = {folder!r}")
        write(
            tmp_path,
            f"{folder}/user_{folder}.py",
            "import shared_helper\ndef make(): return shared_helper.name",
        )
    assert resolve(tmp_path, "a/user_a.py:make")() == "a"
    with pytest.raises(SubjectError, match="already loaded from") as caught:
        resolve(tmp_path, "b/user_b.py:make")
    assert "separate pytest runs" in caught.value.advice


@pytest.mark.parametrize("lightning", PACKAGES)
def test_a_file_named_like_an_installed_package_does_not_hide_it(tmp_path, lightning):
    name = lightning.partition(".")[0]
    write(tmp_path, f"{name}.py", f"import {lightning} as pl\nclass Model(pl.LightningModule): ...")
    model = resolve(tmp_path, f"{name}.py:Model")
    assert model.__mro__[1].__name__ == "LightningModule"


def test_changed_sources_are_seen_and_no_cache_is_written(tmp_path):
    write(tmp_path, "helper_of_changing.py", "")
    for number in (1, 2):
        write(tmp_path, "changing.py", f"import helper_of_changing\ndef make(): return {number}")
        make = resolve(tmp_path, "changing.py:make")
        assert make() == number
        del sys.modules[make.__module__]
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_search_path_is_restored_for_whoever_asks(tmp_path):
    write(tmp_path, "alone.py", "def make(): ...")
    before = list(sys.path)
    with preserved_sys_path():
        resolve(tmp_path, "alone.py:make")
        assert str(tmp_path) in sys.path
    assert sys.path == before


def test_a_syntax_error_names_file_and_line(tmp_path):
    error = import_failure(tmp_path, "x = 1\ndef f(:\n")
    assert "broken.py:Model cannot be imported: SyntaxError: invalid syntax (broken.py:2)" in error.message
    assert isinstance(error.cause, SyntaxError)
    assert "^" in user_traceback(error.cause)
    assert "broken" not in sys.modules


def test_any_exception_names_the_users_line(tmp_path):
    error = import_failure(tmp_path, "def f():\n    return 1 / 0\nf()\n")
    assert "ZeroDivisionError: division by zero (broken.py:2)" in error.message
    assert [frame.lineno for frame in user_frames(error.cause)] == [3, 2]


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("import nowhere_at_all", "pip install nowhere_at_all"),
        ("raise ModuleNotFoundError(name='sklearn')", "pip install scikit-learn"),
        ("raise ModuleNotFoundError(name='pkg_resources')", 'pip install "setuptools<81"'),
        ("raise ModuleNotFoundError(name='pytorch_lightning')", "pip install pytorch-lightning"),
        ("import torch\nimport torch.gone", "is installed; the code was perhaps written for another version"),
        ("from torch import Gone", "is installed; the code was perhaps written for another version"),
        ("from .other import x", "package.module:Class"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", "torchvision does not match"),
        ("import sys\nsys.exit(2)", "__main__"),
    ],
)
def test_advice_fits_the_failure(tmp_path, source, advice):
    assert advice in import_failure(tmp_path, source).advice


def test_a_module_in_a_folder_above_is_answered_with_its_path(tmp_path):
    write(tmp_path, "common_code/__init__.py", "")
    error = import_failure(tmp_path, "import common_code", "deep/broken.py")
    assert f"PYTHONPATH={tmp_path}" in error.advice


@pytest.mark.parametrize("name", [None, "missing"])
def test_an_import_error_inside_a_dotted_module_is_the_subjects(tmp_path, name):
    write(tmp_path, "inner_failure.py", "import nowhere_at_all")
    with pytest.raises(SubjectError, match=r"nowhere_at_all.*inner_failure\.py:1"):
        resolve(tmp_path, f"inner_failure:{name or 'Model'}")


def test_no_frame_of_the_kit_is_shown(tmp_path):
    error = import_failure(tmp_path, "import importlib\ndef f():\n    importlib.import_module('nowhere_at_all')\nf()\n")
    text = user_traceback(error.cause)
    assert text.count("  File ") == 2
    assert text.count("broken.py") == 2
    assert "lightning_conformance" not in text
    assert "importlib._bootstrap" not in text
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ModuleNotFoundError: No module named 'nowhere_at_all'\n")


def test_the_chain_of_exceptions_is_cut_down_too(tmp_path):
    source = """
        import torch, contextlib
        @contextlib.contextmanager
        def manager():
            yield
        def f():
            try:
                with manager():
                    torch.nn.Linear(2, 3)(torch.zeros(1, 5))
            except RuntimeError as exc:
                raise ValueError("second") from exc
        f()
    """
    text = user_traceback(import_failure(tmp_path, source).cause)
    assert "RuntimeError: mat1 and mat2" in text
    assert "direct cause" in text
    files = [line for line in text.splitlines() if line.startswith("  File ")]
    assert files
    assert all("broken.py" in line for line in files)


def test_a_foreign_frame_is_kept_on_request_and_as_the_last_resort():
    import torch

    def failing():
        torch.nn.Linear(2, 3)(torch.zeros(1, 5))

    try:
        failing()
    except RuntimeError as exc:
        own = user_frames(exc)
        wide = user_frames(exc, keep=[torch.nn.modules.linear.__file__])
        exc.__traceback__ = exc.__traceback__.tb_next.tb_next
        alone = user_frames(exc)
    assert {frame.filename for frame in own} == {__file__}
    assert wide[-1].filename == torch.nn.modules.linear.__file__
    assert len(alone) == 1


def test_frames_of_the_kit_alone_leave_only_the_exception():
    try:
        target_module.parse_target(":")
    except UsageError as exc:
        exc.__traceback__ = exc.__traceback__.tb_next
        assert user_frames(exc) == []
        assert "Traceback" not in user_traceback(exc)
        assert "names no file" in user_traceback(exc)


def test_source_that_does_not_parse_has_no_modules():
    assert modules_in_source("def f(:") == []
    assert modules_in_source("class A(Unknown):\n def training_step(self): ...\nclass B(A): ...") == [
        "A",
        "B",
    ]
