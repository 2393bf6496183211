"""The documentation: what it shows is run, what it lists is all there is, and the arrows are those of the imports."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shlex
import sys
import textwrap
from itertools import groupby
from pathlib import Path

import pytest
import yaml
from conftest import BATCH
from outcomes import on_cpu

from lightning_conformance.checks import CHECKS, all_checks, judge
from lightning_conformance.lightning_api import NEWEST_VERIFIED, OLDEST_VERIFIED, LightningPackage
from lightning_conformance.recording.model import Recording
from lightning_conformance.reporting.catalogue import explanation

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "lightning_conformance"
README = ROOT / "README.md"
USAGE = ROOT / "docs" / "usage.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(text, language):
    """The code blocks of a page in one language, dedented."""
    pattern = rf"^(?P<indent> *)```{language}\n(?P<body>.*?)^(?P=indent)```$"
    return [textwrap.dedent(match["body"]) for match in re.finditer(pattern, text, re.DOTALL | re.MULTILINE)]


def command_lines(text):
    """The lines of the blocks without a language."""
    # A closing fence looks like an opening one: every second part is a block.
    parts = re.split(r"^```", text, flags=re.MULTILINE)[1::2]
    return [line for part in parts if part.startswith("\n") for line in part.splitlines()]


def plain_blocks(text):
    """The blocks without a language."""
    return [part[1:] for part in re.split(r"^```", text, flags=re.MULTILINE)[1::2] if part.startswith("\n")]


def pytest_arguments(text):
    """The arguments of the pytest commands that a page shows, split as a shell does."""
    lines = [line for line in command_lines(text) if line.startswith("pytest ")]
    assert lines
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What is shown is run.


def normalised(line):
    """A line of output without what may differ from machine to machine: versions, timings, lengths
    of rules, how many checks there are."""
    line = re.sub(r"\d+\.\d+\.\d+[\w.]*", "VERSION", line.replace("\\", "/"))
    line = re.sub(r"\d+\.\d+s\b", "TIME", line)
    line = re.sub(r"\d+ checks: [\w, ]+", "CENSUS ", line)
    return re.sub(r"([=_])\1{2,}", r"\1\1\1", line).rstrip()


def expected_parts(shown):
    """The lines that must follow each other; `...` stands for any lines between two parts."""
    lines = list(map(normalised, shown.splitlines()))
    return [list(part) for is_gap, part in groupby(lines, lambda line: line == "...") if not is_gap]


def position_of(part, lines, start):
    found = [i for i in range(start, len(lines)) if lines[i : i + len(part)] == part]
    assert found, "the README shows this, and the command does not print it:\n" + "\n".join(part)
    return found[0] + len(part)


def shown_runs():
    for block in blocks(text_of(README), "console"):
        command, _, shown = block.partition("\n")
        yield pytest.param(command, shown, id=command.partition("=")[2])


@pytest.mark.parametrize(("command", "shown"), list(shown_runs()))
def test_the_readme_shows_what_the_command_prints(command, shown, kit, said, monkeypatch):
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "pytest"
    lines = list(map(normalised, said(kit.run(*arguments, batch="")).splitlines()))
    position = 0
    for part in expected_parts(shown):
        position = position_of(part, lines, position)


def test_the_first_command_runs_the_checks_of_the_example_and_nothing_else(kit, items, monkeypatch):
    monkeypatch.chdir(ROOT)
    first = next(line for line in command_lines(text_of(README)) if line.startswith("python -m venv"))
    program, *arguments = shlex.split(first.rpartition("&&")[2])
    assert program == ".venv/bin/pytest"
    found = items(kit.run(*arguments, batch=""))
    assert set(found) == {f"examples/classifier.py:Classifier::cpu::{check.name}" for check in on_cpu()}
    assert set(found.values()) <= {"passed", "skipped"}


@pytest.fixture
def usage(kit, monkeypatch):
    """A folder with the files that the page on usage shows."""
    for path in kit.path.glob("*.py"):
        path.unlink()
    for language in ("python", "yaml"):
        for block in blocks(text_of(USAGE), language):
            if name := re.match(r"# (\w+\.\w+)\n", block):
                kit.write(name[1], block)
    monkeypatch.syspath_prepend(str(kit.path))
    before = set(sys.modules)
    yield kit
    for name in {file.stem for file in kit.path.glob("*.py")} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", [README, USAGE], ids=["README", "usage"])
def test_commands_of_the_page_pass(page, usage, items):
    (usage.path / "conftest.py").unlink()
    usage.write("path/to/model.py", (usage.path / "model.py").read_text("utf-8"))
    for arguments in pytest_arguments(text_of(page)):
        # What is said of processes is tested elsewhere; data.py holds no tests, so that only the checks are left.
        found = items(usage.run(*arguments, "-n0", usage.path / "data.py", batch=""))
        assert set(found.values()) <= {"passed", "skipped"}, (arguments, found)


def test_what_usage_shows_as_inferred_is_inferred(usage, said):
    (usage.path / "conftest.py").unlink()
    (shown,) = [line for line in command_lines(text_of(USAGE)) if line.startswith("  inferred    --lightning-batch")]
    assert shown in said(usage.run("--lightning-module=model.py:Model", usage.path / "data.py", batch="")).splitlines()


@pytest.mark.parametrize("fixture_override", [True, False])
def test_usage_tests_pass_on_the_configured_modules(fixture_override, usage, items):
    usage.write("pyproject.toml", blocks(text_of(USAGE), "toml")[0])
    if not fixture_override:
        (usage.path / "conftest.py").unlink()
    found = items(usage.run(batch=""))
    assert set(found.values()) <= {"passed", "skipped"}
    shipped = {name.partition("::")[0] for name in found}
    assert shipped == {"model.py:Model", "model.py:Model#2", "test_with_fixtures.py", "test_named_here.py"}


@pytest.mark.parametrize("page", [README, USAGE], ids=["README", "usage"])
def test_python_of_the_page_runs(page, usage, monkeypatch, capsys):
    if page == README:
        monkeypatch.chdir(ROOT)
    unnamed = [block for block in blocks(text_of(page), "python") if not re.match(r"# \w+\.py\n", block)]
    assert unnamed
    for block in unnamed:
        exec(compile(block, str(page), "exec"), {"__name__": "documentation"})
    printed = capsys.readouterr().out
    assert f"{len(on_cpu())} checks: " in printed
    assert "failed" not in printed


def test_the_new_check_of_the_architecture_page_needs_nothing_but_its_function():
    code = blocks(text_of(ROOT / "docs" / "architecture.md"), "python")[0]
    before = dict(CHECKS)
    try:
        exec(compile(code, "architecture.md", "exec"), {"__name__": "documentation"})
        (name,) = set(CHECKS) - set(before)
        assert name in [
            verdict.check for verdict in judge(lambda regime: Recording("model", "cpu", regime), all_checks())
        ]
        assert "## How it judges" in explanation(name)
    finally:
        CHECKS.clear()
        CHECKS.update(before)


@pytest.mark.parametrize("check", [check.name for check in all_checks()])
def test_the_page_of_a_check_has_every_section(check):
    documentation = CHECKS[check].documentation
    title, *parts = re.split(r"^## (.+)$", documentation, flags=re.MULTILINE)
    assert re.fullmatch(r"[^\n]+\.\n\n", title)
    assert parts[::2] == ["How it judges", "Why it matters", "Example", "Use instead", "Legitimate exceptions"]
    assert all(text.strip() for text in parts[1::2])


# What is listed is all there is.


def test_generated_pages_are_up_to_date(generate):
    advice = "run: python docs/generate.py"
    assert text_of(generate.CHECKS) == generate.checks_page(), advice
    assert {page: text_of(page) for page in generate.CHECK_PAGES.iterdir()} == generate.check_pages(), advice
    assert text_of(generate.ARCHITECTURE) == generate.architecture_page(), advice


def test_the_architecture_page_names_every_subpackage():
    page = text_of(ROOT / "docs" / "architecture.md")
    for package in PACKAGE.iterdir():
        assert not (package / "__init__.py").exists() or f"{package.name}/" in page


def test_the_readme_lists_the_checks():
    table = text_of(README).partition("<!-- checks: begin -->")[2]
    assert re.findall(r"docs/checks/(\w+).md\)", table) == [check.name for check in all_checks()]


def test_usage_documents_every_option_and_ini_key_and_no_other(pytestconfig):
    source = "".join(text_of(PACKAGE / "plugin" / name) for name in ("options.py", "module_options.py"))
    options = set(re.findall(r'"(--lightning-[a-z-]+)"', source))
    keys = set(re.findall(r'"(lightning_\w+)", *\n? *"[A-Z]', source))
    table = text_of(USAGE).partition("## Options")[2]
    assert set(re.findall(r"`(--lightning-[a-z-]+)", table)) == options
    assert set(re.findall(r"`(lightning_\w+)`", table)) == keys
    for page in PAGES:
        assert set(re.findall(r"(?<!\w)--lightning-[a-z-]*[a-z]", text_of(page))) <= options, page


def test_the_page_on_configuration_documents_every_key():
    from lightning_conformance.plugin.tables import GLOBAL_KEYS, MODULE_KEYS

    page = text_of(ROOT / "docs" / "configuration.md")
    rows = re.findall(r"^\| (`.+?) \|", page.partition("## For all modules")[2], re.MULTILINE)
    assert {key for row in rows for key in re.findall(r"`([\w-]+)`", row)} == set(GLOBAL_KEYS)
    own = page.partition("## For one module")[2].partition("## ")[0]
    assert set(MODULE_KEYS) <= set(re.findall(r"`([\w-]+)`", own))


def test_the_configuration_shown_is_valid(tmp_path):
    from lightning_conformance.plugin.tables import read_table

    [block] = blocks(text_of(ROOT / "docs" / "configuration.md"), "toml")
    (tmp_path / "pyproject.toml").write_text(block, "utf-8")
    assert len(read_table(tmp_path)["modules"]) == 2


def test_every_option_has_a_key_or_is_asked_once():
    from lightning_conformance.plugin.tables import GLOBAL_KEYS, MODULE_KEYS

    source = "".join(text_of(PACKAGE / "plugin" / name) for name in ("options.py", "module_options.py"))
    options = set(re.findall(r'"--lightning-([a-z-]+)"', source))
    page = text_of(ROOT / "docs" / "configuration.md")
    once = set(re.findall(r"`--lightning-([a-z-]+)`", page.partition("has no key:")[2].partition("\n\n")[0]))
    other_names = {"module": "modules", "no-guess": "guess"}
    assert once < options
    assert {other_names.get(name, name) for name in options - once} <= {*GLOBAL_KEYS, *MODULE_KEYS}
    assert not once & {*GLOBAL_KEYS, *MODULE_KEYS}


def test_the_header_that_configuration_shows_is_that_of_a_snapshot():
    (shown,) = [b for b in plain_blocks(text_of(ROOT / "docs" / "configuration.md")) if "settings: " in b]
    snapshot = text_of(ROOT / "tests" / "snapshots" / "expected.txt")
    assert snapshot.startswith(re.sub(r"\d+\.\d+\.\d+", "VERSION", shown))


# The version table.


def version_table():
    """The command's words, and the cells of the table that it prints: by target, by check, by release."""
    page = text_of(ROOT / "docs" / "ci.md")
    (command,) = [line for line in command_lines(page) if line.startswith("python -m lightning_conformance")]
    (block,) = [b for b in plain_blocks(page) if b.startswith("examples/")]
    table, releases = {}, []
    for line in block.splitlines():
        if not line.startswith(" "):
            rows = table.setdefault(line.partition(" :: ")[0], {})
        elif line.startswith("  Lightning"):
            releases = line.split()[1:]
        elif " others " not in line and " checks " not in line:
            check, *cells = line.split()
            rows[check] = dict(zip(releases, cells, strict=True))
    return shlex.split(command)[3:], table


