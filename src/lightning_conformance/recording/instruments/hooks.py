"""Lightning calls every hook under its profiler; ours tells the tape which hook is running."""

from __future__ import annotations

import re
from typing import Any

from lightning_conformance.lightning_api import LightningPackage
from lightning_conformance.recording.tape import Tape

_ACTION = re.compile(r"\[(?P<owner>\w+)\].*?(?P<name>\w+)$")


def hook_profiler(package: LightningPackage, tape: Tape) -> Any:
    """A Profiler of the package that writes each hook call on the tape, with its owner's kind."""

    class HookProfiler(package.Profiler):  # type: ignore[misc, name-defined]
        def start(self, action_name: str) -> None:
            if match := _ACTION.match(action_name):
                tape.enter(match["owner"], match["name"])

        def stop(self, action_name: str) -> None:
            if match := _ACTION.match(action_name):
                tape.leave(match["owner"], match["name"])

        def summary(self) -> str:
            return ""

        def describe(self) -> None:
            """Write no report."""

        def __del__(self) -> None:
            """Nothing is open; a copy that failed half-way has nothing that the base class would look at."""

    return HookProfiler()
