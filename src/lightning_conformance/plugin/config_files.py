"""Edit the list ``lightning_modules`` in the file that configures pytest; what else stands in it stays as it is."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_conformance.errors import UsageError

KEY = "lightning_modules"
Edit = Callable[[list[str]], list[str]]


def edit_modules(file: Path, edit: Edit) -> None:
    """Rewrite the list in ``file``, which is created where it is not there; all or nothing.

    Args:
        file: ``pyproject.toml``, ``pytest.toml``, ``pytest.ini``, ``tox.ini`` or ``setup.cfg``.
        edit: Takes the lines of the list, and gives what they shall be.

    Raises:
        UsageError: The file cannot be read or written, or is nothing that this can edit.
    """
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            before = stream.read()
    except FileNotFoundError:
        before = ""
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    newline = "\r\n" if "\r\n" in before else "\n"
    text = before.replace("\r\n", "\n")
    changed = _edited_toml(text, file, edit) if file.suffix == ".toml" else _edited_ini(text, file, edit)
    if changed != text:
        _replace(file, changed.replace("\n", newline))


def edit_tables(file: Path, said: Mapping[int, Mapping[str, str]]) -> None:
    """Add keys to tables of modules in ``pyproject.toml``; all or nothing.

    Args:
        said: The keys to add, by the place of the table among ``[[tool.lightning-conformance.modules]]``.

    Raises:
        UsageError: The file cannot be read or written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        with file.open(encoding="utf-8", newline="") as stream:
            before = stream.read()
        document: Any = tomlkit.parse(before)
        tables = document["tool"]["lightning-conformance"]["modules"]
        for number, words in said.items():
            for key, value in words.items():
                tables[number][key] = _toml_string(value)
        changed = tomlkit.dumps(document)
        tomlkit.parse(changed)
    except (OSError, UnicodeError, TOMLKitError, KeyError, TypeError) as error:
        raise UsageError(f"{file} cannot be edited: {error}") from None
    _replace(file, changed)


def _replace(file: Path, text: str) -> None:
    """Write a new file beside the old one and put it in its place, so that none is ever half written."""
    real = Path(os.path.realpath(file))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            with open(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
            if real.exists():
                shutil.copymode(real, name)
            else:
                os.chmod(name, 0o644)
            os.replace(name, real)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error}") from None


def _edited_toml(text: str, file: Path, edit: Edit) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        table = _toml_table(document, file)
        _set_lines(table, edit)
        changed = tomlkit.dumps(document)
        tomlkit.parse(changed)
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} cannot be edited: {error}") from None
    return changed


def _toml_table(document: Any, file: Path) -> Any:
    """The table of pytest's options: of the file's own form where it has one, made where there is none."""
    import tomlkit

    if file.name != "pyproject.toml":
        if "pytest" not in document:
            document["pytest"] = tomlkit.table()
        return document["pytest"]
    pytest_table = document.get("tool", {}).get("pytest")
    if pytest_table is not None and "ini_options" not in pytest_table and len(pytest_table):
        return pytest_table  # pytest 9's own form
    if pytest_table is None or "ini_options" not in pytest_table:
        tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
        tool.setdefault("pytest", tomlkit.table(is_super_table=True))["ini_options"] = tomlkit.table()
    return document["tool"]["pytest"]["ini_options"]


def _set_lines(table: Any, edit: Edit) -> None:
    import tomlkit

    current = table.get(KEY)
    if isinstance(current, str):  # one text of several lines
        lines = current.split("\n")
        new = edit([line.strip() for line in lines])
        old = {line.strip(): line for line in lines}
        table[KEY] = tomlkit.string("\n".join(old.get(line, line) for line in new), multiline=True)
        return
    before = [str(item) for item in current or []]
    after = edit(before)
    if current is None:
        current = tomlkit.array().multiline(True)
        table[KEY] = current
    for index, line in enumerate(after):
        if index >= len(before):
            current.append(_toml_string(line))
        elif line != before[index]:
            current[index] = _toml_string(line)


def _toml_string(line: str) -> Any:
    import tomlkit

    literal = '"' in line and "'" not in line
    return tomlkit.string(line, literal=literal)


def _edited_ini(text: str, file: Path, edit: Edit) -> str:
    section = "tool:pytest" if file.suffix == ".cfg" else "pytest"
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if re.match(rf"\[{re.escape(section)}\]", line)), None)
    if start is None:
        separator = [""] if text and not text.endswith("\n\n") else []
        added = [f"[{section}]", f"{KEY} =", *(f"    {line}" for line in edit([]))]
        return "\n".join([text.rstrip("\n"), *separator, *added, ""]).lstrip("\n")
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    key = next((i for i in range(start + 1, end) if re.match(rf"{KEY}\s*[=:]", lines[i])), None)
    if key is None:
        lines[start + 1 : start + 1] = [f"{KEY} =", *(f"    {line}" for line in edit([]))]
        return "\n".join(lines)
    lines[key:end] = _edited_value(lines[key:end], edit)
    return "\n".join(lines)


def _edited_value(lines: list[str], edit: Edit) -> list[str]:
    """A key with its indented lines, and whatever follows it."""
    head, first = re.match(r"(.*?[=:]\s*)(.*)", lines[0]).groups()  # type: ignore[union-attr]
    stop = next((i for i, line in enumerate(lines[1:], 1) if line.strip() and not line[0].isspace()), len(lines))
    while stop > 1 and not lines[stop - 1].strip():
        stop -= 1
    places = [(0, first)] if first.strip() else []
    places += [(i, lines[i]) for i in range(1, stop) if lines[i].strip() and lines[i].strip()[0] not in "#;"]
    after = edit([line.strip() for _, line in places])
    changed = list(lines)
    for (index, line), new in zip(places, after, strict=False):
        if line.strip() != new:
            changed[index] = f"{head}{new}" if index == 0 else line.replace(line.strip(), new)
    indent = next((re.match(r"\s*", line)[0] for i, line in places if i), "    ")  # type: ignore[index]
    return [*changed[:stop], *(f"{indent}{line}" for line in after[len(places) :]), *changed[stop:]]