def test_the_command_of_the_version_table_names_what_it_shows():
    from lightning_conformance.versions import _parser, _split

    own, given = _split(version_table()[0])
    table = version_table()[1]
    targets = [word.partition("=")[2] for word in given if word.startswith("--lightning-module=")]
    assert targets == list(table)
    releases = _parser().parse_args(own).lightning.split(",")
    assert all(list(cells) == releases for rows in table.values() for cells in rows.values())


@pytest.mark.parametrize("target", list(version_table()[1]))
def test_the_version_table_is_true_of_this_release(target, items, kit, monkeypatch):
    monkeypatch.chdir(ROOT)
    release = ".".join(LightningPackage("pytorch_lightning").version.split(".")[:2])
    rows = version_table()[1][target]
    if rows and release not in next(iter(rows.values())):
        pytest.skip(f"the table has no column for {release}")
    found = items(kit.run(f"--lightning-module={target}", "examples", batch=""))
    failed = {name.rpartition("::")[2] for name, outcome in found.items() if outcome == "failed"}
    assert failed == {check for check, cells in rows.items() if cells[release] == "FAIL"}


# In continuous integration.


def ci_commands():
    """The shell commands of the workflows that the page shows."""
    for block in blocks(text_of(ROOT / "docs" / "ci.md"), "yaml"):
        data = yaml.safe_load(block)
        job = data["jobs"]["conformance"] if "jobs" in data else data["conformance"]
        yield job, [step["run"] for step in job.get("steps", []) if "run" in step] or job["script"]


