"""``--lightning-freeze``: write what was inferred into the file that configures pytest."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lightning_conformance.errors import UsageError
from lightning_conformance.plugin.config_files import edit_modules, edit_tables
from lightning_conformance.plugin.state import state_of

if TYPE_CHECKING:
    from lightning_conformance.plugin.settings import Request
    from lightning_conformance.subjects.target import Target


@dataclass(frozen=True)
class Frozen:
    """What is to be written about one module.

    Args:
        label: Of the subject.
        request: What the user said about it.
        batch: The inferred spec; empty where the batch is given.
        val_batch: The inferred spec of validation batches; empty where they are no others, or given.
        init: How it was constructed, as options; empty where nothing was said or guessed.
    """

    label: str
    request: Request
    batch: str
    val_batch: str
    init: str


def freeze(config: pytest.Config) -> Iterator[str]:
    """Write, and say what was written."""
    file, base = _file(config)
    shown = Path(os.path.relpath(file, config.invocation_params.dir)).as_posix()
    found, told = _inferred(config)
    yield from (f"  not frozen  {line}" for line in told)
    if not found:
        yield "  frozen      nothing: no batch was inferred, and no file was changed"
        return
    written: list[str] = []
    in_tables = {f.request.number: _table_words(f) for f in found if f.request.number is not None}
    found = [f for f in found if f.request.number is None]
    try:
        if in_tables:
            edit_tables(config.rootpath / "pyproject.toml", in_tables)
            yield from (f"  frozen      pyproject.toml: {_table_line(words)}" for words in in_tables.values())
        if not found:
            return
        edit_modules(file, lambda lines: _edited(lines, found, base, config.rootpath, written))
    except UsageError as error:
        yield f"  not frozen  {error}"
        return
    for line in written:
        yield f"  frozen      {shown}: {line}"
    if not written:
        yield f"  frozen      nothing: {shown} says it all already"


def _table_words(frozen: Frozen) -> dict[str, str]:
    words = {"batch": frozen.batch, "val-batch": frozen.val_batch}
    return {key: text for key, text in words.items() if text}


def _table_line(words: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {json.dumps(text)}" for key, text in words.items())


def _file(config: pytest.Config) -> tuple[Path, Path]:
    """The file that configures pytest, and the folder that paths in it start from."""
    if config.inipath is not None:
        return config.inipath, config.rootpath
    folder = config.invocation_params.dir
    return folder / "pyproject.toml", folder


def _inferred(config: pytest.Config) -> tuple[list[Frozen], list[str]]:
    """What was inferred of the modules that were named by option or ini file; and why something is left out."""
    state = state_of(config)
    requests = {}
    if state.settings.requests:
        requests = dict(zip((s.label for s in state.subjects), state.settings.requests, strict=False))
    seen: dict[str, dict[str, Any]] = {}
    for data in state.reports.values():
        if data.get("inferred") or data.get("inferred_validation"):
            seen.setdefault(data["subject"], data)
    found, told = [], []
    for label, data in seen.items():
        if label not in requests:
            words = [("batch", data["inferred"]), ("val_batch", data["inferred_validation"])]
            texts = " and ".join(f"{name}={text!r}" for name, text in words if text)
            told.append(f"{label}: it is named in a test file; write {texts} there")
        elif not data["completed"]:
            told.append(f"{label}: its run did not come to its end")
        else:
            found.append(Frozen(label, requests[label], data["inferred"], data["inferred_validation"], data["init"]))
    return found, told


def _edited(lines: list[str], found: list[Frozen], base: Path, root: Path, written: list[str]) -> list[str]:
    """The lines of the list, with what was inferred; what is new is added to ``written``, too."""
    lines = list(lines)
    for frozen in found:
        index = _listed_at(lines, frozen.request, root)
        if index is None:
            lines.append(" ".join([_target_text(frozen.request.target, base), *_options(frozen, base, "")]))
            written.append(lines[-1])
        elif _adds(frozen, lines[index]):
            lines[index] = " ".join([lines[index], *_options(frozen, base, lines[index])])
            written.append(lines[index])
    return lines


def _listed_at(lines: list[str], request: Request, root: Path) -> int | None:
    """Where the module stands in the list already, built in the same way."""
    if request.line:
        return next((i for i, line in enumerate(lines) if line == request.line), None)
    for index, line in enumerate(lines):
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        if words and not line.startswith("#") and _same(words[0], request.target, root):
            given = [value for option, value in _pairs(words[1:]) if option == "--lightning-init"]
            if not request.init or given == request.init:
                return index
    return None


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    joined = [(w.partition("=")[0], w.partition("=")[2]) for w in words if w.startswith("--") and "=" in w]
    return [*joined, *((a, b) for a, b in pairwise(words) if a.startswith("--") and "=" not in a)]


def _has(line: str, name: str) -> bool:
    return any(option == f"--lightning-{name}" for option, _ in _pairs(shlex.split(line)[1:]))


def _same(words: str, target: Target, root: Path) -> bool:
    place, _, name = words.rpartition(":")
    if name != target.qualname:
        return False
    return place == target.module_name if target.path is None else Path(os.path.abspath(root / place)) == target.path


def _target_text(target: Target, base: Path) -> str:
    if target.path is None:
        return f"{target.module_name}:{target.qualname}"
    near = Path(os.path.relpath(target.path, base)).as_posix()
    return shlex.quote(f"{near}:{target.qualname}")


def _options(frozen: Frozen, base: Path, line: str) -> list[str]:
    """The options that the line does not have yet."""
    request, options = frozen.request, list[str]()
    if request.config and not _has_any(line, "config"):
        config = os.path.relpath(request.target.base / request.config, base)
        options += ["--lightning-config", shlex.quote(Path(config).as_posix())]
        options += [f"--lightning-init {shlex.quote(word)}" for word in request.init if not _has_any(line, "init")]
    elif frozen.init and not _has_any(line, "init", "config"):
        options.append(frozen.init)
    if not request.line and request.train_loss not in ("", "train_loss") and not _has_any(line, "train-loss"):
        options += ["--lightning-train-loss", shlex.quote(request.train_loss)]
    given = frozen.batch or request.batch
    if given and not _has(line, "batch"):
        options += ["--lightning-batch", shlex.quote(given)]
    if frozen.val_batch and not _has(line, "val-batch"):
        options += ["--lightning-val-batch", shlex.quote(frozen.val_batch)]
    return options


def _adds(frozen: Frozen, line: str) -> bool:
    words = (("batch", frozen.batch), ("val-batch", frozen.val_batch))
    return any(text and not _has(line, name) for name, text in words)


def _has_any(line: str, *names: str) -> bool:
    return bool(line) and any(_has(line, name) for name in names)
