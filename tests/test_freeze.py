"""``--lightning-freeze`` writes what was inferred into the file that configures pytest."""

from __future__ import annotations

import os
import stat

import iniconfig
import pytest

from lightning_conformance.errors import UsageError
from lightning_conformance.plugin.config_files import edit_modules

MODULE = "--lightning-module=model.py:Model"
CHECKS = ("-m", "lightning_conformance")
BATCH = "--lightning-batch 'x: float[B,3], y: float[B,1]'"
LINE = f"model.py:Model {BATCH}"


@pytest.fixture
def froze(kit, said):
    """Runs pytest with ``--lightning-freeze``, and tells what it said of that."""

    def run(*options, ret=0):
        result = kit.run("--lightning-freeze", *options, *CHECKS, batch="")
        text = said(result)
        assert result.ret == ret, text
        return [line.strip() for line in text.splitlines() if "frozen  " in line]

    return run


def test_without_a_file_pyproject_is_made(kit, froze):
    assert froze(MODULE) == [f"frozen      pyproject.toml: {LINE}"]
    text = (kit.path / "pyproject.toml").read_text()
    assert text == f'[tool.pytest.ini_options]\nlightning_modules = [\n    "{LINE}",\n]\n'


def test_what_was_frozen_is_used(kit, froze, said):
    froze(MODULE)
    result = kit.run(*CHECKS, batch="")
    assert result.ret == 0
    text = said(result)
    assert "(from --lightning-batch)" in text
    assert "inferred" not in text


def test_freezing_twice_changes_nothing(kit, froze):
    froze(MODULE)
    before = (kit.path / "pyproject.toml").read_bytes()
    assert froze() == ["frozen      nothing: no batch was inferred, and no file was changed"]
    assert froze(MODULE, "--lightning-init=features=3") != []
    froze(MODULE)
    assert (kit.path / "pyproject.toml").read_bytes() != before
    before = (kit.path / "pyproject.toml").read_bytes()
    froze(MODULE)
    assert (kit.path / "pyproject.toml").read_bytes() == before


PYPROJECT = """\
# the project's own words
[project]
name = "mine"   # a name

[tool.pytest.ini_options]
addopts = "-ra"
# modules
lightning_modules = [
    "other.py:Other --lightning-batch 'float[4,3], float[4,1]'",  # first
    # the second
    "model.py:Model",   # amended
]

[tool.black]
line-length   = 99
"""


def test_a_listed_line_is_amended_and_all_else_stays(kit, froze):
    kit.module(name="other.py")
    kit.module("class Other(Model):\n    pass\n", name="other.py")
    kit.write("pyproject.toml", PYPROJECT)
    assert froze() == [f"frozen      pyproject.toml: {LINE}"]
    assert (kit.path / "pyproject.toml").read_text() == PYPROJECT.replace('"model.py:Model"', f'"{LINE}"')


def test_a_section_without_the_key_gets_it(kit, froze):
    text = '[project]\nname = "mine"\n\n[tool.pytest.ini_options]\naddopts = "-ra"\n\n[tool.other]\nkey = 1\n'
    kit.write("pyproject.toml", text)
    froze(MODULE)
    changed = (kit.path / "pyproject.toml").read_text()
    assert [line for line in changed.splitlines() if line in text.splitlines()] == text.splitlines()
    assert f'"{LINE}"' in changed
    assert froze() == ["frozen      nothing: no batch was inferred, and no file was changed"]


def test_a_file_without_the_section_gets_one(kit, froze):
    kit.write("pyproject.toml", '[project]\nname = "mine"\n')
    froze(MODULE)
    changed = (kit.path / "pyproject.toml").read_text()
    assert changed.startswith('[project]\nname = "mine"\n')
    assert froze() == ["frozen      nothing: no batch was inferred, and no file was changed"]


def test_a_text_of_several_lines_is_amended(kit, froze):
    kit.write("pyproject.toml", '[tool.pytest.ini_options]\nlightning_modules = """\n    model.py:Model\n"""\n')
    froze()
    assert LINE in (kit.path / "pyproject.toml").read_text()
    assert froze() == ["frozen      nothing: no batch was inferred, and no file was changed"]


INI = """\
; before
[other]
key = 1

[{section}]
# a comment
addopts = -ra
lightning_modules =
    # of two modules
    model.py:Model
  other.py:Other --lightning-batch 'float[4,3], float[4,1]'

# after
[last]
lightning_modules = no business of ours
"""


@pytest.mark.parametrize(
    ("name", "section"), [("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")]
)
def test_an_ini_file_is_amended(kit, froze, name, section):
    kit.module("class Other(Model):\n    pass\n", name="other.py")
    text = INI.format(section=section)
    kit.write(name, text)
    assert froze() == [f"frozen      {name}: {LINE}"]
    changed = (kit.path / name).read_text()
    assert changed == text.replace("model.py:Model", LINE)
    assert froze(MODULE, "--lightning-init=features=5") == [
        f"frozen      {name}: model.py:Model --lightning-init features=5 {BATCH.replace('3', '5')}"
    ]
    values = iniconfig.IniConfig(name, data=(kit.path / name).read_text())[section]["lightning_modules"]
    assert len([line for line in values.splitlines() if line.strip() and "#" not in line]) == 3
    assert not (kit.path / "pyproject.toml").exists()


@pytest.mark.parametrize(
    "text", ["[pytest]\naddopts = -ra\n", "[pytest]", "[pytest]\nlightning_modules = model.py:Model\n"]
)
def test_an_ini_file_gets_the_key(kit, froze, text):
    kit.write("pytest.ini", text)
    froze(*([] if "model.py" in text else [MODULE]))
    values = iniconfig.IniConfig("pytest.ini", data=(kit.path / "pytest.ini").read_text())["pytest"]
    assert values["lightning_modules"].strip() == LINE
    assert ("addopts" in text) == ("addopts" in values)


