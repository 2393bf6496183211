"""What an inferred batch depends on, as one short text: what is remembered under it needs no new search."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lightning_conformance.subjects.target import Target
from lightning_conformance.subjects.tracebacks import is_installed

if TYPE_CHECKING:
    from lightning_conformance.subjects.subject import Subject


def fingerprint(subject: Subject) -> str:
    """Changes with the user's files, the constructor arguments, the limits of the search, and the versions.

    Returns:
        Empty where a text cannot say what the subject is: an instance, a local class, objects as arguments.
    """
    from lightning_conformance import __version__

    init = subject.options.init
    values = list(init.values()) if isinstance(init, Mapping) else list(init)
    name = _name(subject)
    if not name or not all(_is_plain(value) for value in values):
        return ""
    digest = hashlib.sha256()
    config = subject.options.config
    for part in (
        *(__version__, torch.__version__, subject.package.name, subject.package.version, platform.python_version()),
        *(name, repr(init), subject.init_text, subject.options.seed, subject.limits.attempts, subject.limits.seconds),
        *(_content(subject.base / config) if config else "", *_sources(subject)),
    ):
        digest.update(f"{part}\0".encode())
    return digest.hexdigest()


def _name(subject: Subject) -> str:
    target = subject.target
    if isinstance(target, Target):
        return f"{target.path or target.module_name}:{target.qualname}"
    if isinstance(target, type) and "<locals>" not in target.__qualname__:
        return f"{target.__module__}:{target.__qualname__}"
    return ""


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def _sources(subject: Subject) -> Iterator[str]:
    """The files in which the classes of the module and of its parts are written, libraries left out."""
    classes = dict.fromkeys(cls for part in subject.sample.modules() for cls in type(part).__mro__)
    objects = [subject.object, *classes]
    files = {file for obj in objects if (file := _file(obj)) and not is_installed(file)}
    if isinstance(subject.target, Target) and subject.target.path:
        files.add(str(subject.target.path))
    return (f"{file}:{_content(Path(file))}" for file in sorted(files))


def _file(obj: Any) -> str:
    with suppress(TypeError, OSError):
        return inspect.getsourcefile(obj) or ""
    return ""


def _content(file: Path) -> str:
    with suppress(OSError):
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return "unreadable"
