"""Options and ini keys, and what they are read into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from lightning_conformance.errors import UsageError
from lightning_conformance.plugin.keys import only_key
from lightning_conformance.plugin.module_options import add_module_options

MARKER = "lightning_conformance"
TABLE = "lightning-conformance"
LIST = "list"
# The ini keys that take one value.
INI_DEFAULTS: dict[str, Any] = {
    "lightning_train_loss": "",
    "lightning_environment": "auto",
    "lightning_timeout": "120",
    "lightning_infer_attempts": "200",
    "lightning_infer_seconds": "8",
    "lightning_strict": False,
    "lightning_guess": True,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the group `lightning-conformance`."""
    group = parser.getgroup("lightning-conformance", "conformance of PyTorch Lightning modules")
    add_module_options(group.addoption)
    _add_run_options(group)
    _add_report_options(group)
    _add_ini_keys(parser)


def _add_run_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--lightning-environment",
        action="append",
        metavar="NAME",
        help="Where to run: auto (default: every one that is there), or names such as cpu,virtual; "
        "'list' lists them, then exits (ini: lightning_environment).",
    )
    group.addoption(
        "--lightning-timeout",
        metavar="SECONDS",
        help="Time after which one recorded run is ended; 0 for no limit (ini: lightning_timeout; default: 120).",
    )
    group.addoption(
        "--lightning-infer-attempts",
        metavar="N",
        help="Training steps that may be tried to infer a batch (ini: lightning_infer_attempts; default: 200).",
    )
    group.addoption(
        "--lightning-infer-seconds",
        metavar="SECONDS",
        help="Time that inferring a batch may take (ini: lightning_infer_seconds; default: 8).",
    )
    group.addoption(
        "--lightning-no-guess",
        action="store_true",
        default=None,
        help="Guess no constructor arguments that nobody gave (ini: lightning_guess = false).",
    )


def _add_report_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--lightning-severity",
        metavar="LEVEL",
        help="Lowest level of findings that are reported: error, warning or advice (default).",
    )
    group.addoption(
        "--lightning-baseline",
        metavar="FILE",
        help="File of known failures: written where it is not there; where it is, only other failures fail.",
    )
    group.addoption(
        "--lightning-update-baseline",
        action="store_true",
        help="Write the failures of this run into the file of --lightning-baseline.",
    )
    group.addoption(
        "--lightning-report",
        action="append",
        metavar="FILE",
        help="Write a report: .json, .md or .sarif. May be repeated.",
    )
    group.addoption(
        "--lightning-freeze",
        action="store_true",
        help="Write what was inferred for each module into the file that pytest is configured by.",
    )
    group.addoption(
        "--lightning-strict",
        action="store_true",
        default=None,
        help="Let warnings fail, too, and guess no constructor arguments (ini: lightning_strict).",
    )
    group.addoption(
        "--lightning-explain",
        metavar="CHECK",
        help="Explain a check: how it judges, why, what to write instead, and how to waive it; then exit.",
    )
    group.addoption("--lightning-list-checks", action="store_true", help="List the checks; then exit.")


def _add_ini_keys(parser: pytest.Parser) -> None:
    parser.addini(
        "lightning_modules",
        "LightningModules to check, one a line: PATH:CLASS, with the options about it behind it.",
        type="linelist",
        default=[],
    )
    for name, text in (
        ("lightning_train_loss", "Name of the logged training loss (train_loss)."),
        ("lightning_environment", "Environments to run in."),
        ("lightning_timeout", "Seconds after which one recorded run is ended."),
        ("lightning_infer_attempts", "Training steps that may be tried to infer a batch."),
        ("lightning_infer_seconds", "Seconds that inferring a batch may take."),
        ("lightning_strict", "Let warnings fail, too."),
        ("lightning_guess", "Guess constructor arguments that nobody gave."),
    ):
        default = INI_DEFAULTS[name]
        kind: Literal["bool", "string"] = "bool" if isinstance(default, bool) else "string"
        parser.addini(name, text, type=kind, default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, where there are any; wrong words end the run with exit code 4 before anything is imported."""
    config.addinivalue_line("markers", f"{MARKER}: a conformance check of a LightningModule.")
    # Without pytest-xdist (-p no:xdist) nobody else registers its mark.
    config.addinivalue_line("markers", "xdist_group(name): items of one group run on one worker.")
    if _is_asked_for(config):
        from lightning_conformance.plugin.starting import start

        start(config)


def _is_asked_for(config: pytest.Config) -> bool:
    """Whether an option, an ini key, a node id or the table of ``pyproject.toml`` speaks to the kit."""
    options = (value for name, value in vars(config.option).items() if name.startswith("lightning_"))
    keys = (config.getini(name) != default for name, default in INI_DEFAULTS.items())
    if any(options) or any(keys) or config.getini("lightning_modules") or only_key in config.stash:
        return True
    try:
        return TABLE in (config.rootpath / "pyproject.toml").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except (OSError, UnicodeError):
        return True  # whoever reads it tells what is wrong


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer what asks for a list or an explanation; take conformance node ids off the arguments."""
    try:
        if text := _answer(config):
            print(text)
            return 0
        _take_node_ids(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return None


def _answer(config: pytest.Config) -> str:
    """What an option asks to be told instead of a run; empty where none does."""
    if LIST in (config.getoption("lightning_environment") or []):
        from lightning_conformance.environments import environments_text

        return environments_text()
    name = config.getoption("lightning_explain")
    if not (name or config.getoption("lightning_list_checks")):
        return ""
    from lightning_conformance.reporting.catalogue import checks_text, explanation

    return explanation(name) if name else checks_text()


def _take_node_ids(config: pytest.Config) -> None:
    """A node id such as ``model.py:Model::cpu::loss_returned`` selects items; pytest takes it for a file."""
    if not any(":" in arg for arg in config.args):
        return
    from lightning_conformance.plugin.reading import configured_targets

    words = list(config.getoption("lightning_words") or [])
    known = [*(value for word, value in words if word == "module"), *configured_targets(config)]
    taken = [arg for arg in config.args if _is_conformance_id(config, arg, known)]
    config.args[:] = [arg for arg in config.args if arg not in taken]
    if taken:
        config.stash[only_key] = tuple(taken)
    new = dict.fromkeys(target for target in (arg.partition("::")[0] for arg in taken) if target not in known)
    config.option.lightning_words = [*words, *(("module", target) for target in new)]


def _is_conformance_id(config: pytest.Config, arg: str, known: Sequence[str]) -> bool:
    target = arg.partition("::")[0]
    file, colon, name = target.rpartition(":")
    if not colon or not name or (config.invocation_params.dir / target).exists():
        return False
    return target in known or (file.endswith(".py") and (config.invocation_params.dir / file).is_file())
