"""Importing the user's file as Python's user would expect.

A file is imported by its dotted name below the package root where it lies in a package, by its own name
below its own folder otherwise. That root stays on ``sys.path``, because the user's code may import its
neighbours as late as in its last hook; ``preserved_sys_path`` takes it off again.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PureWindowsPath
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from ..errors import SubjectError, UsageError
from .environment_errors import TORCHVISION, install_advice
from .lookup import did_you_mean
from .tracebacks import is_installed, user_place

if TYPE_CHECKING:
    from .target import Target

_TEST_FILE = re.compile(r"test_.*|.*_test|conftest")


def import_target(target: Target) -> ModuleType:
    """Import the file or module of a target; its folder stays on ``sys.path``.

    Raises:
        UsageError: There is no such dotted module.
        SubjectError: Stage ``import``: the user's file cannot be imported.
    """
    if target.path:
        return _import_file(target, target.path)
    return _import_module(target, target.module_name or "")


@contextmanager
def preserved_sys_path() -> Iterator[None]:
    """On leaving, put ``sys.path`` back as it was: for the caller to hold while its subjects live."""
    saved = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = saved


def add_to_sys_path(folder: Path, last: bool = False) -> None:
    """Put a folder on ``sys.path``, first unless told otherwise; one that is there already stays."""
    if str(folder) not in sys.path:
        sys.path.insert(len(sys.path) if last else 0, str(folder))
        importlib.invalidate_caches()


def shorten(path: Path | None, base: Path) -> str:
    """A path relative to the base where below it, with forward slashes; empty for None."""
    if path is None:
        return ""
    pure: PurePath = path.relative_to(base) if path.is_relative_to(base) else path
    return PureWindowsPath(pure).as_posix() if os.name == "nt" else pure.as_posix()


def _import_file(target: Target, path: Path) -> ModuleType:
    loaded = _loaded_from(path)
    if loaded is not None:
        return loaded
    root, dotted = _package_root(path)
    _refuse_namesakes(path, root, dotted, target)
    with _import_errors(target):
        if "." in dotted or path.name == "__init__.py":
            add_to_sys_path(root)
            return importlib.import_module(dotted)
        return _import_plain(path)


def _import_module(target: Target, name: str) -> ModuleType:
    top = name.partition(".")[0]
    source = target.base / "src"
    add_to_sys_path(source if any((source / leaf).exists() for leaf in (top, f"{top}.py")) else target.base)
    with _import_errors(target):
        try:
            return _loaded_elsewhere(name) or importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if not exc.name or not f"{name}.".startswith(f"{exc.name}."):
                raise
            missing = exc.name
    near = did_you_mean(name, _sibling_modules(missing))
    advice = near or f"It was looked for on sys.path and in {target.base}. A file can be named instead of a module."
    raise UsageError(f"{target.text}: there is no module `{missing}`.", advice)


def _loaded_from(path: Path) -> ModuleType | None:
    """The module that some part of this process has already loaded from the file."""
    for module in list(sys.modules.values()):
        filename = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(filename, str) and os.path.basename(filename) == path.name and _same(filename, path):
            return module
    return None


def _loaded_elsewhere(name: str) -> ModuleType | None:
    """The module of a dotted name's file, where the process has loaded it under another name."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    return _loaded_from(Path(spec.origin)) if spec and spec.origin else None


def _same(first: str | None, second: Path) -> bool:
    return first is not None and os.path.realpath(first) == os.path.realpath(second)


