"""Run a function in a process of its own, which may hang or die, and which leaves nothing behind in this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class ChildLost(Exception):
    """The process gave no answer."""


def in_child(function: Callable[[], Any], seconds: float) -> Any:
    """What ``function()`` returns in a fork of this process.

    Raises:
        ChildLost: It did not return in time, and was killed; or it died.
    """
    # A fork has everything imported, and takes any function along.
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise ChildLost(f"it did not end in {seconds:g} s")
        return receiver.recv()
    except EOFError:
        raise ChildLost("its process died") from None
    finally:
        process.kill()
        process.join()
        receiver.close()


def _answer(function: Callable[[], Any], sender: Connection) -> None:
    sender.send(function())
