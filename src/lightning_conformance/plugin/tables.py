"""``[tool.lightning-conformance]`` in ``pyproject.toml``: keys named like the options, and one table a module."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_conformance.errors import UsageError
from lightning_conformance.plugin.options import TABLE

# Each is an option of the same name, with the type that it has in TOML.
GLOBAL_KEYS: dict[str, tuple[type, ...]] = {
    "environment": (str, list),
    "timeout": (int, float),
    "infer-attempts": (int,),
    "infer-seconds": (int, float),
    "strict": (bool,),
    "guess": (bool,),
    "severity": (str,),
    "baseline": (str,),
    "report": (str, list),
    "train-loss": (str,),
    "select": (str, list),
    "ignore": (str, list),
    "expected-failures": (dict,),
    "modules": (list,),
}
MODULE_KEYS: dict[str, tuple[type, ...]] = {
    "target": (str,),
    "init": (dict,),
    "config": (str,),
    "batch": (str,),
    "val-batch": (str,),
    "train-loss": (str,),
    "select": (str, list),
    "ignore": (str, list),
    "expected-failures": (dict,),
}
_TYPES = {
    str: "a text",
    list: "a list",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
}


def read_table(root: Path) -> dict[str, Any]:
    """The table of ``pyproject.toml`` in a folder, with plain Python values; empty where there is none.

    Raises:
        UsageError: The file cannot be read, a key is unknown (the message lists the nearest ones), or a value is of
            another type.
    """
    file = root / "pyproject.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    # Reading TOML takes a package that a run without the kit should not pay for.
    if TABLE not in text:
        return {}
    table = _parsed(text, file)
    _require(table, GLOBAL_KEYS, f"[tool.{TABLE}]")
    for number, module in enumerate(table.get("modules", []), 1):
        where = f"[[tool.{TABLE}.modules]], number {number}"
        if not isinstance(module, dict):
            raise UsageError(f"{where}: not a table.")
        _require(module, MODULE_KEYS, where)
        if "target" not in module:
            raise UsageError(f"{where}: no `target`.", 'target = "path/to/model.py:Model"')
    return table


def _parsed(text: str, file: Path) -> dict[str, Any]:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        table = tomlkit.parse(text).unwrap().get("tool", {}).get(TABLE, {})
    except TOMLKitError as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not isinstance(table, dict):
        raise UsageError(f"{file}: [tool.{TABLE}] is not a table.")
    return table


def _require(table: Mapping[str, Any], known: Mapping[str, tuple[type, ...]], where: str) -> None:
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
            raise UsageError(f"{where}: unknown key `{key}`.", f"{hint}Valid are: {', '.join(known)}.")
        is_flag = isinstance(value, bool)
        if is_flag != (bool in known[key]) or not isinstance(value, known[key]):
            wanted = " or ".join(_TYPES[each] for each in known[key])
            raise UsageError(f"{where}: `{key}` is {value!r}, not {wanted}.")


def words_of(value: Any) -> list[str]:
    """A text or a list of texts, as a list."""
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def module_words(module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a module's table says, as the options about a module say it."""
    yield "module", module["target"]
    if "init" in module:
        yield "init", json.dumps(module["init"], default=str)
    for key in ("config", "batch", "val-batch", "train-loss"):
        if key in module:
            yield key, str(module[key])
    for key in ("select", "ignore"):
        for word in words_of(module[key]) if key in module else ():
            yield key, word
    for check, reason in module.get("expected-failures", {}).items():
        yield "expect", (str(check), str(reason))
