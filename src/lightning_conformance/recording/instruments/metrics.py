"""What the module logs: each ``self.log`` call, and each value that reaches the logger."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.recording.instruments.metric_objects import metric_class, use_of
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import LogCall, MetricReceived, Place
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.tape import Tape


class _AcceptEverything:
    """Stands for a logger's experiment: any attribute, call or item is accepted and ignored."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def recording_logger(package: LightningPackage, tape: Tape, folder: Path) -> Any:
    """A real Logger of the package that keeps every value; its ``experiment`` accepts anything.

    Args:
        folder: What ``save_dir`` and ``log_dir`` say; a temporary folder.
    """
    anything = _AcceptEverything()

    class RecordingLogger(package.Logger):  # type: ignore[misc, name-defined]
        name = "conformance"
        version = 0
        save_dir = log_dir = root_dir = str(folder)
        experiment = anything

        def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
            for name, value in metrics.items():
                number = as_number(value)
                if number is not None:
                    tape.add(MetricReceived(tape.now, str(name), number, -1 if step is None else int(step)))

        def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
            """Hyperparameters are not metrics."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return anything

    return RecordingLogger()


def _name(reduction: Any) -> str:
    return str(getattr(reduction, "__name__", reduction))


def as_number(value: Any) -> float | None:
    """A metric's value; None for a metric object, a dict, or a tensor of several elements."""
    if isinstance(value, torch.Tensor):
        return float(value.detach()) if value.numel() == 1 and not value.is_complex() else None
    if isinstance(value, torch.nn.Module):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _call(given: Mapping[str, Any], tape: Tape, place: Place | None) -> LogCall:
    value = given.get("value")
    metric, use = use_of(given.get("self"), value)
    return LogCall(
        tape.now,
        str(given["name"]),
        as_number(value),
        given.get("on_step"),
        given.get("on_epoch"),
        given.get("batch_size"),
        _name(given.get("reduce_fx", "mean")),
        place,
        _kind(value),
        str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else "",
        metric,
        use,
        given.get("logger"),
        tape.batch_size if tape.batch >= 0 else None,
    )


def _is_under_construction(module: Any) -> bool:
    """Whether the module's own constructor is running."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is module:
            return True
        frame = frame.f_back
    return False


def _kind(value: Any) -> str:
    base = metric_class()
    if base is not None and isinstance(value, base):
        return "metric"
    if isinstance(value, torch.Tensor):
        return "tensor"
    return "number" if isinstance(value, numbers.Number) else type(value).__name__


def _weight(module: Any) -> int | None:
    """The batch size that Lightning read off the batch at hand; None where it did not need one."""
    results = getattr(vars(module).get("_trainer"), "_results", None)
    size = getattr(results, "batch_size", None)
    return size if isinstance(size, int) else None


@contextmanager
def log_calls(package: LightningPackage, tape: Tape, places: Places) -> Iterator[None]:
    """Write each call of ``self.log`` on the tape (``self.log_dict`` calls it for each of its items)."""
    signature = inspect.signature(package.LightningModule.log)

    def around(original: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return original(*args, **kwargs)
        if tape.stage == "start" and not tape.hook and not _is_under_construction(given.get("self")):
            # A factory may train a module of its own before it hands it over.
            return original(*args, **kwargs)
        call = _call(given, tape, places.here(overrides=("log", "log_dict")))
        try:
            original(*args, **kwargs)
            call = replace(call, weight=_weight(given.get("self")))
        finally:
            tape.add(call)

    with wrapped(package.LightningModule, "log", around):
        yield