def _package_root(path: Path) -> tuple[Path, str]:
    """The folder to have on ``sys.path``, and the file's dotted name below it."""
    parts, folder = ([] if path.name == "__init__.py" else [path.stem]), path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts) or path.stem


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles a file anew each time: a cached file of the same second and size would be stale."""

    def get_code(self, fullname: str) -> CodeType:
        filename = self.get_filename(fullname)
        return self.source_to_code(self.get_data(filename), filename)


def _import_plain(path: Path) -> ModuleType:
    """Import a file that lies in no package."""
    add_to_sys_path(path.parent, last=_hides_installed(path.stem))
    name = path.stem if _is_free(path) else _unique_name(path)
    loader = _SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return sys.modules.get(name, module)


def _is_free(path: Path) -> bool:
    """Whether ``import <stem>`` would load this very file; test files are left for pytest to import."""
    if path.stem in sys.modules or not path.stem.isidentifier() or _TEST_FILE.fullmatch(path.stem):
        return False
    spec = importlib.util.find_spec(path.stem)
    return spec is not None and _same(spec.origin, path)


def _unique_name(path: Path) -> str:
    digest = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{digest}"


def _hides_installed(name: str) -> bool:
    """Whether a file of this name, first on ``sys.path``, would hide an installed module."""
    if name in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and is_installed(spec.origin)


def _refuse_namesakes(path: Path, root: Path, dotted: str, target: Target) -> None:
    """Refuse a file that would silently get another folder's neighbour: a name has one module a process."""
    packaged = "." in dotted or path.name == "__init__.py"
    tops = {dotted.partition(".")[0]} if packaged else _imported_names(path) - {path.stem}
    for top in sorted(tops):
        own = [place for place in (root / top / "__init__.py", root / f"{top}.py") if place.is_file()]
        loaded = getattr(sys.modules.get(top), "__file__", None)
        if own and loaded and not is_installed(loaded) and not any(_same(loaded, place) for place in own):
            message = f"{target.label} needs {own[0]} as `{top}`, but `{top}` is already loaded from {loaded}."
            raise SubjectError("import", message, "Run the two in separate pytest runs, or rename one of them.")


def _imported_names(path: Path) -> set[str]:
    """First parts of the absolute imports anywhere in a file."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level]
    return {name.partition(".")[0] for name in names}


@contextmanager
def _import_errors(target: Target) -> Iterator[None]:
    """Turn what the user's file raises into a SubjectError, and leave no ``__pycache__`` beside it."""
    writes_nothing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    except (Exception, SystemExit) as exc:
        place = user_place(exc, keep=[target.path] if target.path else [])
        where = f" ({shorten(Path(place[0]), target.base)}:{place[1]})" if place else ""
        text = exc.msg if isinstance(exc, SyntaxError) else str(exc)
        message = f"{target.label} cannot be imported: {type(exc).__name__}: {text}{where}"
        raise SubjectError("import", message, import_advice(exc, target), exc) from exc
    finally:
        sys.dont_write_bytecode = writes_nothing


def import_advice(exc: BaseException, target: Target) -> str:
    """What to do about an exception raised in importing a target; empty where there is nothing to say."""
    text = str(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return _missing_module_advice(exc.name, target)
    if "torchvision::nms" in text:
        return TORCHVISION
    if "attempted relative import" in text:
        return "Relative imports need a package: add an __init__.py beside it, or write package.module:Class."
    if isinstance(exc, ImportError) and exc.name:
        return _version_advice(exc.name)
    if isinstance(exc, SystemExit):
        return 'The file ends the process: put its command line below `if __name__ == "__main__":`.'
    return ""


def _missing_module_advice(name: str, target: Target) -> str:
    top = name.partition(".")[0]
    start = target.path.parent if target.path else target.base
    for folder in (start, *list(start.parents)[:4]):
        if ((folder / top).is_dir() or (folder / f"{top}.py").is_file()) and str(folder) not in sys.path:
            return f"`{top}` lies in {folder}: run with PYTHONPATH={folder}"
    if top in sys.modules and "." in name:
        return _version_advice(name)
    return install_advice(name)


def _version_advice(name: str) -> str:
    module = sys.modules.get(name.partition(".")[0])
    version = getattr(module, "__version__", None)
    if module is None or version is None:
        return ""
    return f"{module.__name__} {version} is installed; the code was perhaps written for another version of it."


def _sibling_modules(missing: str) -> list[str]:
    """Dotted names of the modules beside a missing one, where its parent package is there."""
    parent = sys.modules.get(missing.rpartition(".")[0])
    found = pkgutil.iter_modules(getattr(parent, "__path__", None) if parent else [])
    return [f"{parent.__name__}.{info.name}" for info in found] if parent else []
