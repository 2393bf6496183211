"""Try the module's own dataloaders, or a DataModule's: the first batch that a real Trainer gets from them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import LightningPackage


class _FirstBatch(BaseException):
    """Leaves ``fit`` with the first batch; no Exception, so that user code does not swallow it."""


def first_own_batch(build: Callable[[], Any], package: LightningPackage, datamodule: Any = None) -> Any:
    """The first training batch that the Trainer would hand to ``training_step``.

    Args:
        build: Makes a fresh module; it is thrown away.
        datamodule: A LightningDataModule to use in place of the module's own loaders.

    Raises:
        SubjectError: ``prepare_data``, ``setup`` or a dataloader raises, or there is no batch.
    """
    caught: list[Any] = []

    def catch(batch: Any, *args: Any, **kwargs: Any) -> None:
        caught.append(batch)
        raise _FirstBatch

    with tempfile.TemporaryDirectory() as folder:
        trainer = package.quiet_trainer(folder)
        trainer.strategy.training_step = catch
        try:
            trainer.fit(build(), **({"datamodule": datamodule} if datamodule is not None else {}))
        except _FirstBatch:
            return caught[0]
        except Exception as error:
            raise SubjectError("batch", f"{type(error).__name__}: {error}", cause=error) from error
    raise SubjectError("batch", "it gives no batch.")
