"""The target: the string ``path:Class`` that the user writes, and the object that it names."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UsageError
from ..lightning_api import is_bare_lightning_module, is_datamodule, package_of
from .importing import import_target, shorten
from .lookup import describe, did_you_mean, is_torch_module, module_makers, modules_in_source

RIGHT_FORM = "Write a file or a dotted module, a colon and a name: path/to/file.py:Class or package.module:Class."


@dataclass(frozen=True)
class Target:
    """What the user named, parsed and found, not yet imported.

    Args:
        text: The user's words.
        path: The file, absolute; None where a dotted module is named.
        module_name: The dotted module; None where a file is named.
        qualname: The name in it, for example ``Outer.Inner``.
        base: The folder that relative paths and dotted modules start from.

    """

    text: str
    path: Path | None
    module_name: str | None
    qualname: str
    base: Path

    @property
    def label(self) -> str:
        """Short and readable: relative to the base where below it, with forward slashes."""
        return f"{self.module_name or shorten(self.path, self.base)}:{self.qualname}"

    def resolve(self) -> Any:
        """Import the file or module and return the class, callable or instance that the target names.

        Raises:
            UsageError: The name does not exist, or is nothing that gives a LightningModule.
            SubjectError: Stage ``import``: the user's file cannot be imported.

        """
        obj = self.resolve_any()
        _require_module_maker(obj, self)
        return obj

    def resolve_any(self) -> Any:
        """As ``resolve``, for a target that may name anything: a function giving batches, a DataModule."""
        return _lookup(import_target(self), self)


def parse_target(text: str, base: Path | None = None) -> Target:
    """Parse ``path:Class`` and find its file; nothing is imported.

    Args:
        text: The user's words, for example ``examples/classifier.py:Classifier``.
        base: The folder that relative paths start from; the working directory unless given.

    Raises:
        UsageError: The text is malformed, or its file does not exist.

    """
    base = Path(os.path.abspath(base or Path.cwd()))
    place, colon, qualname = text.strip().rpartition(":")
    if not colon or (re.fullmatch(r"[A-Za-z]", place) and qualname[:1] in ("\\", "/")):
        place, qualname = text.strip(), ""
    place, qualname = place.strip().rstrip(":"), qualname.strip()
    if not place:
        raise UsageError(f"{text!r} names no file and no module.", RIGHT_FORM)
    path = _find_file(place, base, text) if _is_path(place, base) else None
    _require_names(text, place, qualname, path)
    return Target(text, path, None if path else place, qualname, base)


def _is_path(place: str, base: Path) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place or (base / place).is_file()


def _find_file(place: str, base: Path, text: str) -> Path:
    path = Path(os.path.abspath(base / Path(place).expanduser()))
    if path.is_dir():
        files = ", ".join(sorted(file.name for file in path.glob("*.py"))[:10]) or "none"
        raise UsageError(f"{text}: {place} is a folder, not a file.", f"Python files in it: {files}.")
    if not path.is_file():
        raise UsageError(f"{text}: there is no file {place} (looked for {path}).", _near_files(path, place))
    if path.suffix != ".py":
        raise UsageError(f"{text}: {place} is not a Python file.", RIGHT_FORM)
    return path


def _near_files(path: Path, place: str) -> str:
    try:
        names = [file.name for file in path.parent.glob("*.py")]
    except OSError:
        names = []
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}."
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    prefix = re.sub(r"[^\\/]*$", "", place)
    return f"Did you mean {' or '.join(prefix + name for name in near)}?" if near else ""


def _require_names(text: str, place: str, qualname: str, path: Path | None) -> None:
    """Refuse a target without a name after the colon, or whose parts are no Python names."""
    if not qualname:
        found = modules_in_source(path.read_text("utf-8", "replace")) if path else []
        advice = f"LightningModules in it: {', '.join(f'{place}:{name}' for name in found)}" if found else RIGHT_FORM
        if not path and "." in place and all(part.isidentifier() for part in place.split(".")):
            advice = f"Did you mean {':'.join(place.rsplit('.', 1))}?"
        raise UsageError(f"{text!r} has no name after a colon.", advice)
    words = qualname.split(".") + ([] if path else place.split("."))
    if wrong := [word for word in words if not word.isidentifier()]:
        raise UsageError(f"{text!r}: {wrong[0]!r} is not a Python name.", RIGHT_FORM)


def _lookup(module: ModuleType, target: Target) -> Any:
    """Follow the dotted name; what is not there is an error that lists what is."""
    obj: Any = module
    for part in target.qualname.split("."):
        try:
            obj = getattr(obj, part)
        except AttributeError:
            raise UsageError(*_missing_name(module, obj, part, target)) from None
    return obj


def _missing_name(module: ModuleType, owner: Any, part: str, target: Target) -> tuple[str, str]:
    found = module_makers(module)
    place = target.label.rpartition(":")[0]
    within = place if owner is module else f"{getattr(owner, '__qualname__', owner)!s} of {place}"
    public = [name for name in vars(owner) if not name.startswith("_")] if hasattr(owner, "__dict__") else []
    near = did_you_mean(target.qualname, found) or did_you_mean(part, public)
    listing = f"LightningModules there: {', '.join(found)}." if found else "No LightningModule is defined there."
    return f"{target.text}: there is no `{part}` in {within}.", f"{near} {listing}".strip()


def _require_module_maker(obj: Any, target: Target) -> None:
    if is_bare_lightning_module(obj):
        problem = f"{target.text} is Lightning's base class LightningModule itself: nothing in it can be checked."
    elif package_of(obj) is not None or (callable(obj) and not isinstance(obj, type) and not is_torch_module(obj)):
        return
    else:
        kinds = "a class, a factory function or an instance"
        problem = f"{target.text} is {describe(obj)}, not a LightningModule ({kinds})."
    found = [name for name in module_makers(import_target(target)) if name != target.qualname]
    advice = f"LightningModules there: {', '.join(found)}." if found else ""
    if is_datamodule(obj):
        advice = f"A LightningDataModule feeds a module: --lightning-batch={target.label}. {advice}".strip()
    raise UsageError(problem, advice)
