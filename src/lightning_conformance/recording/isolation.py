"""Leave no trace: global state is after a run what it was before."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from lightning_conformance.lightning_api import LOGGER_NAMES


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices), without Lightning's environment variable."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % 2**32)
    has_xpu = hasattr(torch, "xpu") and torch.xpu.is_available()
    if has_xpu or torch.cuda.is_available() or torch.backends.mps.is_available():
        torch.manual_seed(seed)
    else:
        # `torch.manual_seed` keeps a stack trace of each call, for devices that might come.
        torch.default_generator.manual_seed(seed)


@contextmanager
def leave_no_trace() -> Iterator[None]:
    """Restore RNGs, torch's global settings, environment, paths, signals, logging and warnings at the end."""
    with ExitStack() as stack:
        for restore in (
            _rngs(),
            _torch_settings(),
            _environment_variables(),
            _working_directory(),
            _import_path(),
            _signal_handlers(),
            _logging(),
        ):
            stack.callback(restore)
        stack.enter_context(warnings.catch_warnings())
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with seeded RNGs and give the caller's RNG states back."""
    restore = _rngs()
    seed_everything(seed)
    try:
        yield
    finally:
        restore()


def _rngs() -> Callable[[], None]:
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy: Any = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy else None
    used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if used else None

    def restore() -> None:
        random.setstate(python)
        torch.set_rng_state(cpu)
        if numpy_state is not None:
            numpy.random.set_state(numpy_state)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return restore


def _torch_settings() -> Callable[[], None]:
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    device = torch.get_default_device() if hasattr(torch, "get_default_device") else torch.device("cpu")
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    anomaly = torch.is_anomaly_enabled()
    benchmark, cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic

    def restore() -> None:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if hasattr(torch, "get_default_device") and torch.get_default_device() != device:
            torch.set_default_device(device if device.type != "cpu" else None)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)
        torch.autograd.set_detect_anomaly(anomaly)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, cudnn

    return restore


def _environment_variables() -> Callable[[], None]:
    before = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _working_directory() -> Callable[[], None]:
    folder = os.getcwd()
    return lambda: os.chdir(folder)


def _import_path() -> Callable[[], None]:
    before = list(sys.path)

    def restore() -> None:
        sys.path[:] = before

    return restore


def _signal_handlers() -> Callable[[], None]:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCONT")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)

    return restore


def _logging() -> Callable[[], None]:
    loggers = [logging.getLogger(), *map(logging.getLogger, LOGGER_NAMES)]
    before = [(log, log.level, list(log.handlers), log.propagate, log.disabled) for log in loggers]

    def restore() -> None:
        for log, level, handlers, propagate, disabled in before:
            _set_level(log, level)
            log.handlers[:] = handlers
            log.propagate, log.disabled = propagate, disabled

    return restore


def quiet_lightning() -> None:
    """Keep Lightning's own log lines out of the user's terminal; :func:`leave_no_trace` undoes it."""
    for name in LOGGER_NAMES:
        _set_level(logging.getLogger(name), logging.ERROR)


def _set_level(log: logging.Logger, level: int) -> None:
    """As ``setLevel``, which has every logger there is forget what it knows, where nothing changes, too."""
    if log.level != level:
        log.setLevel(level)
