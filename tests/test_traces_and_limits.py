"""A run leaves no trace in the user's session, ends in time, and stops when its user wants it to."""

from __future__ import annotations

import pytest
from outcomes import on_cpu

MODULE = "--lightning-module=model.py:Model"

SNAPSHOTS = """
import logging, os, random, signal, sys, threading, warnings
import numpy
import pytest
import torch

LOGGERS = [None, "lightning", "lightning.pytorch", "pytorch_lightning", "lightning.fabric", "lightning_fabric"]

def state():
    return {
        "python": random.getstate(),
        "numpy": str(numpy.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "folder": os.getcwd(),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)},
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "levels": {n: (log.level, log.propagate) for n in LOGGERS for log in [logging.getLogger(n)]},
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "anomaly": torch.is_anomaly_enabled(),
        "path": list(sys.path),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook),
        "step": (torch.optim.SGD.step, torch.Tensor.backward, torch.autograd.backward),
    }

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    before = state()
    result = yield
    after = state()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        print("CHANGED", item.nodeid, changed)
    return result
"""

RECKLESS = """
import logging, os, random, signal, warnings, numpy

class Reckless(Model):
    def configure_optimizers(self):
        os.environ["RECKLESS"] = "1"
        return super().configure_optimizers()

    def training_step(self, batch, batch_idx):
        random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
        os.environ["PATH"] = "nowhere"
        warnings.simplefilter("ignore")
        logging.getLogger().setLevel(logging.DEBUG)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        torch.autograd.set_detect_anomaly(True)
        torch.use_deterministic_algorithms(True)
        return super().training_step(batch, batch_idx)

    def on_train_end(self):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        os.makedirs("left", exist_ok=True)
        os.chdir("left")

class Crashing(Reckless):
    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        self.on_train_end()
        raise ValueError("crash")
"""


@pytest.mark.parametrize("name", ["Model", "Faulty", "Reckless", "Crashing"])
def test_global_state_is_after_a_run_what_it_was_before(either_kit, name):
    either_kit.module(RECKLESS)
    either_kit.write("conftest.py", SNAPSHOTS)
    either_kit.write("test_own.py", "def test_own(lightning_module, lightning_batch):\n    pass\n")
    result = either_kit.run(f"--lightning-module=model.py:{name}", "-s")
    assert result.parseoutcomes().get("errors", 0) == 0
    assert "passed" in result.parseoutcomes()
    assert [line for line in result.outlines if "CHANGED" in line] == []


def test_inference_and_own_dataloaders_leave_no_trace_either(kit):
    kit.module(
        """
        class Own(Model):
            def train_dataloader(self):
                batches = [(torch.ones(4, 3), torch.ones(4, 1))] * 3
                return torch.utils.data.DataLoader(batches, batch_size=None)
        """
    )
    kit.write("conftest.py", SNAPSHOTS)
    result = kit.run("--lightning-module=model.py:Own", MODULE, "-s", batch="")
    assert result.ret == 0
    assert [line for line in result.outlines if "CHANGED" in line] == []


def test_the_users_warnings_are_still_heard(kit):
    kit.write("test_z.py", "import warnings\n\ndef test_own():\n    warnings.warn('own warning')\n")
    result = kit.run(MODULE, "-Wdefault")
    result.stdout.fnmatch_lines(["*own warning*"])
    assert result.parseoutcomes()["warnings"] == 1


SLOW = """
class Endless(Model):
    def training_step(self, batch, batch_idx):
        while True:
            pass

class Stubborn(Model):
    def training_step(self, batch, batch_idx):
        while True:
            try:
                pass
            except Exception:
                pass

class Slow(Model):
    def __init__(self):
        super().__init__()
        import time
        time.sleep(60)
"""


@pytest.mark.parametrize("name", ["Endless", "Stubborn", "Slow"])
def test_a_run_without_end_is_ended(kit, items, said, name):
    kit.module(SLOW)
    kit.write("test_own.py", "def test_own():\n    pass\n")
    result = kit.run(f"--lightning-module=model.py:{name}", MODULE, "--lightning-timeout=4")
    assert result.ret == 1
    outcomes = items(result)
    assert outcomes["test_own.py::test_own"] == "passed"
    assert outcomes[f"model.py:{name}::cpu::training_completes"] == "failed"
    assert {o for node_id, o in outcomes.items() if node_id.startswith("model.py:Model::")} <= {"passed", "skipped"}
    text = said(result)
    assert "4 seconds" in text
    assert "--lightning-timeout" in text


def test_verdicts_reached_before_the_time_is_up_are_told(kit, items):
    kit.module(
        """
        class Hangs(Model):
            def training_step(self, batch, batch_idx):
                if batch_idx == 2:
                    while True:
                        pass
                super().training_step(batch, batch_idx)
        """
    )
    outcomes = items(kit.run("--lightning-module=model.py:Hangs", "--lightning-timeout=4"))
    assert outcomes["model.py:Hangs::cpu::loss_returned"] == "failed"
    assert outcomes["model.py:Hangs::cpu::training_completes"] == "failed"


def test_the_time_limit_can_be_taken_off_and_set_in_the_ini_file(kit, items):
    kit.module(SLOW)
    kit.write("pytest.ini", "[pytest]\nlightning_timeout = 0.5")
    assert kit.run("--lightning-module=model.py:Endless", "-k", "training_completes").ret == 1
    assert kit.run(MODULE, "--lightning-timeout=0").ret == 0


INTERRUPTED = """
class Interrupted(Model):
    def training_step(self, batch, batch_idx):
        raise KeyboardInterrupt
"""


def test_an_interrupt_stops_pytest(either_kit, items):
    either_kit.module(INTERRUPTED)
    result = either_kit.run("--lightning-module=model.py:Interrupted", MODULE)
    assert result.ret == 2
    assert items(result) == {}
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


def test_an_interrupt_in_the_constructor_stops_pytest(kit, items):
    kit.module("class Interrupted(Model):\n    def __init__(self):\n        raise KeyboardInterrupt\n")
    result = kit.run("--lightning-module=model.py:Interrupted")
    assert result.ret == 2
    assert items(result) == {}


@pytest.mark.parametrize("name", ["SystemExit(3)", "RuntimeError('stop')", "MemoryError()"])
def test_no_other_exception_stops_pytest(kit, items, name):
    kit.module(f"class Raises(Model):\n    def training_step(self, batch, batch_idx):\n        raise {name}\n")
    result = kit.run("--lightning-module=model.py:Raises", MODULE)
    assert result.ret == 1
    assert items(result)["model.py:Raises::cpu::training_completes"] == "failed"
    assert len(items(result)) == 2 * len(on_cpu())
