"""Modules that do whatever a step must not do: the search ends in time, with a batch or an error, and nothing leaks."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from hostile import changed_batches, control_flow, endings, hooks, side_effects, swallowing  # noqa: F401
from hostile.common import FOUND
from outcomes import on_cpu
from torch import nn

from lightning_conformance import check_module
from lightning_conformance.deadline import deadline
from lightning_conformance.errors import SubjectError
from lightning_conformance.lightning_api import package_of
from lightning_conformance.subjects.inference import ModuleOwnError, infer_batch

GENEROUS = 90  # seconds, so that a search without end fails its own test alone


def state():
    """What a search must leave as it was."""
    return {
        "rngs": (random.getstate(), torch.get_rng_state().tolist(), str(np.random.get_state())),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),
        "files": sorted(os.listdir()),
        "path": list(sys.path),
        "streams": (sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.gettrace(), sys.getprofile()),
        "filters": list(warnings.filters),
        "logging": (logging.root.manager.disable, logging.root.level, list(logging.root.handlers)),
        "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)},
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "torch": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_num_threads(),
            torch.is_anomaly_enabled(),
        ),
        "global hooks": len(nn.modules.module._global_forward_pre_hooks),
        "recursion": sys.getrecursionlimit(),
    }


@pytest.fixture(autouse=True)
def _no_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, threads, modules = state(), set(threading.enumerate()), dict(sys.modules)
    with deadline(GENEROUS):
        yield
    after = state()
    assert [name for name in before if before[name] != after[name]] == []
    assert {t for t in set(threading.enumerate()) - threads if t.is_alive()} == set()
    assert {name for name in modules if sys.modules.get(name) is not modules[name]} == set()


NOT_YET = {
    changed_batches.CountsLabelsFromOne: "labels out of range after a change in place are taken for probabilities",
    hooks.TurnsAPairIntoADict: "a mask made by a hook is broadcast against the first stand-in, of too low a rank",
}


# What Lightning before 2.0 does in another way, so that these modules are none of its own.
SINCE_2 = {
    side_effects.LeavesAnOptimizerToggled: "toggle_optimizer takes the optimizer's index, too",
    side_effects.TogglesAndUntoggles: "toggle_optimizer takes the optimizer's index, too",
    hooks.TakesTheIterator: "the iterator gives other values",
}


def cases():
    for cls in FOUND:
        reason = NOT_YET.get(cls)
        if cls in SINCE_2 and package_of(cls).release < (2, 0):
            yield pytest.param(cls, id=cls.__name__, marks=pytest.mark.skip(reason=f"before 2.0 {SINCE_2[cls]}"))
            continue
        marks = [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)] if reason else []
        yield pytest.param(cls, id=cls.__name__, marks=marks)


@pytest.mark.parametrize("cls", list(cases()))
def test_batch_is_found(cls):
    assert str(infer_batch(cls, budget_seconds=15).spec) in FOUND[cls]


@pytest.mark.parametrize(
    "cls",
    [
        endings.WaitsForAPositiveSum,
        endings.TriesForEver,
        endings.SwallowsInALoopOfCalls,
        endings.Sleeps,
        endings.WaitsForAQueue,
        endings.WaitsForAProcess,
        endings.SlowConstructor,
    ],
    ids=lambda cls: cls.__name__,
)
def test_step_without_end_is_ended(cls):
    with pytest.raises(SubjectError, match="the time ran out") as caught:
        infer_batch(cls, budget_seconds=1.5)
    assert "endings.py" in caught.value.message


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (endings.Exits, "exit 3"),
        (endings.Recurses, "RecursionError"),
        (endings.RaisesABaseException, "Stop"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_step_that_ends_otherwise_is_the_modules_own_fault(cls, said):
    with pytest.raises(ModuleOwnError) as caught:
        infer_batch(cls, budget_seconds=15)
    assert said in str(caught.value.message)


def test_interrupt_goes_through():
    with pytest.raises(KeyboardInterrupt):
        infer_batch(endings.Interrupted, budget_seconds=15)


def test_constructor_that_works_once_only():
    report = check_module(endings.OnlyOneInstance, environment="cpu", raise_on_failure=False)
    assert "there can be only one" in str(report)


@pytest.mark.parametrize(
    "cls",
    [
        swallowing.CatchesException,
        swallowing.SuppressesBaseException,
        changed_batches.PopsAKey,
        changed_batches.WritesIntoItsInput,
        hooks.AddsAField,
        hooks.TakesWarningsForErrors,
        control_flow.SkipsSmallBatches,
    ],
    ids=lambda cls: cls.__name__,
)
def test_whole_run_completes(cls):
    report = check_module(cls, environment="cpu", raise_on_failure=False)
    assert len({verdict.check for verdict in report.verdicts}) == len(on_cpu())
    (completes,) = [verdict for verdict in report.verdicts if verdict.check == "training_completes"]
    assert completes.outcome == "passed", str(report)
    assert "Probe" not in str(report)


@pytest.mark.parametrize(
    "cls",
    [
        side_effects.ChangesTheProcess,
        side_effects.LeavesAnOptimizerToggled,
        endings.Exits,
        endings.RaisesABaseException,
    ],
    ids=lambda cls: cls.__name__,
)
def test_whole_run_that_fails_is_judged(cls):
    """The fixture sees to it that nothing is left of what these change."""
    report = check_module(cls, environment="cpu", raise_on_failure=False)
    (completes,) = [verdict for verdict in report.verdicts if verdict.check == "training_completes"]
    assert completes.outcome == "failed"
    assert "endings.py" in str(report) or "side_effects.py" in str(report)


@pytest.mark.xfail(reason="between a run's instances the default dtype is not put back", strict=True)
def test_whole_run_of_a_module_that_sets_the_default_dtype():
    report = check_module(side_effects.SetsTheDefaultDtypeAtItsConstruction, environment="cpu", raise_on_failure=False)
    assert "no batch was found" not in str(report)


def test_run_whose_batches_are_all_skipped():
    report = check_module(hooks.SkipsEveryBatch, environment="cpu", raise_on_failure=False)
    assert "without a single training step" in str(report)


@pytest.mark.parametrize("cls", [endings.Sleeps, endings.WaitsForAPositiveSum], ids=lambda cls: cls.__name__)
def test_search_inside_a_run_ends_at_its_budget(cls, monkeypatch):
    defaults = {**infer_batch.__kwdefaults__, "budget_seconds": 1.5}
    monkeypatch.setattr(infer_batch, "__kwdefaults__", defaults)
    report = check_module(cls, environment="cpu", raise_on_failure=False)
    assert "the time ran out" in str(report)


def test_run_ends_at_its_timeout_inside_the_search():
    report = check_module(endings.Sleeps, environment="cpu", timeout=1.5, raise_on_failure=False)
    assert "took longer than 1.5 seconds" in str(report)
