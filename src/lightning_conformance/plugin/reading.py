"""Read the settings: the command line over ``[tool.lightning-conformance]`` over the ini keys."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lightning_conformance.errors import UsageError
from lightning_conformance.plugin.module_options import Word, add_module_options
from lightning_conformance.plugin.options import INI_DEFAULTS
from lightning_conformance.plugin.settings import (
    SEVERITIES,
    Choice,
    Request,
    Said,
    Settings,
    attempts,
    limited_seconds,
    seconds,
)
from lightning_conformance.plugin.tables import module_words, read_table, words_of

REPORTS = (".json", ".md", ".sarif")
TYPED, TABLE_FILE = "command line", "pyproject.toml"
# What is said on one level, and who says it.
Level = tuple[str, Sequence[Word]]
# What may be said for test files as well, where no module is named.
_ABOUT_CHECKS = ("select", "ignore", "expect")
# Of these, each word adds to the others; of the rest, the last one counts.
_ADDING = ("init", *_ABOUT_CHECKS)


def read_settings(config: pytest.Config, only: tuple[str, ...] = ()) -> Settings:
    """What the user asked for.

    Args:
        only: Node ids that select items.

    Raises:
        UsageError: A word that cannot be meant.
    """
    table = read_table(config.rootpath)
    given = _Given(config, table)
    defaults, for_all = list(_table_words(table)), _before_modules(config)
    train_loss = str(given("train_loss"))
    requests = _read_requests(config, table, given.said)
    if any(word not in _ABOUT_CHECKS for word, _ in for_all) and not requests:
        word = next(word for word, _ in for_all if word not in _ABOUT_CHECKS)
        raise UsageError(f"--lightning-{word} is given, and no module.", "Add --lightning-module=PATH:CLASS.")
    choice = Request(None, choice=Choice())  # type: ignore[arg-type]
    _apply(choice, (TABLE_FILE, [word for word in defaults if word[0] in _ABOUT_CHECKS]))
    _apply(choice, (TYPED, [word for word in for_all if word[0] in _ABOUT_CHECKS]))
    strict = bool(given("strict"))
    guess = bool(given("guess"))
    if config.getoption("lightning_no_guess"):
        guess, given.said["guess"] = False, Said("guess", False, TYPED)
    base = config.invocation_params.dir
    baseline, update = given("baseline"), bool(config.getoption("lightning_update_baseline"))
    if update and not baseline:
        raise UsageError("--lightning-update-baseline is given, and no --lightning-baseline=FILE.")
    return Settings(
        requests,
        _environments(words_of(given("environment"))),
        seconds("--lightning-timeout", str(given("timeout"))),
        strict,
        only,
        attempts("--lightning-infer-attempts", str(given("infer_attempts"))),
        limited_seconds("--lightning-infer-seconds", str(given("infer_seconds"))),
        bool(config.getoption("lightning_freeze")),
        # A guess makes verdicts inconclusive, which whoever asks for strictness will not want.
        guess and not strict,
        choice.choice,
        _severity(str(given("severity") or "advice")),
        given.path(str(baseline), "baseline", base) if baseline else None,
        update,
        tuple(_report(given.path(word, "report", base)) for word in words_of(given("report") or [])),
        train_loss,
        tuple(given.said.values()),
    )


class _Given:
    """What is said of a setting, by whoever has the last word."""

    def __init__(self, config: pytest.Config, table: Mapping[str, Any]) -> None:
        self._config, self._table = config, table
        self.said: dict[str, Said] = {}

    def __call__(self, name: str) -> Any:
        value, origin = self._value(name)
        if origin:
            key = name.replace("_", "-")
            self.said[key] = Said(key, value, origin)
        return value

    def _value(self, name: str) -> tuple[Any, str]:
        typed = self._config.getoption(f"lightning_{name}", None)
        if typed is not None:
            return typed, TYPED
        key = name.replace("_", "-")
        if key in self._table:
            return self._table[key], TABLE_FILE
        try:
            value = self._config.getini(f"lightning_{name}")
        except (KeyError, ValueError):
            return None, ""
        return value, "" if value == INI_DEFAULTS[f"lightning_{name}"] else _ini_name(self._config)

    def path(self, word: str, name: str, typed_base: Path) -> Path:
        """A path: from the working directory where it was typed, from the file's folder where it is configured."""
        is_typed = self._config.getoption(f"lightning_{name}", None) is not None
        return (typed_base if is_typed else self._config.rootpath) / word


def _ini_name(config: pytest.Config) -> str:
    return config.inipath.name if config.inipath is not None else TYPED


