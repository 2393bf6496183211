"""Try the module's own dataloaders, or a DataModule's: the first batch that a real Trainer gets from them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from lightning_conformance.deadline import deadline
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.subjects.environment_errors import told
from lightning_conformance.subjects.tracebacks import user_frames


class _FirstBatch(BaseException):
    """Leaves ``fit`` with the first batch; no Exception, so that user code does not swallow it."""


class TooSlow(BaseException):
    """Own data did not come in time; no Exception, so that user code does not swallow it."""


def first_own_batch(
    build: Callable[[], Any], package: LightningPackage, datamodule: Any = None, seconds: float | None = None
) -> Any:
    """The first training batch that the Trainer would hand to ``training_step``.

    Args:
        build: Makes a fresh module; it is thrown away.
        datamodule: A LightningDataModule to use in place of the module's own loaders.
        seconds: How long it may take (a download may hang); None for no limit.

    Raises:
        SubjectError: ``prepare_data``, ``setup`` or a dataloader raises, there is no batch, or none in time.
    """
    caught: list[Any] = []

    def catch(batch: Any, *args: Any, **kwargs: Any) -> None:
        caught.append(batch)
        raise _FirstBatch

    with tempfile.TemporaryDirectory() as folder:
        trainer = package.quiet_trainer(folder)
        trainer.strategy.training_step = catch
        try:
            with deadline(seconds, TooSlow):
                trainer.fit(build(), **({"datamodule": datamodule} if datamodule is not None else {}))
        except _FirstBatch:
            return caught[0]
        except TooSlow as late:
            raise SubjectError("batch", _late(late)) from None
        except Exception as error:
            raise SubjectError("batch", told(error), cause=error) from error
    raise SubjectError("batch", "it gives no batch.")


def _late(late: TooSlow) -> str:
    frames = user_frames(late)
    where = f", and it was in {frames[-1].filename}:{frames[-1].lineno} ({frames[-1].name}) then" if frames else ""
    return f"no batch came in time: {late}{where}."
