"""What is installed, what the matrix runs, and what the repository's own files promise."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lightning_conformance
from lightning_conformance.lightning_api import NEWEST_VERIFIED, OLDEST_VERIFIED

ROOT = Path(__file__).resolve().parents[1]
NEWEST_MINOR_OF = {1: 9, NEWEST_VERIFIED[0]: NEWEST_VERIFIED[1]}
HEAVY_PACKAGES = ("torch", "lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics", "numpy")
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:root|work|home|opt|tmp|Users)/\w")


@pytest.fixture(scope="module")
def distribution():
    try:
        return metadata.distribution("lightning-conformance")
    except metadata.PackageNotFoundError:
        pytest.skip("runs from the source folder: lightning-conformance is not installed")


@pytest.fixture(scope="module")
def tox_ini():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def verified_releases():
    releases = []
    for major in range(OLDEST_VERIFIED[0], NEWEST_VERIFIED[0] + 1):
        first = OLDEST_VERIFIED[1] if major == OLDEST_VERIFIED[0] else 0
        releases += [f"{major}.{minor}" for minor in range(first, NEWEST_MINOR_OF[major] + 1)]
    return releases


def pins_of(tox_ini, environment):
    """The requirements that `tox.ini` gives one environment, by package name."""
    pins = {}
    for line in tox_ini["testenv"]["deps"].splitlines():
        factor, _, requirement = line.partition(": ")
        if environment == factor:
            parsed = Requirement(requirement)
            pins[parsed.name] = parsed.specifier
    return pins


def run_python(*arguments, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(Path(lightning_conformance.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def tracked_files():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("module", ["lightning_conformance", "lightning_conformance.plugin"])
def test_import_is_light(module, tmp_path):
    script = f"import {module}, sys; print(*[name for name in {HEAVY_PACKAGES} if name in sys.modules])"
    result = run_python("-c", script, cwd=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


def test_a_pytest_run_that_does_not_use_the_kit_stays_light(distribution, tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light(request):\n"
        "    assert request.config.pluginmanager.has_plugin('lightning_conformance')\n"
        f"    assert [name for name in {HEAVY_PACKAGES} if name in sys.modules] == []\n"
        "    own = {name.split('.')[1] for name in sys.modules if name.startswith('lightning_conformance.')}\n"
        "    assert own <= {'errors', 'plugin', 'reporting'}\n"
    )
    # jaxtyping, which other tests use, has a plugin of its own that imports NumPy.
    options = ["-p", "no:cacheprovider", "-p", "no:jaxtyping"]
    result = run_python("-m", "pytest", *options, "test_light.py", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_pytest_finds_the_plugin(distribution):
    points = {point.name: point.value for point in distribution.entry_points if point.group == "pytest11"}
    assert points == {"lightning_conformance": "lightning_conformance.plugin"}


def test_the_package_is_marked_as_typed():
    assert (resources.files("lightning_conformance") / "py.typed").is_file()


def test_version_is_the_distributions(distribution):
    assert lightning_conformance.__version__ == distribution.version


def test_changelog_describes_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{lightning_conformance.__version__}]" in changelog


def test_matrix_has_an_environment_for_each_verified_release(tox_ini):
    environments = tox_ini["tox"]["env_list"].split()
    matrix = [name for name in environments if name.startswith("lightning")]
    assert matrix == [f"lightning{release}" for release in verified_releases()]
    assert {"lint", "types"} < set(environments)


@pytest.mark.parametrize("release", verified_releases())
def test_each_environment_has_both_names_of_its_release(release, tox_ini):
    pins = pins_of(tox_ini, f"lightning{release}")
    assert str(pins["lightning"]) == str(pins["pytorch-lightning"]) == f"=={release}.*"


def test_oldest_environment_runs_the_declared_floors(distribution, tox_ini):
    pins = pins_of(tox_ini, "lightning" + verified_releases()[0])
    for text in distribution.requires:
        requirement = Requirement(text)
        floor = next(bound.version for bound in requirement.specifier if bound.operator == ">=")
        if requirement.name != "torch":  # one torch runs the whole matrix: constraints.txt
            assert floor in pins[requirement.name], text


def test_every_environment_is_constrained(tox_ini):
    sections = [tox_ini[name] for name in tox_ini.sections() if name.startswith("testenv")]
    assert all("-c constraints.txt" in section["deps"] for section in sections)
    assert tox_ini["testenv"]["constrain_package_deps"] == "true"


def test_constraints_pin_torch_exactly():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {pin.name: pin.specifier for pin in map(Requirement, [line for line in lines if line and line[0] != "#"])}
    assert [bound.operator for bound in pins["torch"]] == ["=="]


def test_ci_runs_the_readmes_command():
    steps = ["python -m venv .venv", ".venv/bin/pip install tox", ".venv/bin/tox"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert " && ".join(steps) in (ROOT / "README.md").read_text(encoding="utf-8")
    positions = [script.find(step.removeprefix("python ")) for step in steps]
    assert -1 not in positions
    assert positions == sorted(positions)


def test_ci_script_is_executable():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_tracked_file_holds_a_machine_path():
    found = []
    for path in tracked_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


@pytest.mark.parametrize("name", ["tox.ini", "constraints.txt", "pyproject.toml", ".ci/run"])
def test_no_package_index_is_named(name):
    text = (ROOT / name).read_text(encoding="utf-8").lower()
    assert not re.search(r"index-url|find-links|index_url|find_links|https?://\S*(?:simple|pypi)", text)
