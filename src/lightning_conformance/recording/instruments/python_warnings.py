"""The warnings that a run gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning_conformance.recording.model import WarningSeen
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.tape import Tape


@contextmanager
def heard_warnings(tape: Tape, places: Places) -> Iterator[None]:
    """Write every warning on the tape, also one that was given before; none is shown."""

    def hear(message: Any, category: type[Warning], *args: Any, **kwargs: Any) -> None:
        tape.add(WarningSeen(tape.now, category.__name__, str(message), places.here()))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = hear
        yield
