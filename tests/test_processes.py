"""Two processes that train together: forked, watched, and gone when the run is over."""

import os
import signal
import time

import pytest

from lightning_conformance import check_module
from lightning_conformance.checks import CHECKS
from lightning_conformance.environments import ENVIRONMENTS, Ddp, select
from lightning_conformance.recording.events_ranks import CollectivesDiffer, RankEnded
from lightning_conformance.recording.places import Places
from lightning_conformance.recording.ranks.forking import Child
from lightning_conformance.recording.ranks.stacks import place_in
from lightning_conformance.recording.run import Recordings
from lightning_conformance.subjects.subject import Subject, SubjectOptions
from lightning_conformance.subjects.target import parse_target

TWO = ENVIRONMENTS["ddp-2"]
BATCH = "x: float[4,3], y: float[4,1]"

pytestmark = pytest.mark.skipif(TWO.unavailable() is not None, reason=f"ddp-2: {TWO.unavailable()}")

MODULES = """
import os
import signal
import time

class Waits(Model):
    '''Nothing but time passes.'''

    def training_step(self, batch, batch_idx):
        while self.global_rank == 1 and batch_idx == 1:
            time.sleep(0.1)  # HERE
        return super().training_step(batch, batch_idx)

class Leaves(Model):
    def training_step(self, batch, batch_idx):
        if self.global_rank == 1 and batch_idx == 1:
            os._exit(3)
        return super().training_step(batch, batch_idx)

class Killed(Model):
    def training_step(self, batch, batch_idx):
        if self.global_rank == 0 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, batch_idx)

class Both(Model):
    def training_step(self, batch, batch_idx):
        if self.trainer.world_size > 1:
            raise ValueError("not on two")
        return super().training_step(batch, batch_idx)

class Speaks(Model):
    def training_step(self, batch, batch_idx):
        os.write(1, b"a rank speaks")
        print("a rank prints")
        return super().training_step(batch, batch_idx)

class Forks(Model):
    '''Workers of its own, which outlive an exception.'''

    def training_step(self, batch, batch_idx):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        return super().training_step(batch, batch_idx)
"""


@pytest.fixture(autouse=True)
def no_child_is_left():
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def train(kit):
    """The recording of a module, and its verdicts."""
    kit.module(MODULES)

    def trained(name, patience=10.0, timeout=60.0):
        options = SubjectOptions((), "", BATCH, "train_loss")
        subject = Subject(parse_target(f"model.py:{name}", kit.path), options)
        return Recordings(subject, Ddp(patience=patience), timeout=timeout)()

    return trained


def judged(kit, name):
    kit.module(MODULES)
    return check_module(str(kit.path / f"model.py:{name}"), batch=BATCH, environment="ddp-2", raise_on_failure=False)


def line(kit, mark):
    text = (kit.path / "model.py").read_text()
    return next(n for n, each in enumerate(text.splitlines(), 1) if mark in each)


def test_it_is_there_and_judges_what_only_it_can_show():
    chosen = {environment.name: environment for environment in select(["auto"])}
    families = ("completion", "distributed", "loss", "device")
    assert [chosen["ddp-2"].judges(family) for family in families] == [True, True, False, False]
    assert [select(["ddp-2"])[0].judges(family) for family in families] == [True, True, True, False]


def test_each_rank_has_batches_of_its_own(train):
    recording = train("Model")
    assert recording.completed
    assert [step.batch_size for step in recording.steps] == [4, 4, 4, 2] * 2
    assert [end.how for end in recording.all(RankEnded)] == ["completed", "completed"]
    assert recording.logged_metrics["train_loss"] > 0


def test_checks_of_several_processes_do_not_apply_to_one(kit):
    subject = Subject(parse_target("model.py:Model", kit.path), SubjectOptions((), "", BATCH, "train_loss"))
    verdict = CHECKS["ranks_stay_equal"](Recordings(subject, ENVIRONMENTS["cpu"]))
    assert (verdict.outcome, verdict.reason) == ("not applicable", "the environment cpu is one process")


def test_other_runs_than_training_are_not_made(kit):
    report = judged(kit, "Model")
    verdict = report.verdict("same_seed_same_losses", "ddp-2")
    assert (verdict.outcome, "nothing is run but training" in verdict.reason) == ("not applicable", True)
    assert report.verdict("training_completes", "ddp-2").outcome == "passed"


def test_a_rank_that_waits_is_named_with_its_line(kit, train):
    recording = train("Waits", patience=1.0)
    ends = list(recording.all(RankEnded))
    assert [end.how for end in ends] == ["waiting", "waiting"]
    assert (ends[0].waits, ends[1].place.line) == ("gradients", line(kit, "# HERE"))
    (finding,) = CHECKS["collectives_run_on_every_rank"](lambda regime: recording).findings
    assert finding.place.line == line(kit, "# HERE")
    assert "rank 0 averages the gradients; rank 1 calls nothing more (line" in finding.message
    assert f"rank 1 waits in broadcast at {kit.path / 'model.py'}:{line(kit, '# HERE')}" in recording.failure.message


