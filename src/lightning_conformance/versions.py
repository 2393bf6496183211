"""The version table: checks and Lightning releases side by side.

What an upgrade breaks is seen before it is made: tox makes an environment for each release and runs pytest in it, each
run leaves a report, and the table is read off the reports.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lightning_conformance.errors import UsageError
from lightning_conformance.lightning_api import NEWEST_VERIFIED, OLDEST_VERIFIED

WORDS = {"passed": "ok", "failed": "FAIL", "expected": "xfail", "not applicable": "-", "inconclusive": "?"}
MISSING = "none"
# Of these outcomes no row needs a name, unless few differ in the same way.
_HARMLESS = {"passed", "not applicable", "inconclusive"}
_FEW = 2
Table = dict[tuple[str, str], dict[str, dict[str, str]]]


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code is 1 where a check failed on some release.

    Raises:
        UsageError: A word cannot be meant, or tox is not there.
    """
    own, pytest_options = _split(arguments)
    given = _parser().parse_args(own)
    releases = _releases(given.lightning)
    if importlib.util.find_spec("tox") is None:
        raise UsageError("tox is not installed.", "pip install tox")
    work = Path(given.workdir).resolve()
    work.mkdir(parents=True, exist_ok=True)
    for release in releases:
        report_file(work, release).unlink(missing_ok=True)
    ini = work / "tox.ini"
    ini.write_text(tox_ini(releases, work, Path.cwd(), given.install, given.constraint), encoding="utf-8")
    command = [sys.executable, "-m", "tox", "run", "-c", str(ini), "--workdir", str(work / "environments")]
    # What tox and pytest print goes past: the table is the answer.
    outcome = subprocess.run([*command, "--", *pytest_options], stdout=sys.stderr, check=False)
    table = read_table(work, releases)
    if not table:
        raise UsageError(f"no release was judged (tox ended with {outcome.returncode}); what it printed says why.")
    print("\n".join(table_lines(table, releases)))
    cells = (word for rows in table.values() for row in rows.values() for word in row.values())
    return int(any(word in ("failed", MISSING) for word in cells))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(arguments)
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_conformance",
        description="Run the checks on several releases of Lightning, each in an environment that tox makes, and print "
        "a table. What follows -- is given to pytest, for example --lightning-module=model.py:Model.",
    )
    parser.add_argument("command", choices=["versions"])
    oldest, newest = (".".join(map(str, release)) for release in (OLDEST_VERIFIED, NEWEST_VERIFIED))
    parser.add_argument("--lightning", default=f"{oldest},{newest}", metavar="X.Y,...", help="Releases (%(default)s).")
    parser.add_argument(
        "--install", action="append", default=[], metavar="REQUIREMENT", help="What your module needs. May be repeated."
    )
    parser.add_argument("--constraint", default="", metavar="FILE", help="A constraints file for pip.")
    parser.add_argument("--workdir", default=".tox/lightning-versions", help="Where to work (%(default)s).")
    return parser


def _releases(text: str) -> list[str]:
    found = [word.strip() for word in text.split(",") if word.strip()]
    for word in found:
        if not re.fullmatch(r"\d+\.\d+", word):
            raise UsageError(f"--lightning={text}: {word!r} is no release.", "Write 1.9,2.0,2.6 for example.")
    return found


def tox_ini(releases: Sequence[str], work: Path, folder: Path, install: Sequence[str], constraint: str) -> str:
    """The file that tox is run with.

    Args:
        folder: Where pytest runs.
        install: Requirements of the user's module.
    """
    names = ",".join(releases)
    old = [release for release in releases if tuple(map(int, release.split("."))) < (2, 4)]
    pins = [f"lightning{r}: {package}=={r}.*" for r in releases for package in ("pytorch-lightning", "lightning")]
    pins += [f"lightning{r}: setuptools<81" for r in old] + [
        f"lightning{r}: lightning-cloud<0.6" for r in old if r < "2"
    ]
    requirements = [*([f"-c {Path(constraint).resolve()}"] if constraint else []), _kit(), *install, *pins]
    lines = "\n".join(f"    {line}" for line in requirements)
    return f"""\
[tox]
env_list = lightning{{{names}}}

[testenv]
package = skip
base_python = {sys.executable}
change_dir = {folder}
constrain_package_deps = true
ignore_outcome = true
set_env =
    PIP_COMPILE = 0
deps =
{lines}
commands =
    pytest -m lightning_conformance --lightning-report={work}{os.sep}{{env_name}}.json {{posargs}}
"""


def _kit() -> str:
    """The requirement that installs the kit as it is installed here."""
    distribution = importlib.metadata.distribution("lightning-conformance")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    return f"lightning-conformance @ {url}" if url else f"lightning-conformance=={distribution.version}"


def report_file(work: Path, release: str) -> Path:
    """Where the run on a release leaves its report."""
    return work / f"lightning{release}.json"


def read_table(work: Path, releases: Sequence[str]) -> Table:
    """Outcomes by subject and environment, by check, by release; ``none`` where a release left no verdict."""
    found: Table = {}
    for release in releases:
        file = report_file(work, release)
        if not file.exists():
            continue
        for cell in json.loads(file.read_text(encoding="utf-8"))["subjects"]:
            rows = found.setdefault((cell["subject"], cell["environment"]), {})
            for verdict in cell["verdicts"]:
                rows.setdefault(verdict["check"], {})[release] = verdict["outcome"]
    for rows in found.values():
        for row in rows.values():
            for release in releases:
                row.setdefault(release, MISSING)
    return found


def table_lines(table: Table, releases: Sequence[str]) -> Iterator[str]:
    """The table: a row for each check that fails somewhere; of the others, one for all that differ in the same way."""
    for (subject, environment), rows in table.items():
        told = {check: row for check, row in rows.items() if not set(row.values()) <= _HARMLESS}
        alike: dict[tuple[str, ...], list[str]] = {}
        for check in (name for name in rows if name not in told):
            words = tuple(rows[check][release] for release in releases)
            alike.setdefault(words if len(set(words)) > 1 or "inconclusive" in words else (), []).append(check)
        same = alike.pop((), [])
        for outcomes, checks in alike.items():
            name = ", ".join(checks) if len(checks) <= _FEW else f"{len(checks)} others"
            told[name] = dict(zip(releases, outcomes, strict=True))
        yield f"{subject} :: {environment}"
        yield from _rows(told, f"{len(same)} {'others' if told else 'checks'}" if same else "", releases)


def _rows(told: Mapping[str, Mapping[str, str]], same: str, releases: Sequence[str]) -> Iterator[str]:
    width = max(map(len, [*told, same, "Lightning"]))
    yield f"  {'Lightning':<{width}}  " + "  ".join(f"{release:<5}" for release in releases).rstrip()
    for name, row in told.items():
        cells = "  ".join(f"{WORDS.get(row[release], row[release]):<5}" for release in releases)
        yield f"  {name:<{width}}  {cells.rstrip()}"
    if same:
        yield f"  {same:<{width}}  pass, or do not apply, on all"