@pytest.mark.parametrize(("job", "commands"), list(ci_commands()), ids=["github", "gitlab"])
def test_the_workflows_shown_run_and_leave_what_they_hand_on(job, commands, kit, items):
    kit.write(
        "pyproject.toml",
        f'[tool.lightning-conformance]\nmodules = [{{ target = "model.py:Model", batch = "{BATCH}" }}]',
    )
    (words,) = [shlex.split(command)[1:] for command in commands if command.startswith("pytest ")]
    assert words[words.index("-n") + 1] == "2"
    result = kit.run(*words, "-n0", "--lightning-select=loss_returned")
    assert items(result) == {"model.py:Model::cpu::loss_returned": "passed"}
    used = set(re.findall(r"\b(?:report|junit)\.\w+", f"{job} {commands}"))
    assert len(used) == 2
    assert [name for name in used if not (kit.path / name).exists()] == []


# Adopting.


def test_what_adopting_shows_happens(kit, said, monkeypatch):
    page = text_of(ROOT / "docs" / "adopting.md")
    (command,) = pytest_arguments(page)
    silent = "class Regressor(Model):\n    def training_step(self, batch, batch_idx):\n        pass\n"
    kit.module(silent, name="src/model.py")
    select = ["--lightning-select=loss_returned", "-n0"]
    assert kit.run(*command, *select).ret == 1
    assert kit.run(*command, *select).ret == 0
    kit.module("class Regressor(Model):\n    pass\n", name="src/model.py")
    printed = said(kit.run(*command, *select)).splitlines()
    shown = [line for line in command_lines(page) if line.startswith("  ")]
    assert len(shown) == 2
    assert [line for line in printed if line.startswith(("  gone", "  baseline"))] == shown


