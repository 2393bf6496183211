"""A loop that swallows everything is left when its time is up, on every Python.

``python tests/python_versions/test_swallowing_loops.py`` calls its tests; they need neither pytest nor torch.
"""

from __future__ import annotations

import sys
import threading
import time

from running import run_tests

from lightning_conformance.deadline import RunTimeout, deadline


def swallow():
    while True:
        try:
            sum(range(1000))
        except:  # noqa: E722
            pass


def swallow_in_a_call():
    while True:
        try:
            work()
        except BaseException:
            continue


def work():
    try:
        time.sleep(0.01)
    finally:
        sum(range(100))


def swallow_twice():
    while True:
        try:
            try:
                sum(range(1000))
            except:  # noqa: E722
                sum(range(1000))
        except:  # noqa: E722
            pass


LOOPS = (swallow, swallow_in_a_call, swallow_twice)


def ended(loop):
    try:
        with deadline(0.05):
            loop()
    except RunTimeout:
        return True
    return False


def tracer(frame, event, arg):
    return None


def check_all():
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        for loop in LOOPS:
            assert ended(loop), loop
            assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_on_the_main_thread():
    check_all()


def test_off_the_main_thread():
    errors = []

    def work():
        try:
            check_all()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive()
    assert errors == []


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