def test_the_time_limit_ends_all_ranks(kit, train):
    recording = train("Waits", timeout=4.0)
    assert recording.failure.stage == "timeout"
    assert recording.failure.place.line == line(kit, "# HERE")


def test_ranks_that_go_apart_are_ended_long_before_the_time_limit():
    begin = time.monotonic()
    report = check_module(
        "tests/faults/distributed_steps.py:GathersOnTheFirstRank",
        batch="x: float[5,6], y: int[5]<3",
        environment="ddp-2",
        raise_on_failure=False,
    )
    assert any(report.recordings[0].all(CollectivesDiffer))
    assert report.verdict("training_completes", "ddp-2").because_of == "collectives_run_on_every_rank"
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("name", "rank", "how"), [("Leaves", 1, "exit code 3"), ("Killed", 0, "SIGKILL")], ids=["exit", "signal"]
)
def test_a_rank_that_dies_is_a_failure(kit, train, name, rank, how):
    recording = train(name)
    assert recording.failure.message == f"the process of rank {rank} ended with {how}"
    report = judged(kit, name)
    (finding,) = report.verdict("every_rank_trains", "ddp-2").findings
    assert finding.message == f"the process of rank {rank} died: {how}."
    assert report.verdict("training_completes", "ddp-2").because_of == "every_rank_trains"


def test_what_all_ranks_raise_is_told_as_in_one_process(kit):
    report = judged(kit, "Both")
    assert report.verdict("every_rank_trains", "ddp-2").findings == ()
    (finding,) = report.verdict("training_completes", "ddp-2").findings
    assert "ValueError: not on two" in finding.message
    assert "rank" not in finding.message


def test_pytest_goes_on_after_ranks_that_die_and_wait(kit, items, said):
    kit.module(MODULES)
    result = kit.run(
        "--lightning-environment=cpu,ddp-2",
        "--lightning-select=completion,distributed",
        "--lightning-module=model.py:Leaves",
        "--lightning-module=model.py:Speaks",
    )
    outcomes = items(result)
    assert outcomes["model.py:Leaves::cpu::training_completes"] == "passed"
    assert outcomes["model.py:Leaves::ddp-2::every_rank_trains"] == "failed"
    assert outcomes["model.py:Speaks::ddp-2::every_rank_trains"] == "passed"
    assert "the process of rank 1 died: exit code 3." in said(result)


def test_output_of_the_ranks_is_not_shown(train, capfd):
    assert train("Speaks").completed
    assert capfd.readouterr() == ("", "")


def test_what_a_rank_starts_ends_with_it(train):
    before = _sleepers()
    assert train("Forks").completed
    end = time.monotonic() + 30
    while _sleepers() - before and time.monotonic() < end:
        time.sleep(0.1)
    assert _sleepers() - before == set()


def _sleepers():
    """Processes of this session that are not zombies, where the system lists them."""
    if not os.path.isdir("/proc"):
        pytest.skip("no list of processes")
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat[3]) == os.getsid(0) and stat[0] != "Z" and int(stat[1]) == 1:
            found.add(int(name))
    return found


def test_workers_of_xdist_fork(kit, said):
    pytest.importorskip("xdist")
    result = kit.run_apart(
        "-n2",
        "--lightning-environment=cpu,ddp-2",
        "--lightning-module=model.py:Model",
        "--lightning-select=completion,distributed",
    )
    assert "7 passed" in said(result)


def test_a_child_answers_where_it_is(tmp_path):
    def waits(send):
        send("ready")
        time.sleep(60)

    child = Child(waits, tmp_path)
    try:
        assert child.inbox.recv() == "ready"
        child.ask_where()
        end = time.monotonic() + 20
        while "in waits" not in child.stack() and time.monotonic() < end:
            time.sleep(0.05)
        place = place_in(child.stack(), Places([__file__]))
        assert (place.file, place.function.rpartition(".")[2]) == (__file__, "waits")
    finally:
        child.kill()
    assert child.was_killed


def test_a_child_has_its_own_streams_and_signals(tmp_path):
    def tells(send):
        print("to a file")
        send((signal.getsignal(signal.SIGINT), os.getpgid(0) == os.getpid(), os.read(0, 1)))

    child = Child(tells, tmp_path)
    assert child.inbox.recv() == (signal.SIG_DFL, True, b"")
    while not child.has_ended():
        time.sleep(0.02)
    child.kill()
    assert (tmp_path / "out").read_text() == "to a file\n"
    assert (child.exit, child.was_killed) == ("exit code 0", False)


def test_a_child_ends_with_its_parent(tmp_path):
    receiver, sender = os.pipe()
    if os.fork() == 0:
        Child(lambda send: (os.write(sender, b"%d\n" % os.getpid()), time.sleep(600)), tmp_path)
        os.read(receiver, 100)
        os._exit(0)
    os.wait()
    os.close(sender)
    # The child holds the other end until it is gone.
    assert os.read(receiver, 1) in (b"", b"\n")
    os.close(receiver)