def test_usage_documents_every_fixture():
    from lightning_conformance import plugin

    table = set(re.findall(r"^\| `(lightning_\w+)` \|", text_of(USAGE), re.MULTILINE))
    assert table == {name for name in plugin.__all__ if name.startswith("lightning_")}


def test_changelog_names_what_there_is():
    import lightning_conformance

    entry = text_of(ROOT / "CHANGELOG.md").partition("## [0.1.0]")[2]
    for name in set(lightning_conformance.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", entry), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page)):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_verdicts_on_the_popular_answers_are_of_all_three_versions():
    block = re.search(
        r"<!-- verdicts: begin -->(.*)<!-- verdicts: end -->", text_of(ROOT / "docs/two-popular-answers.md"), re.DOTALL
    )[1]
    versions, rows = re.findall(r"^### Lightning (\d+\.\d+)", block, re.MULTILINE), re.findall(r"^\| `.*$", block, re.M)
    assert versions == ["2.6", "2.0", "1.9"]
    assert len(rows) == 13 * len(versions)
    assert not [row for row in rows if ":Right" in row and "failed" in row]


# The arrows are those of the imports.

LAYERS = ("lightning_api", "subjects", "environments", "recording", "checks", "reporting", "plugin")
ABOVE_ALL = {"api", "versions", "__main__", "__init__"}
BELOW_ALL = {"declaring", "deadline", "errors"}
LIGHTNING = {"lightning", "pytorch_lightning", "lightning_fabric"}


def imported_names(path):
    """The dotted names that a file imports, also inside functions and for the type checker."""
    package = ["lightning_conformance", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(text_of(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join([*base, *filter(None, [node.module])])


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield pytest.param(path, id=path.relative_to(PACKAGE).as_posix())


def part_of(path):
    """The layer that a file belongs to, or the name of one of the four files beside the layers."""
    return Path(path.relative_to(PACKAGE).parts[0]).stem


def parts_imported(path):
    own = [name.split(".") for name in imported_names(path) if name.startswith("lightning_conformance.")]
    return {name[1] for name in own}


def test_every_part_has_its_place():
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")}
    assert parts == {*LAYERS, *ABOVE_ALL, *BELOW_ALL}


@pytest.mark.parametrize("path", list(modules()))
def test_arrows_point_down(path):
    part = part_of(path)
    if part in ABOVE_ALL:
        return
    allowed = set(LAYERS[: LAYERS.index(part) + 1]) if part in LAYERS else set()
    assert parts_imported(path) <= allowed | BELOW_ALL


@pytest.mark.parametrize("path", list(modules()))
def test_each_import_has_its_place(path):
    part, tops = part_of(path), {name.partition(".")[0] for name in imported_names(path)}
    assert part == "plugin" or not tops & {"pytest", "_pytest", "xdist", "pluggy"}
    assert not tops & LIGHTNING
    if part in ("checks", "reporting"):
        data = {name for name in imported_names(path) if name.startswith("lightning_conformance.recording")}
        assert all(re.fullmatch(r"lightning_conformance\.recording\.(model|events_\w+)", name) for name in data)
        assert "torch" not in tops


def test_the_names_that_the_package_hands_on_are_there():
    import lightning_conformance

    for name in lightning_conformance.__all__:
        assert getattr(lightning_conformance, name) is not None
    assert inspect.isfunction(lightning_conformance.check_module)


def test_the_readme_states_the_verified_versions():
    oldest, newest = ("{}.{}".format(*release) for release in (OLDEST_VERIFIED, NEWEST_VERIFIED))
    assert f"Lightning {oldest} to {newest}" in text_of(README)
    constraints = text_of(ROOT / "constraints.txt")
    pinned = re.search(r"^torch==(\d+\.\d+)", constraints, re.MULTILINE)[1]
    assert f"torch {pinned}" in text_of(README)
