"""The target: the string ``path:Class`` that the user writes, and the object that it names.

A file is imported as Python's user would expect: by its dotted name below the package root where it lies in a
package, by its own name below its own folder otherwise. That root stays on ``sys.path``, because the user's
code may import its neighbours as late as in its last hook; ``preserved_sys_path`` takes it off again.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from types import CodeType, ModuleType
from typing import Any

from ..errors import SubjectError, UsageError
from ..lightning_api import is_bare_lightning_module, is_datamodule, package_of
from .tracebacks import is_installed, user_place

RIGHT_FORM = (
    "Write a file or a dotted module, a colon and a name: path/to/file.py:Class or package.module:Class."
)
DISTRIBUTIONS = {
    "cv2": "opencv-python",
    "lightning": "lightning",
    "PIL": "pillow",
    "pytorch_lightning": "pytorch-lightning",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_TEST_FILE = re.compile(r"test_.*|.*_test|conftest")


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
        return f"{self.module_name or _shorten(self.path, self.base)}:{self.qualname}"

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
        return _lookup(self._import(), self)

    def _import(self) -> ModuleType:
        return self._import_file(self.path) if self.path else self._import_module(self.module_name or "")

    def _import_file(self, path: Path) -> ModuleType:
        loaded = _loaded_from(path)
        if loaded is not None:
            return loaded
        root, dotted = _package_root(path)
        _refuse_namesakes(path, root, dotted, self)
        with _import_errors(self):
            if "." in dotted or path.name == "__init__.py":
                add_to_sys_path(root)
                return importlib.import_module(dotted)
            return _import_plain(path)

    def _import_module(self, name: str) -> ModuleType:
        top = name.partition(".")[0]
        source = self.base / "src"
        add_to_sys_path(source if any((source / leaf).exists() for leaf in (top, f"{top}.py")) else self.base)
        with _import_errors(self):
            try:
                return _loaded_elsewhere(name) or importlib.import_module(name)
            except ModuleNotFoundError as exc:
                if not exc.name or not f"{name}.".startswith(f"{exc.name}."):
                    raise
                missing = exc.name
        near = did_you_mean(name, _sibling_modules(missing))
        advice = (
            near
            or f"It was looked for on sys.path and in {self.base}. A file can be named instead of a module."
        )
        raise UsageError(f"{self.text}: there is no module `{missing}`.", advice)


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


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``Did you mean `X`?``, or nothing where no valid name is near."""
    folded = {other.lower(): other for other in valid}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    return f"Did you mean `{folded[near[0]]}`?" if near else ""


