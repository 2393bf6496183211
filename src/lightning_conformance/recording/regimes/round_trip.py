"""Save a trained instance, load it again in the ways that users do, and see whether it is the same."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lightning_conformance.recording.attributes import differing, plain_attributes
from lightning_conformance.recording.digests import Digests
from lightning_conformance.recording.events import Seen
from lightning_conformance.recording.events_checkpoints import CheckpointSaved, LoadTried, StartedAgain
from lightning_conformance.recording.facts import fingerprint
from lightning_conformance.recording.failures import failure_of
from lightning_conformance.recording.isolation import seed_everything
from lightning_conformance.recording.model import Failure, Moment, Recording
from lightning_conformance.recording.places import Places, source_files
from lightning_conformance.recording.regimes.base import folder, plain_fit
from lightning_conformance.recording.setup import Setup, unheard_warnings

_AT = Moment("checkpoint", 0, -1, "")
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Tensor)


def record(setup: Setup, blank: Recording) -> Recording:
    """One epoch, a checkpoint, and what becomes of it."""
    short = replace(setup, plan=replace(setup.plan, epochs=1))
    with folder() as where:
        run = plain_fit(short, where)
        path = where / "checkpoint.ckpt"
        try:
            with unheard_warnings():
                run.trainer.save_checkpoint(path)
        except Exception as error:
            return replace(blank, tape=(CheckpointSaved(_AT, _failure(error, run.module)),))
        saved = _saved(run.module, path)
        return replace(blank, tape=(saved, *_Loading(short, run.module, path, where).events()))


def _failure(error: Exception, module: Any) -> Failure:
    return failure_of(error, stage="checkpoint", at=_AT, places=Places(source_files(module)))


def _saved(module: Any, path: Path) -> CheckpointSaved:
    try:
        # Not the module's own: on_save_checkpoint may leave entries out.
        state = _read(path)["state_dict"]
    except Exception:
        state = module.state_dict()
    frozen = {name: p for name, p in module.named_parameters() if not p.requires_grad and name in state}
    hyperparameters = dict(getattr(module, "hparams", None) or {})
    return CheckpointSaved(
        _AT,
        None,
        sum(_bytes(value) for value in state.values()),
        sum(_bytes(value) for value in frozen.values()),
        tuple(dict.fromkeys(name.partition(".")[0] for name in frozen)),
        {str(k): type(v).__name__ for k, v in hyperparameters.items() if not _is_plain(v)},
        tuple(map(str, hyperparameters)),
    )


def _bytes(value: Any) -> int:
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else 0


def _is_plain(value: Any) -> bool:
    """Whether torch's unpickler for weights alone takes it."""
    if isinstance(value, list | tuple | set):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    return isinstance(value, _PLAIN) and not isinstance(value, enum.Enum) and type(value).__module__ != "numpy"


class _Loading:
    """The ways to load one checkpoint."""

    def __init__(self, setup: Setup, module: Any, path: Path, where: Path) -> None:
        self.setup, self.module, self.path, self.where = setup, module, path, where
        self.state = {name: _print(value) for name, value in module.state_dict().items()}
        self.attributes = plain_attributes(module)

    def events(self) -> Iterator[Seen]:
        """What each way gives, and whether the trained instance stands a second start."""
        before = Digests(self.module)
        started: list[Digests] = []
        loss = self._loss(self.module, lambda: started.append(Digests(self.module)))
        if started:
            trained = {name for name, p in self.module.named_parameters() if p.requires_grad}
            yield StartedAgain(_AT, tuple(n for n in started[0].changed_since(before)[0] if n in trained))
        cls = type(self.module)
        first = self._tried("without arguments", lambda: _load(cls, self.path), loss)
        yield first
        if first.failure is not None and "weights_only" in f"{first.failure.message} {first.failure.type}":
            yield self._tried("any pickle", lambda: _load(cls, self.path, weights_only=False), loss)
        yield self._tried("built as before", self._built, loss)

    def _tried(self, how: str, load: Callable[[], Any], loss: float | None) -> LoadTried:
        try:
            # What the constructor draws is drawn as for the trained instance.
            seed_everything(self.setup.plan.seed)
            with unheard_warnings():
                loaded = load()
        except Exception as error:
            return LoadTried(_AT, how, _failure(error, self.module))
        state = {name: _print(value) for name, value in loaded.state_dict().items()}
        other = tuple(name for name, value in self.state.items() if name in state and state[name] != value)
        attributes = differing(self.attributes, plain_attributes(loaded))
        return LoadTried(_AT, how, None, other, loss, self._loss(loaded), attributes)

    def _built(self) -> Any:
        module = self.setup.build()
        checkpoint = _read(self.path)
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"], strict=getattr(module, "strict_loading", True))
        return module

    def _loss(self, module: Any, started: Callable[[], None] | None = None) -> float | None:
        """What ``training_step`` gives for one batch, before anything is updated."""

        class AtStart(self.setup.package.Callback):  # type: ignore[misc, name-defined]
            def on_train_batch_start(self, trainer: Any, module: Any, *args: Any) -> None:
                if started is not None:
                    started()

        one = replace(
            self.setup, plan=replace(self.setup.plan, batches=1), settled=replace(self.setup.settled, ragged=False)
        )
        try:
            run = plain_fit(
                one, self.where, module=module, callbacks=[AtStart()], num_sanity_val_steps=0, limit_val_batches=0
            )
        except Exception:
            return None
        return next(iter(run.losses), None)


def _print(value: Any) -> Any:
    return fingerprint(value) if isinstance(value, torch.Tensor) else repr(value)


def _read(path: Path) -> Any:
    return torch.load(path, weights_only=False, map_location="cpu")


def _load(cls: Any, path: Path, **more: Any) -> Any:
    return cls.load_from_checkpoint(str(path), map_location="cpu", **more)