def _environments(words: list[str]) -> tuple[str, ...]:
    # A run without the kit should not pay for the names of environments.
    if words == [INI_DEFAULTS["lightning_environment"]]:
        return tuple(words)
    from lightning_conformance.environments import check_names

    return tuple(check_names(words))


def _severity(word: str) -> str:
    if word not in SEVERITIES:
        raise UsageError(f"--lightning-severity={word}: no such level.", f"Valid are: {', '.join(SEVERITIES)}.")
    return word


def _report(path: Path) -> Path:
    if path.suffix not in REPORTS:
        raise UsageError(f"--lightning-report={path.name}: unknown kind.", f"Valid are: {', '.join(REPORTS)}.")
    return path


def configured_targets(config: pytest.Config) -> list[str]:
    """The targets that the configuration names, as it writes them."""
    listed = [value for word, value in _ini_words(_ini_lines(config)) if word == "module"]
    return [*listed, *(module["target"] for module in read_table(config.rootpath).get("modules", []))]


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
        add_module_options(parser.add_argument)
        try:
            found, unknown = parser.parse_known_args(rest)
        except argparse.ArgumentError as error:
            raise UsageError(f"ini option lightning_modules, line {line!r}: {error}") from None
        if unknown:
            raise UsageError(f"ini option lightning_modules, line {line!r}: unknown {unknown[0]!r}.")
        yield from found.lightning_words or []


def _table_words(table: Mapping[str, Any]) -> Iterator[Word]:
    """What the table says for all modules, as options say it."""
    for key in ("select", "ignore"):
        for word in words_of(table[key]) if key in table else ():
            yield key, word
    for check, reason in table.get("expected-failures", {}).items():
        yield "expect", (str(check), str(reason))


def _typed(config: pytest.Config) -> tuple[list[Word], list[Word]]:
    """The words of the command line that stand before the first module, and the others."""
    typed = list(config.getoption("lightning_words") or [])
    at = next((i for i, (word, _) in enumerate(typed) if word == "module"), len(typed))
    return typed[:at], typed[at:]


def _before_modules(config: pytest.Config) -> list[Word]:
    return _typed(config)[0]


def _read_requests(config: pytest.Config, table: Mapping[str, Any], said: Mapping[str, Said]) -> tuple[Request, ...]:
    """The modules of the configuration, whose paths start from its folder, then those of the command line."""
    for_all, own = _typed(config)
    lines, ini = _ini_lines(config), _ini_name(config)
    losses = [(loss.origin, [("train-loss", loss.value)]) for loss in [said.get("train-loss")] if loss and loss.value]
    defaults: list[Level] = [*losses, (TABLE_FILE, list(_table_words(table)))]
    listed = _requests(_ini_words(lines), config.rootpath, ini, defaults)
    for request, line in zip(listed, lines, strict=True):
        request.line = line
    tables = (word for module in table.get("modules", []) for word in module_words(module))
    in_tables = _requests(tables, config.rootpath, TABLE_FILE, defaults)
    for number, request in enumerate(in_tables):
        request.number = number
    configured = [*listed, *in_tables]
    for request in configured:
        # The command line wins.
        _apply(request, (TYPED, for_all))
    typed = _requests(own, config.invocation_params.dir, TYPED, [*defaults, (TYPED, for_all)])
    return (*configured, *typed)


def _requests(words: Iterable[Word], base: Path, origin: str, levels: Sequence[Level]) -> list[Request]:
    """A request for each module among the words, with what the levels say of all; what stands behind it wins."""
    requests: list[tuple[Request, list[Word]]] = []
    for word, value in words:
        if word == "module":
            from lightning_conformance.subjects.target import parse_target

            requests.append((Request(parse_target(value, base)), []))
        else:
            requests[-1][1].append((word, value))
    for request, own in requests:
        for level in (*levels, (origin, own)):
            _apply(request, level)
    return [request for request, _ in requests]


def _apply(request: Request, level: Level) -> None:
    """One level's words: its choice of checks replaces that of the levels before."""
    origin, words = level
    choice, new = request.choice, {word for word, _ in words}
    if "select" in new:
        choice.select, choice.ignore = [], []
        new.add("ignore")
    elif "ignore" in new:
        choice.ignore = []
    request.said = [said for said in request.said if said.word not in new - {"init", "expect"}]
    for word, value in words:
        if word not in _ADDING:
            request.said = [said for said in request.said if said.word != word]
        request.said.append(Said(word, value, origin))
        if word == "init":
            request.init.append(value)
        elif word == "expect":
            choice.expect[value[0]] = value[1]
        elif word in ("select", "ignore"):
            getattr(choice, word).append(value)
        else:
            setattr(request, word.replace("-", "_"), value)
