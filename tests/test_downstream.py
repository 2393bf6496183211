"""The repository of a user, `examples/downstream`: our wheel and its own in a fresh environment, its own commands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import jsonschema
import pytest
import tomllib
import yaml
from outcomes import on_cpu

ROOT = Path(__file__).resolve().parents[1]
DOWNSTREAM = ROOT / "examples" / "downstream"
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8"))
CLASSIFIER, PETALS = "flowers.classifier:FlowerClassifier", "flowers.petals:PetalRegressor"
ACCEPTED = "train_loss_logged_once_per_epoch"


def run(*command, cwd):
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "PYTHON", "GITHUB_"))}
    return subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)


def done(*command, cwd):
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Python of an environment that holds both wheels; torch and Lightning are those that run this test."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("fresh")
    for source in (ROOT, DOWNSTREAM):
        options = ("--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", folder)
        done(sys.executable, "-m", "pip", "wheel", *options, source, cwd=folder)
    done(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip()
    (Path(site) / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    wheels = sorted(folder.glob("*.whl"))
    assert [wheel.name.partition("-")[0] for wheel in wheels] == ["flowers", "lightning_conformance"]
    options = ("--no-deps", "--no-index", "-q", "--no-compile", "--force-reinstall")
    done(sys.executable, "-m", "pip", "--python", python, "install", *options, *wheels, cwd=folder)
    return python


@pytest.fixture
def repository(fresh, tmp_path):
    """A checkout of the user's, and its `pytest`."""
    folder = tmp_path / "flowers"
    shutil.copytree(DOWNSTREAM, folder, ignore=shutil.ignore_patterns("__pycache__", "reports"))

    def pytest_(*options):
        return run(fresh, "-m", "pytest", "-p", "no:cacheprovider", *options, cwd=folder)

    return folder, pytest_


def verdicts(folder):
    data = json.loads((folder / "reports" / "conformance.json").read_text("utf-8"))
    jsonschema.validate(data, SCHEMA)
    return {c["subject"]: {v["check"]: v["outcome"] for v in c["verdicts"]} for c in data["subjects"]}


def test_the_kit_that_runs_is_the_wheel(fresh, tmp_path):
    code = "import lightning_conformance, flowers; print(lightning_conformance.__file__); print(flowers.__file__)"
    files = done(fresh, "-c", code, cwd=tmp_path).stdout.split()
    assert all(file.startswith(str(fresh.parents[1])) for file in files)


def test_plain_pytest_runs_own_tests_and_both_modules(repository):
    folder, pytest_ = repository
    result = pytest_("-n2")
    assert result.returncode == 0, result.stdout
    found = verdicts(folder)
    assert set(found) == {CLASSIFIER, PETALS}
    assert set(found[CLASSIFIER]) == set(found[PETALS]) == {check.name for check in on_cpu()}
    assert "failed" not in {*found[CLASSIFIER].values(), *found[PETALS].values()}
    assert [check for check, outcome in found[PETALS].items() if outcome == "expected"] == [ACCEPTED]
    assert "expected" not in found[CLASSIFIER].values()
    results = json.loads((folder / "reports" / "conformance.sarif").read_text("utf-8"))
    if importlib.util.find_spec("sarif_pydantic"):
        importlib.import_module("sarif_pydantic").Sarif.model_validate(results)
    [suppressed] = [r for r in results["runs"][0]["results"] if r.get("suppressions")]
    assert suppressed["ruleId"] == ACCEPTED
    text = (folder / "reports" / "conformance.md").read_text("utf-8")
    assert "all 2 passed" in text
    assert f"`{CLASSIFIER}`" in text


def test_a_new_fault_fails_alone(repository):
    folder, pytest_ = repository
    file = folder / "src" / "flowers" / "classifier.py"
    file.write_text(file.read_text("utf-8").replace("        return loss\n", ""), "utf-8")
    result = pytest_("-m", "lightning_conformance")
    assert result.returncode == 1
    found = verdicts(folder)
    failed = {(subject, check) for subject, told in found.items() for check, o in told.items() if o == "failed"}
    assert {(CLASSIFIER, "loss_returned"), (CLASSIFIER, "weights_update")} <= failed
    assert {subject for subject, _ in failed} == {CLASSIFIER}


def test_a_mended_failure_must_leave_the_list(repository):
    folder, pytest_ = repository
    file = folder / "src" / "flowers" / "petals.py"
    once = 'self.log("train_loss", loss, on_step=False, on_epoch=True)'
    file.write_text(file.read_text("utf-8").replace('self.log("train_loss", loss)', once), "utf-8")
    result = pytest_("-m", "lightning_conformance", f"--lightning-select={ACCEPTED}")
    assert result.returncode == 1
    assert "[XPASS(strict)] it passes, and is expected to fail: dashboards read" in result.stdout


