"""An exception as its user wants to read it: the user's frames, and nobody else's."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..lightning_api import IMPORT_NAMES

FOREIGN_PACKAGES = (
    "pytest",
    "_pytest",
    "pluggy",
    "xdist",
    "execnet",
    "torch",
    *IMPORT_NAMES,
    "jsonargparse",
)

_KIT = os.path.realpath(Path(__file__).parents[1])
_STDLIB = os.path.realpath(sysconfig.get_path("stdlib"))

PathLike = str | os.PathLike[str]


def user_traceback(exc: BaseException, keep: Iterable[PathLike] = ()) -> str:
    """The traceback of ``exc`` and of the exceptions that led to it, with the user's frames only.

    Frames of the kit are never shown, unless their file is in ``keep``. Frames of pytest, torch, Lightning,
    jsonargparse and the standard library are hidden too, except the last one where nothing else would remain.

    Args:
        exc: The exception, as it was caught.
        keep: Files whose frames are always shown, for example a target inside Lightning's own demos.

    Returns:
        Standard Python traceback text, ending in a newline.

    """
    linecache.checkcache()
    kept = _real(keep)
    report = traceback.TracebackException.from_exception(exc)
    for part in _chain(report):
        part.stack = traceback.StackSummary.from_list(_shown(list(part.stack), kept))
        if not part.stack:
            part.stack = None  # type: ignore[assignment]  # no header above no frames
    return "".join(report.format())


def user_frames(exc: BaseException, keep: Iterable[PathLike] = ()) -> list[traceback.FrameSummary]:
    """The frames that ``user_traceback`` shows of ``exc`` itself, innermost last."""
    linecache.checkcache()
    return _shown(list(traceback.extract_tb(exc.__traceback__)), _real(keep))


def user_place(exc: BaseException, keep: Iterable[PathLike] = ()) -> tuple[str, int] | None:
    """File and line (from 1) where the user's code raised ``exc``; None where no frame is the user's."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return exc.filename, exc.lineno or 1
    frames = user_frames(exc, keep)
    return (frames[-1].filename, frames[-1].lineno or 1) if frames else None


def is_installed(filename: PathLike) -> bool:
    """Whether a file belongs to the standard library or to an installed distribution."""
    real = os.path.realpath(filename)
    libraries = {os.path.realpath(sysconfig.get_path(key)) for key in ("stdlib", "purelib", "platlib")}
    return any(_is_under(real, library) for library in libraries)


def _real(paths: Iterable[PathLike]) -> frozenset[str]:
    return frozenset(os.path.realpath(path) for path in paths)


def _chain(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The report with those of its causes, contexts and grouped exceptions."""
    yield report
    for other in (report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())):
        if other is not None:
            yield from _chain(other)


def _shown(frames: list[traceback.FrameSummary], keep: frozenset[str]) -> list[traceback.FrameSummary]:
    foreign = _foreign_roots()
    users = [frame for frame in frames if _is_users(frame.filename, keep, foreign)]
    return users or [frame for frame in frames if not _is_kits_or_frozen(frame.filename)][-1:]


def _is_kits_or_frozen(filename: str) -> bool:
    return filename.startswith("<frozen ") or _is_under(os.path.realpath(filename), _KIT)


def _is_users(filename: str, keep: frozenset[str], foreign: frozenset[str]) -> bool:
    if filename.startswith("<frozen "):
        return False
    real = os.path.realpath(filename)
    if real in keep:
        return True
    if _is_under(real, _STDLIB) and not {"site-packages", "dist-packages"} & set(Path(real).parts):
        return False
    return not any(_is_under(real, root) for root in foreign)


def _is_under(real: str, root: str) -> bool:
    return real == root or real.startswith(root + os.sep)


def _foreign_roots() -> frozenset[str]:
    """Folders of the loaded foreign packages, and the kit's own."""
    roots = {_KIT}
    for name in FOREIGN_PACKAGES:
        module = sys.modules.get(name)
        filename = getattr(module, "__file__", None)
        if filename:
            package = hasattr(module, "__path__")
            roots.add(os.path.realpath(os.path.dirname(filename) if package else filename))
    return frozenset(roots)
