"""Devices: what an accelerator would not have, in an environment that tells devices apart on the CPU."""

from __future__ import annotations

import inspect
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from lightning_conformance.environments import Virtual
from lightning_conformance.environments.virtual_device import SENTINEL, Side
from lightning_conformance.environments.virtual_device.sides import storage_of
from lightning_conformance.lightning_api import is_lightning_file, set_root_device
from lightning_conformance.recording.events_devices import (
    DeviceMix,
    DeviceNamed,
    DevicesToldApart,
    HostTensor,
    HostTensorWanted,
    HostWaited,
)
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.instruments.device_words import (
    asks_first,
    compares_type,
    is_computed,
    makes_tensor,
    means_host,
)
from lightning_conformance.recording.instruments.hidden import find_attribute_where, find_global_where
from lightning_conformance.recording.model import Place
from lightning_conformance.recording.places import assignments, user_functions

_TORCH = str(Path(inspect.getfile(torch)).parent) + os.sep
_KIT = str(Path(__file__).parents[2])
_MODES = (str(Path(_KIT, "environments", "virtual_device")), __file__)


class DeviceWatch(Instrument):
    """Lets the virtual accelerator be there during the run, and is its witness."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        environment = run.setup.environment
        self._device = environment.watched_by(self) if isinstance(environment, Virtual) else None
        self._is_mixed = False
        self._told: set[tuple[Any, ...]] = set()
        self._waits: Counter[tuple[str, Place]] = Counter()
        self._steps: set[tuple[int, int]] = set()
        self._left: dict[int, tuple[Any, str]] = {}

    def watching(self) -> AbstractContextManager[Any]:
        """The pretend accelerator is there as long as the run."""
        return self._device.watching() if self._device else nullcontext()

    def begin(self, trainer: Any) -> None:
        """Let the Trainer move module and batches to the accelerator."""
        if self._device is None:
            return
        set_root_device(trainer, SENTINEL)
        self.run.tape.add(DevicesToldApart(self.run.tape.now))
        transfer = trainer.strategy.batch_to_device

        def batch_to_device(batch: Any, *args: Any, **kwargs: Any) -> Any:
            # Workers hand their tensors over in ways that no mode sees.
            for _, tensor in tensors_of_batch(batch):
                self._side(tensor, mark=True)
            moved = transfer(batch, *args, **kwargs)
            self._left.clear()
            for path, tensor in tensors_of_batch(moved):
                storage = storage_of(tensor)
                if storage is not None and self._side(tensor, mark=False) is not Side.DEVICE:
                    self._left[id(storage)] = storage, path
            return moved

        trainer.strategy.batch_to_device = batch_to_device

    def end(self, trainer: Any) -> None:
        """How often each line of the training steps made the host wait."""
        tape = self.run.tape
        for (operation, place), times in self._waits.items():
            tape.add(HostWaited(tape.now, operation, times, max(1, len(self._steps)), place))

    def _side(self, tensor: torch.Tensor, *, mark: bool) -> Side:
        assert self._device is not None
        if mark:
            self._device.leave_on_host(tensor)
        return self._device.side(tensor)

    def origin(self) -> Place | None:
        """The user's line that is running, or nothing where the kit or Lightning makes a tensor."""
        caller, _ = _caller()
        return None if caller is None or _is_lightnings(caller) else self.run.places.here()

    def means_host(self) -> bool:
        """Whether the line that names the CPU means it."""
        frame = _namer()
        return frame is None or means_host(frame, self.run.places.here(), self.run.places.user_files)

    def makes_tensor(self) -> bool:
        """Whether the running line calls a constructor of tensors."""
        caller, through_torch = _caller()
        return caller is not None and not through_torch and makes_tensor(self.run.places.here())

    def is_user(self, file: str) -> bool:
        """Whether a file holds the user's code."""
        return self.run.places.is_user(file)

    def mixed(self, operation: str, on_device: torch.Tensor, on_host: torch.Tensor, origin: Any, root: Any) -> None:
        """An operation got tensors of both sides."""
        caller, _ = _caller()
        if caller is None:
            return
        place, own = self.run.places.here(), storage_of(on_host)
        if place is None and self._is_mixed:
            # An optimizer step on gradients that come from a mixture.
            return
        if self._is_told("mix", operation, place, origin if root is None else id(root)):
            return
        if any(map(compares_type, self._user_frames())):
            return
        kind, name, made = self._describe(own, root, origin)
        if kind in ("attribute", "layer", "global", "unknown") and self._may_be_moved(name):
            return
        self._is_mixed = True
        shapes = tuple(on_device.shape), tuple(on_host.shape)
        self.run.tape.add(DeviceMix(self.run.tape.now, operation, *shapes, kind, name, made, place))

    def wanted_host(self, operation: str, what: str) -> None:
        """An operation that takes only what is on the CPU got a tensor from the device."""
        caller, _ = _caller()
        place = self.run.places.here()
        if caller is not None and place is not None and not self._is_told("wanted", operation, place):
            self.run.tape.add(HostTensorWanted(self.run.tape.now, operation, what, place))

    def named_device(self, text: str) -> None:
        """The code names an accelerator outright, and did not ask whether it is there."""
        caller, _ = _caller()
        place = self.run.places.here()
        if caller is None or place is None or self._is_told("named", text, place):
            return
        if not any(map(asks_first, self._user_frames())):
            self.run.tape.add(DeviceNamed(self.run.tape.now, text, place))

    def waited(self, operation: str) -> None:
        """The host waits; the user's own lines of training steps are counted."""
        tape = self.run.tape
        if not tape.in_training_step:
            return
        self._steps.add((tape.epoch, tape.batch))
        caller, through_torch = _caller()
        if caller is None or through_torch or not self.is_user(caller.f_code.co_filename):
            return
        place = self.run.places.here()
        if place is not None:
            self._waits[operation, place] += 1

    def _is_told(self, *key: Any) -> bool:
        known = key in self._told
        self._told.add(key)
        return known

    def _user_frames(self) -> Iterator[FrameType]:
        """The frames of the module's own code, from the innermost to the hook."""
        frame = _caller()[0]
        while frame is not None and not frame.f_code.co_filename.startswith(_KIT):
            if self.run.places.is_own(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back

    def _describe(self, own: Any, root: Any, origin: Place | None) -> tuple[HostTensor, str, Place | None]:
        """What the tensor on the CPU is, how it is reached, and where it was made."""
        for storage in (own, root):
            if id(storage) in self._left:
                return "batch", self._left[id(storage)][1], None
        if origin is not None and root is None:
            return "made", self._find(own)[1], origin
        kind, name = self._find(root if root is not None else own)
        attribute = name.removeprefix("self.").partition(".")[0].partition("[")[0]
        return kind, name, assignments(self.run.module).get(attribute) or origin

    def _find(self, storage: Any) -> tuple[HostTensor, str]:
        module, found = self.run.module, []

        def wanted(tensor: torch.Tensor) -> bool:
            is_found = storage is not None and storage_of(tensor) is storage
            found.extend([tensor] * is_found)
            return is_found

        with torch._C.DisableTorchFunction():
            name, container = find_attribute_where(module, wanted)
            if name:
                is_layer = container == "module" or "]." in name or isinstance(found[-1], torch.nn.Parameter)
                return ("layer" if is_layer else "attribute"), name
            name = find_global_where(user_functions(module), wanted)
        return ("global", name) if name else ("unknown", "")

    def _may_be_moved(self, name: str) -> bool:
        """Whether what is made before the run may be made on whatever device there is."""
        files = self.run.places.user_files
        place = assignments(self.run.module).get(name.removeprefix("self.").partition(".")[0].partition("[")[0])
        return is_computed(place.source if place else "device", files)


def _caller() -> tuple[FrameType | None, bool]:
    """The frame that called torch, and whether it did so through more of torch's Python; None for the kit's own."""
    frame: FrameType | None = sys._getframe(1)
    through_torch = False
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_MODES) or frame.f_code.co_name == "__torch_function__":
            through_torch = False
        elif file.startswith(_TORCH):
            through_torch = True
        elif file.startswith(_KIT):
            return None, False
        else:
            return frame, through_torch
        frame = frame.f_back
    return None, False


def _namer() -> FrameType | None:
    """The innermost frame outside of the modes: it names the device."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_MODES):
        frame = frame.f_back
    return frame


def _is_lightnings(frame: FrameType) -> bool:
    return is_lightning_file(frame.f_code.co_filename)


def tensors_of_batch(batch: Any, path: str = "batch", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a batch, with how they are reached; also those that are attributes of an object."""
    if isinstance(batch, torch.Tensor):
        yield path, batch
        return
    if depth > 5:
        return
    if isinstance(batch, dict):
        items = [(f"{path}[{key!r}]", value) for key, value in batch.items()]
    elif isinstance(batch, (list, tuple)):
        items = [(f"{path}[{index}]", value) for index, value in enumerate(batch)]
    else:
        items = [(f"{path}.{name}", value) for name, value in getattr(batch, "__dict__", {}).items()]
    for where, value in items:
        yield from tensors_of_batch(value, where, depth + 1)