def modules_in_source(source: str) -> list[str]:
    """Names of the LightningModule classes in a source text, and of the functions that return one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    classes: dict[str, ast.ClassDef] = dict(_class_definitions(tree))
    found = {name for name, node in classes.items() if _looks_like_module(node)}
    while grown := {n for n, node in classes.items() if n not in found and found & set(_base_names(node))}:
        found |= grown
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and _gives_one_of(node, found)
    ]
    return [name for name in classes if name in found] + [node.name for node in functions]


def _class_definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _class_definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _class_definitions(child, prefix)


def _base_names(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base) for base in node.bases]


def _looks_like_module(node: ast.ClassDef) -> bool:
    hooks = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    named = any(name.rpartition(".")[2] == "LightningModule" for name in _base_names(node))
    return named or (bool(node.bases) and "training_step" in hooks)


def _gives_one_of(node: ast.FunctionDef, classes: set[str]) -> bool:
    returned = [item.value for item in ast.walk(node) if isinstance(item, ast.Return)]
    called = {ast.unparse(value.func) for value in returned if isinstance(value, ast.Call)}
    annotation = ast.unparse(node.returns).strip("'\"") if node.returns else ""
    return bool(called & classes) or annotation in classes or annotation.endswith("LightningModule")


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
        advice = (
            f"LightningModules in it: {', '.join(f'{place}:{name}' for name in found)}"
            if found
            else RIGHT_FORM
        )
        if not path and "." in place and all(part.isidentifier() for part in place.split(".")):
            advice = f"Did you mean {':'.join(place.rsplit('.', 1))}?"
        raise UsageError(f"{text!r} has no name after a colon.", advice)
    words = qualname.split(".") + ([] if path else place.split("."))
    if wrong := [word for word in words if not word.isidentifier()]:
        raise UsageError(f"{text!r}: {wrong[0]!r} is not a Python name.", RIGHT_FORM)


def _shorten(path: Path | None, base: Path) -> str:
    if path is None:
        return ""
    pure: PurePath = path.relative_to(base) if path.is_relative_to(base) else path
    return PureWindowsPath(pure).as_posix() if os.name == "nt" else pure.as_posix()


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
            message = (
                f"{target.label} needs {own[0]} as `{top}`, but `{top}` is already loaded from {loaded}."
            )
            raise SubjectError(
                "import", message, "Run the two in separate pytest runs, or rename one of them."
            )


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
        where = f" ({_shorten(Path(place[0]), target.base)}:{place[1]})" if place else ""
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
        return (
            "The installed torchvision does not match the installed torch: uninstall it, or reinstall it "
            "for the same torch."
        )
    if "attempted relative import" in text:
        return "Relative imports need a package: add an __init__.py beside it, or write package.module:Class."
    if isinstance(exc, ImportError) and exc.name:
        return _version_advice(exc.name)
    if isinstance(exc, SystemExit):
        return 'The file ends the process: put its command line below `if __name__ == "__main__":`.'
    return ""


def _missing_module_advice(name: str, target: Target) -> str:
    top = name.partition(".")[0]
    if top == "pkg_resources":
        return 'pip install "setuptools<81" (Lightning before 2.4 imports pkg_resources, gone since 81)'
    start = target.path.parent if target.path else target.base
    for folder in (start, *list(start.parents)[:4]):
        if ((folder / top).is_dir() or (folder / f"{top}.py").is_file()) and str(folder) not in sys.path:
            return f"`{top}` lies in {folder}: run with PYTHONPATH={folder}"
    if top in sys.modules and "." in name:
        return _version_advice(name)
    return f"pip install {DISTRIBUTIONS.get(top, top)}, or set PYTHONPATH to the folder that holds `{top}`."


def _version_advice(name: str) -> str:
    module = sys.modules.get(name.partition(".")[0])
    version = getattr(module, "__version__", None)
    if module is None or version is None:
        return ""
    return (
        f"{module.__name__} {version} is installed; the code was perhaps written for another version of it."
    )


def _sibling_modules(missing: str) -> list[str]:
    """Dotted names of the modules beside a missing one, where its parent package is there."""
    parent = sys.modules.get(missing.rpartition(".")[0])
    found = pkgutil.iter_modules(getattr(parent, "__path__", None) if parent else [])
    return [f"{parent.__name__}.{info.name}" for info in found] if parent else []


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
    listing = (
        f"LightningModules there: {', '.join(found)}." if found else "No LightningModule is defined there."
    )
    return f"{target.text}: there is no `{part}` in {within}.", f"{near} {listing}".strip()


def module_makers(module: ModuleType) -> list[str]:
    """Names in an imported module that a target can name: LightningModules and their factories."""
    names = [
        name
        for name, value in vars(module).items()
        if package_of(value) is not None and not is_bare_lightning_module(value)
    ]
    with suppress(OSError, TypeError):
        names += modules_in_source(inspect.getsource(module))
    return list(dict.fromkeys(names))


def _require_module_maker(obj: Any, target: Target) -> None:
    if is_bare_lightning_module(obj):
        problem = (
            f"{target.text} is Lightning's base class LightningModule itself: nothing in it can be checked."
        )
    elif package_of(obj) is not None or (
        callable(obj) and not isinstance(obj, type) and not _is_torch_module(obj)
    ):
        return
    else:
        kinds = "a class, a factory function or an instance"
        problem = f"{target.text} is {describe(obj)}, not a LightningModule ({kinds})."
    found = [name for name in module_makers(target._import()) if name != target.qualname]
    advice = f"LightningModules there: {', '.join(found)}." if found else ""
    if is_datamodule(obj):
        advice = f"A LightningDataModule feeds a module: --lightning-batch={target.label}. {advice}".strip()
    raise UsageError(problem, advice)


def _torch_base() -> Any:
    return getattr(sys.modules.get("torch.nn"), "Module", None)


def _is_torch_module(obj: Any) -> bool:
    base = _torch_base()
    return base is not None and isinstance(obj, base)


def describe(obj: Any) -> str:
    """What an object is, in words: ``an instance of int (3)``, ``a torch.nn.Module class``."""
    base = _torch_base()
    if isinstance(obj, ModuleType):
        return "a Python module"
    if isinstance(obj, type):
        torch_class = base is not None and issubclass(obj, base)
        kind = (
            "a LightningDataModule"
            if is_datamodule(obj)
            else "a torch.nn.Module"
            if torch_class
            else "a plain"
        )
        return f"{kind} class"
    if _is_torch_module(obj):
        return f"a torch.nn.Module ({type(obj).__name__})"
    if obj is None:
        return "None"
    text = repr(obj)
    return f"an instance of {type(obj).__name__} ({text if len(text) <= 60 else text[:57] + '...'})"
