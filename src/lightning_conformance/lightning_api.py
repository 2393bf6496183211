"""The only file that knows Lightning's versions and its two package names.

A subject is run by the Trainer of the package that it subclasses: ``pytorch_lightning`` and
``lightning.pytorch`` are separate code bases, and a module of one is a stranger to the other's Trainer.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PACKAGE_NAMES = ("lightning.pytorch", "pytorch_lightning")
# Every top-level import name of Lightning and its parts.
IMPORT_NAMES = ("lightning", "pytorch_lightning", "lightning_fabric", "lightning_utilities")
# Importing a package sets the level of its own logger; the one below it, which speaks, keeps the level it is given.
_OWN_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric", "pytorch_lightning")
LOGGER_NAMES = (*_OWN_LOGGERS, *(f"{name}.utilities.rank_zero" for name in _OWN_LOGGERS[1:]))

OLDEST_VERIFIED = (1, 9)
NEWEST_VERIFIED = (2, 6)


@dataclass(frozen=True)
class LightningPackage:
    """One of Lightning's two package names, with what the kit uses of it.

    Args:
        name: ``lightning.pytorch`` or ``pytorch_lightning``.
    """

    name: str

    def _get(self, path: str) -> Any:
        module, _, attribute = f"{self.name}.{path}".rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    @property
    def root(self) -> str:
        """The import name of the distribution: ``lightning`` or ``pytorch_lightning``."""
        return self.name.partition(".")[0]

    @property
    def version(self) -> str:
        """The installed version, for example ``2.6.6``."""
        return str(importlib.import_module(self.root).__version__)

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version, for example ``(2, 6)``."""
        return _release(self.version)

    @property
    def Trainer(self) -> Any:
        """The Trainer class."""
        return self._get("Trainer")

    @property
    def LightningModule(self) -> Any:
        """The LightningModule base class."""
        return self._get("LightningModule")

    @property
    def LightningDataModule(self) -> Any:
        """The LightningDataModule base class."""
        return self._get("LightningDataModule")

    @property
    def Callback(self) -> Any:
        """The Callback base class."""
        return self._get("Callback")

    @property
    def Checkpoint(self) -> Any:
        """The base class of callbacks that save checkpoints: they run when all others are done."""
        return self._get("callbacks.checkpoint.Checkpoint")

    @property
    def Logger(self) -> Any:
        """The base class of loggers."""
        return self._get("loggers.logger.Logger")

    @property
    def Profiler(self) -> Any:
        """The base class of profilers."""
        return self._get("profilers.profiler.Profiler")

    @property
    def model_summary(self) -> Any:
        """The summary of a module, which tries its ``example_input_array``."""
        return self._get("utilities.model_summary.ModelSummary")

    def single_device_plugins(self) -> list[Any]:
        """Trainer plugins that keep a scheduler's environment variables (SLURM, torchrun) out of the run."""
        return [self._get("plugins.environments.LightningEnvironment")()]

    def quiet_trainer(self, folder: str, **arguments: Any) -> Any:
        """A CPU Trainer that writes nothing but into ``folder``, for a look before the recorded run."""
        quiet: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": folder,
            "plugins": self.single_device_plugins(),
        }
        return self.Trainer(**{**quiet, **arguments})

    def optimizers_of(self, trainer: Any) -> list[Any]:
        """The optimizers that ``configure_optimizers`` returned; Lightning puts a mock where it returned None."""
        return [o for o in trainer.optimizers if not is_mock_optimizer(o)]

    def is_overridden(self, name: str, module: Any) -> bool:
        """Whether ``module`` defines the hook ``name`` itself."""
        hook = getattr(type(module), name, None)
        base = getattr(self.LightningModule, name, None)
        own = vars(module).get(name)
        return own is not None or (hook is not None and hook is not base)

    def gives_data(self, name: str, datamodule: Any) -> bool:
        """Whether a LightningDataModule defines the dataloader hook ``name`` itself."""
        hook = getattr(type(datamodule), name, None)
        return hook is not None and hook is not getattr(self.LightningDataModule, name, None)

    @contextmanager
    def fresh_warning_caches(self) -> Iterator[None]:
        """Forget, for a while, which warnings Lightning has given: it gives many only once a process."""
        caches = [(cache, set(cache)) for cache in _warning_caches(len(sys.modules))]
        for cache, _ in caches:
            cache.clear()
        try:
            yield
        finally:
            for cache, seen in caches:
                cache.clear()
                cache.update(seen)