def test_paths_start_from_the_files_folder(kit, froze, monkeypatch):
    kit.write("pytest.ini", "[pytest]\n")
    kit.module(name="deep/model.py")
    kit.write("deep/c.yaml", "class_path: model.Model\ninit_args: {features: 3}")
    monkeypatch.chdir(kit.path / "deep")
    froze(MODULE, "--lightning-config=c.yaml", "--lightning-train-loss=loss", f"--rootdir={kit.path}", ret=1)
    text = (kit.path / "pytest.ini").read_text()
    assert f"deep/model.py:Model --lightning-config deep/c.yaml --lightning-train-loss loss {BATCH}" in text


def test_the_arguments_of_the_constructor_are_written(kit, froze):
    froze(MODULE, "--lightning-init=features=4", "--lightning-init=lr=0.5")
    text = (kit.path / "pyproject.toml").read_text()
    assert f"model.py:Model --lightning-init features=4 --lightning-init lr=0.5 {BATCH.replace('3', '4')}" in text


def test_a_batch_that_somebody_wrote_is_left_as_it_is(kit, froze):
    text = "[pytest]\nlightning_modules = model.py:Model --lightning-batch 'float[4,3], float[4,1]'\n"
    kit.write("pytest.ini", text)
    froze(MODULE)
    assert (kit.path / "pytest.ini").read_text() == text


def test_a_run_that_failed_is_not_frozen(kit, froze):
    kit.module("class Fails(Model):\n    def on_train_end(self):\n        raise ValueError('late')\n")
    assert froze("--lightning-module=model.py:Fails", ret=1) == [
        "not frozen  model.py:Fails: its run did not come to its end",
        "frozen      nothing: no batch was inferred, and no file was changed",
    ]
    assert not (kit.path / "pyproject.toml").exists()


def test_what_a_test_file_names_is_told(kit, froze):
    kit.write(
        "test_own.py",
        "from lightning_conformance import parametrize_with_checks\nfrom model import Model\n\n"
        "@parametrize_with_checks([Model])\ndef test_model(lightning_check):\n    lightning_check()\n",
    )
    told = froze("test_own.py")
    assert "it is named in a test file; write batch='x: float[B,3], y: float[B,1]' there" in told[0]


def test_workers_freeze_once(kit):
    result = kit.run_apart("--lightning-freeze", MODULE, "-n2", *CHECKS, batch="")
    assert result.ret == 0, result.stdout.str()
    assert (kit.path / "pyproject.toml").read_text().count(LINE) == 1


def test_without_modules_nothing_happens(kit, froze):
    kit.write("test_own.py", "def test_own():\n    pass\n")
    assert froze(ret=5) == ["frozen      nothing: no batch was inferred, and no file was changed"]


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "pytest.ini"
    file.write_bytes(b"[pytest]\r\naddopts = -ra\r\n")
    file.chmod(0o640)

    def fails(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails)
        with pytest.raises(UsageError, match="cannot be written: no space left"):
            edit_modules(file, lambda lines: [*lines, "a.py:A"])
    assert file.read_bytes() == b"[pytest]\r\naddopts = -ra\r\n"
    assert os.listdir(tmp_path) == ["pytest.ini"]
    edit_modules(file, lambda lines: [*lines, "a.py:A"])
    assert file.read_bytes() == b"[pytest]\r\nlightning_modules =\r\n    a.py:A\r\naddopts = -ra\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.toml").write_text("")
    os.symlink(tmp_path / "real.toml", tmp_path / "pyproject.toml")
    edit_modules(tmp_path / "pyproject.toml", lambda lines: ["a.py:A"])
    assert (tmp_path / "pyproject.toml").is_symlink()
    assert "a.py:A" in (tmp_path / "real.toml").read_text()


@pytest.mark.parametrize("text", ["[tool.pytest\n", "tool = 3\n", "[tool]\npytest = 3\n"])
def test_a_file_that_cannot_be_edited_is_left(tmp_path, text):
    file = tmp_path / "pyproject.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match="cannot be edited"):
        edit_modules(file, lambda lines: ["a.py:A"])
    assert file.read_text() == text


def test_the_own_forms_of_pytest_9(tmp_path):
    own = tmp_path / "pytest.toml"
    own.write_text("[pytest]\nminversion = '9.0'\n")
    edit_modules(own, lambda lines: [*lines, "a.py:A"])
    assert own.read_text() == "[pytest]\nminversion = '9.0'\nlightning_modules = [\n    \"a.py:A\",\n]\n"
    project = tmp_path / "pyproject.toml"
    project.write_text("[tool.pytest]\nminversion = '9.0'\n")
    edit_modules(project, lambda lines: [*lines, "a.py:A"])
    assert project.read_text() == "[tool.pytest]\nminversion = '9.0'\nlightning_modules = [\n    \"a.py:A\",\n]\n"


def test_a_module_of_the_table_is_frozen_there(kit, froze):
    kit.write(
        "pyproject.toml",
        """
        [tool.lightning-conformance]
        environment = "cpu"  # kept

        [[tool.lightning-conformance.modules]]
        target = "model.py:Model"
        """,
    )
    assert froze() == ['frozen      pyproject.toml: batch = "x: float[B,3], y: float[B,1]"']
    text = (kit.path / "pyproject.toml").read_text()
    assert 'target = "model.py:Model"\nbatch = "x: float[B,3], y: float[B,1]"\n' in text
    assert "# kept" in text
    assert "lightning_modules" not in text
    assert froze()[0].startswith("frozen      nothing")
