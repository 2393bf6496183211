"""What ``prepare_data`` leaves on the module, or on its DataModule."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from typing import Any

from lightning_conformance.lightning_api import IMPORT_NAMES
from lightning_conformance.recording.events_batches import PreparedState
from lightning_conformance.recording.instruments.base import Instrument, Run
from lightning_conformance.recording.places import assignments

_LIGHTNINGS = (
    "_trainer",
    "_fabric",
    "trainer",
    "prepare_data_per_node",
    "allow_zero_length_dataloader_with_multiple_devices",
)


class PreparedWatch(Instrument):
    """Compares attributes before and after ``prepare_data``."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._trainer: Any = None
        self._before: dict[str, Any] = {}
        run.tape.listeners.append(self._hook)

    def begin(self, trainer: Any) -> None:
        """Whose DataModule may be asked."""
        self._trainer = trainer

    def end(self, trainer: Any) -> None:
        """Let go."""
        self._trainer, self._before = None, {}

    def _hook(self, owner: str, name: str, begins: bool) -> None:
        if name != "prepare_data" or owner not in ("LightningModule", "LightningDataModule"):
            return
        with suppress(Exception):
            owns = self.run.module if owner == "LightningModule" else self._trainer.datamodule
            if begins:
                self._before = dict(vars(owns))
            else:
                self._compare(owns)

    def _compare(self, owns: Any) -> None:
        now, before = vars(owns), self._before
        self._before = {}
        new = [n for n, value in now.items() if n not in _LIGHTNINGS and not (n in before and before[n] is value)]
        texts = _method_texts(type(owns))
        elsewhere = {name: text for name, text in texts.items() if name not in ("prepare_data", "__init__")}
        # What setup assigns as well is there in every process.
        made_again = texts.get("setup", "")
        names = [n for n in new if not re.search(rf"self\.{n}\s*=[^=]", made_again)]
        readers = {
            name: [n for n in names if re.search(rf"self\.{n}\b(?!\s*=[^=])", text)] for name, text in elsewhere.items()
        }
        read = tuple(n for n in names if any(n in found for found in readers.values()))
        if read:
            place = assignments(owns).get(read[0])
            who = tuple(name for name, found in readers.items() if found)
            self.run.tape.add(PreparedState(self.run.tape.now, type(owns).__name__, read, who, place))


def _method_texts(cls: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for base in cls.__mro__:
        if base is object or base.__module__.partition(".")[0] in (*IMPORT_NAMES, "torch"):
            continue
        for name, member in vars(base).items():
            function = inspect.unwrap(getattr(member, "fget", None) or member)
            if inspect.isfunction(function) and name not in texts:
                with suppress(OSError, TypeError):
                    texts[name] = inspect.getsource(function)
    return texts