@lru_cache(maxsize=1)
def _warning_caches(imported: int) -> list[set[Any]]:
    """Those of Lightning's modules, sought anew as more are ``imported``: thousands may be."""
    of_lightning = [m for name, m in list(sys.modules.items()) if name.partition(".")[0] in IMPORT_NAMES]
    caches = [vars(module).get("warning_cache") for module in of_lightning if module is not None]
    return [cache for cache in caches if isinstance(cache, set)]


def _release(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def package_of(obj: Any) -> LightningPackage | None:
    """The Lightning package that a module, or a class of modules, belongs to; None where it is none.

    Nothing is imported: whoever subclasses a LightningModule has imported its package.
    """
    cls = obj if isinstance(obj, type) else type(obj)
    for name in PACKAGE_NAMES:
        package = sys.modules.get(name)
        base = getattr(package, "LightningModule", None)
        if base is not None and issubclass(cls, base):
            return LightningPackage(name)
    return None


def is_bare_lightning_module(cls: Any) -> bool:
    """Whether ``cls`` is one of the ``LightningModule`` base classes itself."""
    return any(cls is getattr(sys.modules.get(name), "LightningModule", object()) for name in PACKAGE_NAMES)


def is_datamodule(cls: Any) -> bool:
    """Whether ``cls`` is a LightningDataModule class of either package."""
    bases = [getattr(sys.modules.get(name), "LightningDataModule", None) for name in PACKAGE_NAMES]
    return isinstance(cls, type) and any(base is not None and issubclass(cls, base) for base in bases)


def combined_loaders(value: Any) -> tuple[Any, bool] | None:
    """The loaders that a ``CombinedLoader`` of either package holds, and whether it takes one after the other.

    Returns:
        None where it is no ``CombinedLoader``.
    """
    bases = [cls for cls in type(value).__mro__ if cls.__name__ == "CombinedLoader"]
    if not any(cls.__module__.partition(".")[0] in IMPORT_NAMES for cls in bases):
        return None
    # Until 1.9 it has `loaders`, each perhaps in a wrapper that is an iterable as well; since 2.0 `iterables`.
    held = value.iterables if hasattr(value, "iterables") else value.loaders
    mode = getattr(value, "_mode", None) or getattr(value, "mode", "")
    return held, mode == "sequential"


def installed_packages() -> list[LightningPackage]:
    """The Lightning packages that can be imported here."""
    found = []
    for name in PACKAGE_NAMES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        found.append(LightningPackage(name))
    return found


def import_late_parts() -> None:
    """Import what Lightning before 2.6 imports when it first trains: many seconds in a fresh environment."""
    import torch._dynamo  # noqa: F401


def installed_releases() -> list[tuple[str, str, tuple[int, int]]]:
    """Distribution, version and release of each Lightning package that is installed; imports none of them."""
    found = []
    for name in ("pytorch-lightning", "lightning"):
        with suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(name)
            found.append((name, version, _release(version)))
    return found


def precision_word(name: str) -> str | int:
    """The Trainer's argument for a precision, by its name of today; Lightning 1.9 has others."""
    old: dict[str, str | int] = {"bf16-mixed": "bf16", "16-mixed": 16, "64-true": 64}
    is_old = any(release < (2, 0) for _, _, release in installed_releases())
    return old.get(name, name) if is_old else name


def is_lightning_file(file: str) -> bool:
    """Whether the file is part of the Lightning that is loaded."""
    files = (getattr(sys.modules.get(name), "__file__", None) for name in IMPORT_NAMES)
    folders = tuple(os.path.dirname(loaded) + os.sep for loaded in files if loaded)
    return file.startswith(folders)


def is_mock_optimizer(optimizer: Any) -> bool:
    """Whether it is what Lightning uses where ``configure_optimizers`` returned None."""
    return type(optimizer).__name__ == "_MockOptimizer"


def raw_optimizer(optimizer: Any) -> Any:
    """The torch optimizer behind Lightning's wrapper."""
    return getattr(optimizer, "_optimizer", optimizer)


def set_root_device(trainer: Any, device: Any) -> None:
    """Let a Trainer of one device use another one; every release keeps it in the strategy, under this name."""
    trainer.strategy._root_device = device


def become_rank(rank: int) -> None:
    """Let Lightning's helpers for the first rank know that this process is another one."""
    for name in ("lightning_utilities.core.rank_zero", *(f"{root}.utilities.rank_zero" for root in IMPORT_NAMES)):
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "rank_zero_only"):
            module.rank_zero_only.rank = rank


def move_to_device(batch: Any, device: Any) -> Any:
    """A nested batch on a device, moved as Lightning moves it."""
    for name in ("lightning_fabric", "lightning.fabric"):
        try:
            utilities = importlib.import_module(f"{name}.utilities.apply_func")
        except ImportError:
            continue
        return utilities.move_data_to_device(batch, device)
    return batch
