"""Use on a trained module what is used around a Trainer: copies, exports, a summary, a parser, a tuner."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.recording.events_tools import ToolTried
from lightning_conformance.recording.model import Moment, Place, Recording
from lightning_conformance.recording.places import Places, assignments, source_files
from lightning_conformance.recording.regimes.base import PlainRun, folder, plain_fit
from lightning_conformance.recording.regimes.tools_building import arguments_kept, built_by_parser, learning_rates_tried
from lightning_conformance.recording.setup import Setup, unheard_warnings

_SHORT: dict[str, Any] = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 0}
_AT = Moment("tools", 0, -1, "")


def record(setup: Setup, blank: Recording) -> Recording:
    """A short fit, and each tool after it."""
    with arguments_kept(setup) as given:
        module = setup.build()
    tools = _Tools(setup, module, given)
    with folder() as where:
        with tools.first_call_kept():
            run = plain_fit(setup, where, module=module, **_SHORT)
        with unheard_warnings(), torch.no_grad():
            events = [*tools.predicted(where), *tools.used(run)]
    return replace(blank, tape=tuple(events))


class _Tools:
    """The tools, used one after the other on a module."""

    def __init__(self, setup: Setup, module: Any, given: Mapping[str, Any]) -> None:
        self.setup, self.module, self.given = setup, module, given
        self.places, self.assigned = Places(source_files(module)), assignments(module)
        self.text = "".join(_text(file) for file in self.places.user_files)
        self.call: tuple[Any, Any] | None = None

    @contextmanager
    def first_call_kept(self) -> Iterator[None]:
        """Keep what the module's ``forward`` is first called with."""

        def keep(module: Any, args: Any, kwargs: Any) -> None:
            if self.call is None:
                self.call = _detached(args), _detached(kwargs)

        handle = self.module.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def predicted(self, where: Path) -> Iterator[ToolTried]:
        """Predict a training batch, where the module has a step for that, and loaders are the kit's."""
        loader = self.setup.fit_arguments(self.module).get("train_dataloaders")
        if loader is not None and self.setup.package.is_overridden("predict_step", self.module):
            own = self.setup.build()
            trainer = self.setup.trainer(where, logger=False, limit_predict_batches=1)
            yield self._tried("predict", lambda: trainer.predict(own, loader))

    def used(self, run: PlainRun) -> Iterator[Any]:
        """What each tool showed."""
        yield from learning_rates_tried(self.module, self.assigned)
        yield self._copied("deepcopy", copy.deepcopy)
        yield self._copied("pickle", _pickled)
        yield from built_by_parser(self.setup, self.given, "LightningCLI" in self.text)
        example = getattr(self.module, "example_input_array", None)
        if example is not None:
            summary = self.setup.package.model_summary
            fits = self._tried("example", lambda: summary(self.module, max_depth=1))
            fits = replace(fits, attribute="example_input_array", place=self._example_place() or fits.place)
            yield fits
            if not fits.error and not isinstance(example, dict):
                arguments = example if isinstance(example, tuple) else (example,)
                yield self._exported(arguments)
        if self.call is not None and self.setup.package.is_overridden("forward", self.module):
            yield self._alone(*self.call)

    def _example_place(self) -> Place | None:
        return self.assigned.get("example_input_array")

    def _tried(self, tool: str, use: Callable[[], Any]) -> ToolTried:
        try:
            use()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return ToolTried(_AT, tool, said, place=self.places.of_exception(error))
        return ToolTried(_AT, tool)

    def _copied(self, tool: str, use: Callable[[Any], Any]) -> ToolTried:
        tried = self._tried(tool, lambda: use(self.module))
        if not tried.error:
            return tried
        for name, value in self._attributes():
            if not _works(use, value):
                place = self.assigned.get(name.partition(".")[0])
                kind = "non-leaf tensor" if _has_graph(value) else type(value).__name__
                return replace(tried, attribute=f"self.{name}", kind=kind, place=place)
        return tried

    def _attributes(self) -> Iterator[tuple[str, Any]]:
        for prefix, submodule in self.module.named_modules():
            for name, value in vars(submodule).items():
                if name not in ("_modules", "_trainer", "_fabric"):
                    yield f"{prefix}.{name}" if prefix else name, value

    def _exported(self, arguments: tuple[Any, ...]) -> ToolTried:
        def export() -> None:
            own = copy.deepcopy(self.module).eval()
            torch.export.export(own, arguments)

        tried = self._tried("export", export)
        wanted = any(word in self.text for word in ("to_onnx", "onnx.export", "torch.export", "to_torchscript"))
        return replace(tried, wanted=wanted)

    def _alone(self, args: Any, kwargs: Any) -> ToolTried:
        """Call ``forward`` with no Trainer attached."""
        module = self.module.eval()
        module.trainer = None
        return self._tried("forward", lambda: module(*args, **kwargs))


def _pickled(value: Any) -> None:
    pickle.Pickler(io.BytesIO()).dump(value)


def _works(use: Callable[[Any], Any], value: Any) -> bool:
    try:
        use(value)
    except Exception:
        return False
    return True


def _has_graph(value: Any, depth: int = 0) -> bool:
    if isinstance(value, torch.Tensor):
        return value.grad_fn is not None
    if isinstance(value, dict):
        value = list(value.values())
    return depth < 3 and isinstance(value, (list, tuple)) and any(_has_graph(item, depth + 1) for item in value)


def _detached(value: Any) -> Any:
    """Nested arguments, their tensors copied and without a graph."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _detached(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_detached(item) for item in value)
    return value


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""
