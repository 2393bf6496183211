"""The methods of the module's own classes: what they take, what Lightning has of that name, and who names them."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.lightning_api import IMPORT_NAMES
from lightning_conformance.recording.events import Place
from lightning_conformance.recording.events_hooks import (
    HooksKnown,
    MethodSeen,
    Parameter,
    StrangerSeen,
    TrainerNameMissing,
)
from lightning_conformance.recording.instruments.base import Instrument
from lightning_conformance.recording.model import MethodSource
from lightning_conformance.recording.places import method_sources, user_classes

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_READ = re.compile(r"self\.trainer\.([a-z]\w*)")
_PUT_THERE = re.compile(r"trainer\.([a-z]\w*)(?:\s*:[^=\n]*)?\s*=(?!=)")


class Members(Instrument):
    """Writes down what the module's classes define, before the run begins."""

    def begin(self, trainer: Any) -> None:
        """Look at the classes and their sources."""
        run, base = self.run, self.run.package.LightningModule
        known = {name for name in dir(base) if not name.startswith("_") and callable(getattr(base, name, None))}
        run.tape.add(HooksKnown(run.tape.now, tuple(sorted(known - set(dir(torch.nn.Module))))))
        sources = method_sources(run.module)
        named = {name for file in run.places.user_files for name in _named(_text(file))}
        foreign = _foreign_names(run.module, run.places.is_own)
        for name, member in _members(run.module, run.places.is_own):
            if name in foreign:
                continue
            place = sources[name].place if name in sources else None
            own = inspect.unwrap(getattr(member, "__func__", member))
            of_callback = not hasattr(base, name) and hasattr(run.package.Callback, name)
            theirs = parameters_of(getattr(base, name)) if callable(getattr(base, name, None)) else None
            is_static = isinstance(member, staticmethod)
            taken = parameters_of(own, is_static=is_static)
            run.tape.add(MethodSeen(run.tape.now, name, place, taken, theirs, of_callback, name in named))
        for event in _missing_names(trainer, sources, run.tape.now):
            run.tape.add(event)

    def end(self, trainer: Any) -> None:
        """Look for callbacks of the other package."""
        own = self.run.package.root
        for callback in getattr(trainer, "callbacks", ()):
            roots = {cls.__module__.partition(".")[0] for cls in type(callback).__mro__}
            others = roots & {name for name in IMPORT_NAMES if not name.endswith(("_fabric", "_utilities"))}
            if others and own not in others:
                self.run.tape.add(StrangerSeen(self.run.tape.now, f"{others.pop()}'s {type(callback).__name__}"))


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


def _named(text: str) -> Iterator[str]:
    """The names that code uses; a method that only calls its namesake of the base class is not used by that."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_super(node.value):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            yield from (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _members(module: Any, is_own: Any) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for cls in user_classes(module):
        if not _in_own_file(cls, is_own):
            continue
        for name, member in vars(cls).items():
            if name not in seen and not name.startswith("_"):
                seen.add(name)
                if inspect.isfunction(member) or isinstance(member, (staticmethod, classmethod)):
                    yield name, member


def _foreign_names(module: Any, is_own: Any) -> set[str]:
    """Names that a base class from another package has, which may call them."""
    roots = ("torch", "builtins", "abc", "typing", *IMPORT_NAMES)
    others = (c for c in type(module).__mro__ if c.__module__.partition(".")[0] not in roots)
    return {name for cls in others if not _in_own_file(cls, is_own) for name in vars(cls)}


def _in_own_file(cls: type, is_own: Any) -> bool:
    try:
        return bool(is_own(inspect.getfile(cls)))
    except (TypeError, OSError):
        return False


def parameters_of(function: Any, *, is_static: bool = False) -> tuple[Parameter, ...] | None:
    """What a method takes beside ``self``; None where that cannot be read."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if not is_static and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    return tuple(
        Parameter(p.name, p.kind.name.lower(), p.default is inspect.Parameter.empty and p.kind not in _VARIABLE)
        for p in parameters
    )


def _missing_names(trainer: Any, sources: dict[str, MethodSource], at: Any) -> Iterator[TrainerNameMissing]:
    own = {name for method in sources.values() for name in _PUT_THERE.findall(method.text)}
    known = {*dir(type(trainer)), *vars(trainer), *own}
    for method in sources.values():
        # Who asks first whether a name is there, or catches what follows, knows of both.
        if re.search(r"\b(hasattr|getattr|try)\b", method.text):
            continue
        for offset, line in enumerate(method.text.splitlines()):
            for name in _READ.findall(line.partition("#")[0]):
                if name not in known:
                    near = difflib.get_close_matches(name, [n for n in known if not n.startswith("_")], n=1)
                    place = method.place
                    indent = re.match(r"\s*", place.source)
                    source = (indent[0] if indent and offset else "") + line
                    where = Place(place.file, place.line + offset, place.function, source if offset else place.source)
                    yield TrainerNameMissing(at, name, method.name, where, near[0] if near else "")
