"""Deadlines end what does not end by itself, one inside the other, and leave the timer as it was."""

from __future__ import annotations

import signal
import time

import pytest

from lightning_conformance.deadline import RunTimeout, deadline


class Inner(BaseException):
    pass


def timer():
    return signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0


@pytest.fixture(autouse=True)
def _timer_as_before():
    before = timer()
    yield
    assert timer() == before


def test_blocking_call_is_interrupted():
    with pytest.raises(RunTimeout, match=r"longer than 0\.05 seconds"), deadline(0.05):
        time.sleep(30)


def test_inner_deadline_passes_first():
    with deadline(30):
        with pytest.raises(Inner), deadline(0.05, Inner):
            time.sleep(30)
        assert timer()[1]


def test_outer_deadline_passes_inside_the_inner_one():
    with pytest.raises(RunTimeout), deadline(0.05), deadline(30, Inner):
        time.sleep(30)


def test_outer_deadline_passes_after_the_inner_one_was_left():
    with pytest.raises(RunTimeout), deadline(0.2):
        with deadline(0.1, Inner):
            pass
        time.sleep(30)


def test_what_is_cleaned_up_is_not_thrown_at():
    cleaned = []
    with pytest.raises(RunTimeout), deadline(0.05):
        try:
            time.sleep(30)
        finally:
            time.sleep(0.3)
            cleaned.append(True)
    assert cleaned


def test_block_that_ends_as_its_deadline_passes():
    for _ in range(3000):
        try:
            with deadline(0.002):
                time.sleep(0.0018)
                for _ in range(1000):
                    pass
        except RunTimeout:
            pass
    time.sleep(0.01)
