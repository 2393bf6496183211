"""Tools that build: a command line's parser of the constructor, and a tuner that sets a learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from lightning_conformance.recording.events_tools import LearningRateTried, ToolTried
from lightning_conformance.recording.instruments.patching import wrapped
from lightning_conformance.recording.model import Moment, Place
from lightning_conformance.recording.setup import Setup

_AT = Moment("tools", 0, -1, "")
_RATES = ("lr", "learning_rate")
_OTHER = 0.37


@contextmanager
def arguments_kept(setup: Setup) -> Iterator[dict[str, Any]]:
    """Keep what the subject's constructor is given meanwhile, where the target is a class."""
    cls, kept = setup.subject.constructor.obj, dict[str, Any]()
    if not isinstance(cls, type):
        yield kept
        return
    signature = inspect.signature(cls)

    def keep(original: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
        if type(module) is cls and not kept:
            given = signature.bind(*args, **kwargs).arguments
            more = given.pop(_variadic(signature), {})
            kept.update({**given, **more})
        return original(module, *args, **kwargs)

    with wrapped(cls, "__init__", keep):
        yield kept


def _variadic(signature: inspect.Signature) -> str:
    """The name of ``**kwargs``; empty where there is none."""
    found = (p.name for p in signature.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD)
    return next(found, "")


def built_by_parser(setup: Setup, given: Mapping[str, Any], wanted: bool) -> Iterator[ToolTried]:
    """Build the class through jsonargparse, as LightningCLI does; nothing where the target is no class.

    Args:
        given: What the constructor was given.
        wanted: Whether the user uses LightningCLI.
    """
    cls = setup.subject.constructor.obj
    if not isinstance(cls, type):
        return
    place, loose = _constructor_place(cls), _without_type(cls, given)
    if loose:
        yield ToolTried(_AT, "cli", "no annotation", loose, place=place, wanted=wanted)
    elif all(map(_is_plain, given.values())):
        yield ToolTried(_AT, "cli", _parse(cls, given), place=place, wanted=wanted)


def _without_type(cls: type, given: Mapping[str, Any]) -> str:
    """A required argument without annotation that is no plain datum: a parser hands over what was written."""
    for name, parameter in inspect.signature(cls).parameters.items():
        is_loose = parameter.default is parameter.empty and parameter.annotation is parameter.empty
        if is_loose and name in given and not _is_plain(given[name]):
            return name
    return ""


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str)


def _parse(cls: type, init: Mapping[str, Any]) -> str:
    from jsonargparse import ArgumentParser

    try:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(cls, "model", fail_untyped=False, instantiate=True, sub_configs=True)
        parser.instantiate_classes(parser.parse_object({"model": dict(init)} if init else {}))
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _constructor_place(cls: type) -> Place | None:
    try:
        function = inspect.unwrap(vars(cls)["__init__"])
        lines, first = inspect.getsourcelines(function)
        file = function.__code__.co_filename
    except (OSError, TypeError, AttributeError, KeyError):
        return None
    return Place(file, first, function.__qualname__, lines[0].rstrip("\n"))


def learning_rates_tried(module: Any, places: Mapping[str, Place]) -> Iterator[LearningRateTried]:
    """Set the learning rate as a tuner does, and compare what ``configure_optimizers`` makes of it."""
    for name in _RATES:
        hparams = getattr(module, "hparams", None)
        saved = hparams.get(name) if isinstance(hparams, dict) else None
        value = vars(module).get(name, saved)
        if isinstance(value, float) and value > 0:
            try:
                yield _tried(module, name, value, places)
            except Exception:
                # It cannot be called again here: nothing is shown.
                continue


def _tried(module: Any, name: str, value: float, places: Mapping[str, Place]) -> LearningRateTried:
    other = value * _OTHER
    first = _rates(module.configure_optimizers())
    try:
        _set(module, name, other)
        second = _rates(module.configure_optimizers())
    finally:
        _set(module, name, value)
    rates = tuple(sorted({number for key, number in first if key == "lr"}))
    return LearningRateTried(_AT, name, value, other, first == second and bool(first), rates, places.get(name))


def _set(module: Any, name: str, value: float) -> None:
    if name in vars(module):
        setattr(module, name, value)
    if isinstance(module.hparams, dict) and name in module.hparams:
        module.hparams[name] = value


def _rates(configured: Any, depth: int = 0) -> list[tuple[str, float]]:
    """The numbers of optimizers and schedulers, wherever they stand in what was returned."""
    if isinstance(configured, torch.optim.Optimizer):
        groups = (group.items() for group in configured.param_groups)
        return [(key, float(v)) for items in groups for key, v in items if isinstance(v, (int, float))]
    if hasattr(configured, "base_lrs"):
        numbers = [(key, v) for key, v in vars(configured).items() if isinstance(v, float)]
        return [*(("base", float(rate)) for rate in configured.base_lrs), *numbers]
    if isinstance(configured, dict):
        configured = list(configured.values())
    if depth < 4 and isinstance(configured, (list, tuple)):
        return [pair for item in configured for pair in _rates(item, depth + 1)]
    return []
