"""Call ``forward`` with ``example_input_array`` when ``fit`` begins."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.recording.events_batches import ExampleTried
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.model import Moment, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.setup import Setup


class _Done(BaseException):
    """Leaves ``fit``; no Exception, so that user code does not swallow it."""


def record(setup: Setup, blank: Recording) -> Recording:
    """One call on a new instance, once its ``setup`` has run."""
    module = setup.build()
    # Some modules make it in setup; a property may need a trainer.
    if "example_input_array" not in vars(type(module)) and getattr(module, "example_input_array", None) is None:
        raise DoesNotApply("the module has no example_input_array")
    events: list[ExampleTried] = []
    places = Places(source_files(module))

    class Summary(setup.package.Callback):  # type: ignore[misc, name-defined]
        def on_fit_start(self, trainer: Any, module: Any) -> None:
            if module.example_input_array is not None:
                events.append(_try(module, places))
            raise _Done

    with folder() as where, suppress(_Done):
        plain_fit(setup, where, module=module, callbacks=[Summary()])
    if not events:
        raise DoesNotApply("the module has no example_input_array")
    return replace(blank, tape=tuple(events))


def _try(module: Any, places: Places) -> ExampleTried:
    at = Moment("start", 0, -1, "forward")
    example = module.example_input_array
    module.eval()
    try:
        with torch.no_grad():
            if isinstance(example, (tuple, list)):
                module(*example)
            elif isinstance(example, dict):
                module(**example)
            else:
                module(example)
    except Exception as error:
        return ExampleTried(at, failure_of(error, stage="fit", at=at, places=places))
    return ExampleTried(at)
