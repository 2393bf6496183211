"""What reads the running code is tested under every Python at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

import lightning_conformance

TESTS = Path(__file__).parent / "python_versions"
SOURCE = Path(lightning_conformance.__file__).parents[1]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
TELL = "import sys; print('%d.%d' % sys.version_info[:2])"


@lru_cache(maxsize=1)
def pythons():
    """The interpreters at hand, by version.

    Looked for in ``LIGHTNING_CONFORMANCE_PYTHONS`` (paths, separated as those of ``PATH`` are), then under their usual
    names; a name that stands for an interpreter which is not installed does not run.
    """
    listed = os.environ.get("LIGHTNING_CONFORMANCE_PYTHONS", "").split(os.pathsep)
    names = [f"python{version}" for version in VERSIONS]
    commands = [[path] for path in listed if path]
    commands += [[path] for path in map(shutil.which, names) if path]
    if launcher := shutil.which("py"):
        commands += [[launcher, f"-{version}"] for version in VERSIONS]
    if manager := shutil.which("pyenv"):
        done = subprocess.run([manager, "root"], capture_output=True, text=True)
        root = Path(done.stdout.strip() or ".") / "versions"
        commands += [[str(path)] for v in VERSIONS for path in sorted(root.glob(f"{v}.*/bin/python"))]
    found = {}
    for command in commands:
        told = subprocess.run([*command, "-c", TELL], capture_output=True, text=True)
        if told.returncode == 0:
            found.setdefault(told.stdout.strip(), command)
    return found


@pytest.mark.parametrize("file", sorted(path.name for path in TESTS.glob("test_*.py")))
@pytest.mark.parametrize("version", VERSIONS)
def test_code_is_read_under(version, file):
    if version not in pythons():
        pytest.skip(f"no Python {version} is at hand: LIGHTNING_CONFORMANCE_PYTHONS may name one")
    command = [*pythons()[version], "-B", "-W", "error", str(TESTS / file)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed test_" in done.stdout
    assert "FAILED" not in done.stdout


def test_this_python_is_among_the_versions():
    assert ".".join(map(str, sys.version_info[:2])) in VERSIONS