def test_the_workflows_run_what_is_shown_here():
    actions = yaml.safe_load((DOWNSTREAM / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    gitlab = yaml.safe_load((DOWNSTREAM / ".gitlab-ci.yml").read_text("utf-8"))
    releases = actions["jobs"]["tests"]["strategy"]["matrix"]["lightning"]
    assert gitlab["tests"]["parallel"]["matrix"] == [{"LIGHTNING": releases}]
    tox = (DOWNSTREAM / "tox.ini").read_text("utf-8")
    assert f"lightning{{{','.join(releases)}}}" in tox
    written = tomllib.loads((DOWNSTREAM / "pyproject.toml").read_text("utf-8"))["tool"]["lightning-conformance"][
        "report"
    ]
    steps = " ".join(str(step) for step in actions["jobs"]["tests"]["steps"])
    assert [file for file in written if file.endswith((".md", ".sarif")) and file not in steps] == []
    hooks = yaml.safe_load((DOWNSTREAM / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    assert hooks[0]["entry"] == "pytest -q -m lightning_conformance"


def commands():
    """Each shell command of the workflows and of the hook, with the words that stand for the matrix filled in."""
    actions = yaml.safe_load((DOWNSTREAM / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]["tests"]
    gitlab = yaml.safe_load((DOWNSTREAM / ".gitlab-ci.yml").read_text("utf-8"))["tests"]
    hook = yaml.safe_load((DOWNSTREAM / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"][0]
    runs = [step["run"] for step in actions["steps"] if "run" in step]
    for release in actions["strategy"]["matrix"]["lightning"]:
        yield from (run.replace("${{ matrix.lightning }}", release) for run in runs)
    for release in gitlab["parallel"]["matrix"][0]["LIGHTNING"]:
        yield from (line.replace("$LIGHTNING", release) for line in gitlab["script"])
    yield hook["entry"]


def test_each_command_of_the_workflows_can_be_run():
    ini = (DOWNSTREAM / "tox.ini").read_text("utf-8")
    releases = re.search(r"env_list = lightning\{(.*)\}", ini)[1].split(",")
    config = tomllib.loads((DOWNSTREAM / "pyproject.toml").read_text("utf-8"))["tool"]["lightning-conformance"]
    seen = set()
    for command in commands():
        assert "$" not in command.replace("$GITHUB_STEP_SUMMARY", ""), command
        program, *words = shlex.split(command)
        seen.add(program)
        if program == "tox":
            assert words[0] == "-e" and words[1].removeprefix("lightning") in releases
            assert words[2:3] in ([], ["--"])
        elif program == "cat":
            assert words[0] in config["report"]
        elif program == "pip":
            assert words == ["install", "tox"]
        else:
            assert program == "pytest"
    assert seen == {"tox", "cat", "pip", "pytest"}


def test_what_the_workflows_hand_on_is_what_the_run_leaves(repository):
    folder, pytest_ = repository
    actions = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]["tests"]
    gitlab = yaml.safe_load((folder / ".gitlab-ci.yml").read_text("utf-8"))["tests"]
    hook = next(command for command in commands() if command.startswith("pytest"))
    (line,) = {command for command in commands() if "junit" in command and "2.6" in command}
    junit = next(word for word in shlex.split(line.partition(" -- ")[2]) if "junit" in word)
    result = pytest_(*shlex.split(hook)[1:], junit)
    assert result.returncode == 0, result.stdout
    withs = [step["with"] for step in actions["steps"] if "with" in step]
    handed = [value for given in withs for key, value in given.items() if key in ("sarif_file", "path")]
    handed += [*gitlab["artifacts"]["paths"], gitlab["artifacts"]["reports"]["junit"]]
    assert len(handed) == 4
    assert [path for path in handed if not (folder / path).exists()] == []


def test_a_first_hour_goes_as_the_transcript_says(fresh, tmp_path):
    page = tmp_path / "transcript.md"
    done(sys.executable, ROOT / "docs" / "transcript.py", "--python", fresh, "--page", page, cwd=tmp_path)

    def story(text):
        return re.findall(r"^## .*|^\$ .*|^FAILED .*?::cpu::\w+|^  (?:baseline|gone) .*", text, re.MULTILINE)

    shown = story((ROOT / "docs" / "transcript.md").read_text("utf-8"))
    assert story(page.read_text("utf-8")) == shown
    assert sum(line.startswith("FAILED") for line in shown) >= 3
