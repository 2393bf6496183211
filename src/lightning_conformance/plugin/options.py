"""Options and ini keys, and what they are read into."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lightning_conformance.errors import KitError, UsageError
from lightning_conformance.plugin.distribution import group_by_subject
from lightning_conformance.plugin.settings import Request, Settings, attempts, limited_seconds, seconds
from lightning_conformance.plugin.state import State, state_key

MARKER = "lightning_conformance"
DEFAULT_ENVIRONMENT = "auto"
Word = tuple[str, str]


class InOrder(argparse.Action):
    """Keep the options about modules in the order in which they were typed: each belongs to the module before it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Append ``(word, value)``."""
        words = list(getattr(namespace, self.dest, None) or [])
        words.append(((option_string or self.option_strings[0]).removeprefix("--lightning-"), values))
        setattr(namespace, self.dest, words)


def _add_module_options(add: Any) -> None:
    def about_a_module(name: str, metavar: str, text: str) -> None:
        add(name, action=InOrder, dest="lightning_words", metavar=metavar, default=None, help=text)

    about_a_module(
        "--lightning-module",
        "PATH:CLASS",
        "LightningModule to check: a file or dotted module, and a class, factory function or instance in it. "
        "May be repeated; the five options below belong to the module before them, or to all if they stand first.",
    )
    about_a_module(
        "--lightning-init",
        "KEY=VALUE",
        "Constructor argument as key=value, or all of them as one JSON object. May be repeated.",
    )
    about_a_module(
        "--lightning-config",
        "FILE",
        "YAML file in LightningCLI's form (class_path and init_args, or a whole config with a model section).",
    )
    about_a_module(
        "--lightning-batch",
        "SPEC",
        "What a batch is: a spec such as 'x: float[8,10], y: int[8]<2', or PATH:NAME of a function that returns "
        "a batch or of a LightningDataModule. Default: the module's own dataloaders, or inference.",
    )
    about_a_module(
        "--lightning-val-batch",
        "SPEC",
        "What a validation batch is, where validation_step takes another than training_step: a spec, or PATH:NAME of a "
        "function that returns a batch. Default: the same, or another that is inferred where it must be.",
    )
    about_a_module(
        "--lightning-train-loss",
        "NAME",
        "Name under which the training loss is logged (ini: lightning_train_loss; default: train_loss).",
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the group `lightning-conformance`."""
    group = parser.getgroup("lightning-conformance", "conformance of PyTorch Lightning modules")
    _add_module_options(group.addoption)
    group.addoption(
        "--lightning-environment",
        action="append",
        metavar="NAME",
        help="Where to run: auto (default: every one that is there), or names such as cpu,cuda "
        "(ini: lightning_environment).",
    )
    group.addoption(
        "--lightning-timeout",
        metavar="SECONDS",
        help="Time after which one recorded run is ended; 0 for no limit (ini: lightning_timeout; default: 120).",
    )
    group.addoption(
        "--lightning-infer-attempts",
        metavar="N",
        help="Training steps that may be tried to infer a batch (ini: lightning_infer_attempts; default: 80).",
    )
    group.addoption(
        "--lightning-infer-seconds",
        metavar="SECONDS",
        help="Time that inferring a batch may take (ini: lightning_infer_seconds; default: 8).",
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
        "--lightning-no-guess",
        action="store_true",
        default=None,
        help="Guess no constructor arguments that nobody gave (ini: lightning_guess = false).",
    )
    group.addoption(
        "--lightning-explain",
        metavar="CHECK",
        help="Explain a check: what it does, why, and what to write instead; then exit.",
    )
    group.addoption("--lightning-list-checks", action="store_true", help="List the checks; then exit.")
    parser.addini(
        "lightning_modules",
        "LightningModules to check, one a line: PATH:CLASS, with the options about it behind it.",
        type="linelist",
        default=[],
    )
    parser.addini("lightning_train_loss", "Name of the logged training loss (train_loss).", default="")
    parser.addini("lightning_environment", "Environments to run in.", default=DEFAULT_ENVIRONMENT)
    parser.addini("lightning_timeout", "Seconds after which one recorded run is ended.", default="120")
    parser.addini("lightning_infer_attempts", "Training steps that may be tried to infer a batch.", default="200")
    parser.addini("lightning_infer_seconds", "Seconds that inferring a batch may take.", default="8")
    parser.addini("lightning_strict", "Let warnings fail, too.", type="bool", default=False)
    parser.addini("lightning_guess", "Guess constructor arguments that nobody gave.", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; wrong words end the run with exit code 4 before anything is imported."""
    config.addinivalue_line("markers", f"{MARKER}: a conformance check of a LightningModule.")
    # Without pytest-xdist (-p no:xdist) nobody else registers its mark.
    config.addinivalue_line("markers", "xdist_group(name): items of one group run on one worker.")
    try:
        config.stash[state_key] = State(read_settings(config))
    except KitError as error:
        raise pytest.UsageError(str(error)) from None
    if config.stash[state_key].settings.requests:
        group_by_subject(config)


def read_settings(config: pytest.Config) -> Settings:
    """Options over ini keys.

    Raises:
        UsageError: A word that cannot be meant.
    """
    from lightning_conformance.environments import check_names

    default_loss = str(config.getini("lightning_train_loss"))
    given = config.getoption("lightning_environment") or [str(config.getini("lightning_environment"))]
    strict = config.getoption("lightning_strict")
    strict = bool(config.getini("lightning_strict") if strict is None else strict)
    guess = bool(config.getini("lightning_guess")) and not config.getoption("lightning_no_guess")
    return Settings(
        _read_requests(config, default_loss),
        tuple(check_names(given)),
        seconds(*_word(config, "timeout")),
        strict,
        config.stash.get(only_key, ()),
        attempts(*_word(config, "infer_attempts")),
        limited_seconds(*_word(config, "infer_seconds")),
        bool(config.getoption("lightning_freeze")),
        # A guess makes verdicts inconclusive, which whoever asks for strictness will not want.
        guess and not strict,
    )


def _word(config: pytest.Config, name: str) -> tuple[str, str]:
    """An option, and what it is set to: on the command line, or else in the ini file."""
    given = config.getoption(f"lightning_{name}")
    return f"--lightning-{name.replace('_', '-')}", str(config.getini(f"lightning_{name}") if given is None else given)


def _ini_lines(config: pytest.Config) -> list[str]:
    lines = [str(line).strip() for line in config.getini("lightning_modules")]
    return [line for line in lines if line and not line.startswith("#")]


def _ini_words(lines: Iterable[str]) -> Iterator[Word]:
    for line in lines:
        try:
            target, *rest = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"ini option lightning_modules, line {line!r}: {error}.") from None
        yield "module", target
        parser = argparse.ArgumentParser(prog=f"lightning_modules: {target}", add_help=False, exit_on_error=False)
        _add_module_options(parser.add_argument)
        try:
            found, unknown = parser.parse_known_args(rest)
        except argparse.ArgumentError as error:
            raise UsageError(f"ini option lightning_modules, line {line!r}: {error}") from None
        if unknown:
            raise UsageError(f"ini option lightning_modules, line {line!r}: unknown {unknown[0]!r}.")
        yield from found.lightning_words or []


def _read_requests(config: pytest.Config, default_loss: str) -> tuple[Request, ...]:
    """The modules of the ini file, whose paths start from its folder, then those of the command line."""
    typed = list(config.getoption("lightning_words") or [])
    lines = _ini_lines(config)
    typed_at = next((i for i, (word, _) in enumerate(typed) if word == "module"), len(typed))
    for_all, own = typed[:typed_at], typed[typed_at:]
    listed = _requests(_ini_words(lines), config.rootpath, default_loss, for_all)
    for request, line in zip(listed, lines, strict=True):
        request.line = line
    requests = [
        *listed,
        *_requests(own, config.invocation_params.dir, default_loss, for_all),
    ]
    if for_all and not requests:
        raise UsageError(f"--lightning-{for_all[0][0]} is given, and no module.", "Add --lightning-module=PATH:CLASS.")
    return tuple(requests)


def _requests(words: Iterable[Word], base: Path, default_loss: str, for_all: Sequence[Word]) -> list[Request]:
    """A request for each module among the words; what stands behind a module overrides what is for all."""
    from lightning_conformance.subjects.target import parse_target

    requests: list[Request] = []
    for word, value in words:
        if word == "module":
            requests.append(Request(parse_target(value, base), train_loss=default_loss))
            _apply(requests[-1], for_all)
        else:
            _apply(requests[-1], [(word, value)])
    return requests


def _apply(request: Request, words: Iterable[Word]) -> None:
    for word, value in words:
        if word == "init":
            request.init.append(value)
        else:
            setattr(request, word.replace("-", "_"), value)


only_key = pytest.StashKey[tuple[str, ...]]()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer ``--lightning-explain`` and ``--lightning-list-checks``; take conformance node ids off the arguments."""
    try:
        if config.getoption("lightning_list_checks") or config.getoption("lightning_explain"):
            return _answer(config)
        _take_node_ids(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    return None


def _answer(config: pytest.Config) -> int:
    from lightning_conformance.reporting.catalogue import checks_text, explanation

    name = config.getoption("lightning_explain")
    print(explanation(name) if name else checks_text())
    return 0


def _take_node_ids(config: pytest.Config) -> None:
    """A node id such as ``model.py:Model::cpu::loss_returned`` selects items; pytest takes it for a file."""
    taken = [arg for arg in config.args if _is_conformance_id(config, arg)]
    if not taken:
        return
    config.args[:] = [arg for arg in config.args if arg not in taken]
    config.stash[only_key] = tuple(taken)
    known = [value for word, value in config.getoption("lightning_words") or [] if word == "module"]
    configured = [value for word, value in _ini_words(_ini_lines(config)) if word == "module"]
    for target in dict.fromkeys(arg.partition("::")[0] for arg in taken):
        if target not in (*known, *configured):
            words = list(config.getoption("lightning_words") or [])
            config.option.lightning_words = [*words, ("module", target)]


def _is_conformance_id(config: pytest.Config, arg: str) -> bool:
    target = arg.partition("::")[0]
    file, colon, name = target.rpartition(":")
    if not colon or not name or (config.invocation_params.dir / target).exists():
        return False
    return file.endswith(".py") and (config.invocation_params.dir / file).is_file()
