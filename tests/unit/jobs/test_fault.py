"""Who is at fault for a failure: the rules, and the code that collects the evidence. ARCHITECTURE.md has the table."""

import errno
import os
import re
from pathlib import Path

import pytest
from service_scene import Scene

from daemon.contract.commands import unmarked
from daemon.contract.messages import Result
from daemon.contract.status import Source
from daemon.errors import ImageType, Internal, OutOfMemory, WorkerCrashed
from daemon.health.disk_space import DiskSpace
from daemon.health.system_health import SystemHealth
from daemon.jobs import fault
from daemon.jobs.fault import Evidence, Failure
from daemon.outbox import Outbox
from daemon.supervisor import Completed, Failed, WarmWorker
from pipeline.worker.entry import classify

ROOT = Path(__file__).resolve().parents[3]
CRASH = Failed(WorkerCrashed("it fell over").info(), True, 1.0)


class Canaries:
    """Replaces the supervisor: canaries become ready, die or hang, as `fate` says."""

    def __init__(self) -> None:
        self.fate = "ready"
        self.sent: list[bytes] = []
        self.alive: list[bytes] = []

    def prepare(self, attempt: bytes, **_more: object) -> None:
        if self.fate == "EAGAIN":
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.sent.append(attempt)
        self.alive.append(attempt)

    def warm_workers(self) -> list[WarmWorker]:
        return [] if self.fate == "dead" else [WarmWorker(each, "light", self.fate == "ready", 1.0) for each in self.alive]

    def discard(self, attempt: bytes) -> None:
        self.alive.remove(attempt)

    def how_it_died(self, attempt: bytes) -> str:
        assert attempt in self.sent
        return "it ended by itself with status 1: No module named 'numpy'"


class FaultScene(Scene):
    """A scene with a real `SystemHealth`; the test sets its time, program and memory."""

    def __init__(self, home: Path) -> None:
        self.now, self.program, self.why_not, self.free, self.busy = 1000.0, 1, None, 1 << 40, False
        self.canaries = Canaries()
        super().__init__(home)

    def make_system_health(self) -> SystemHealth:
        self.system_health = SystemHealth(
            self.fs,
            self.outbox,
            DiskSpace(self.fs, self.settings, self.outbox),
            self.canaries,
            program=lambda: self.program,
            why_cannot_restart=lambda: self.why_not,
            available=lambda: self.free,
            clock=lambda: self.now,
        )
        return self.system_health

    def later(self, seconds: float) -> None:
        """Let time pass, calling `look` as often as the loop does."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.25
            self.system_health.look(busy=self.busy)
            self.runs.failure_handler.judge()

    def attempts(self, job_id: str = "j") -> tuple[str, int]:
        job = self.jobs.find(job_id)
        return job.state, job.attempts


@pytest.fixture
def here(tmp_path: Path) -> FaultScene:
    return FaultScene(tmp_path)


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"\| `(test_\w+)` \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    there = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 15
    assert [name for name in named if f"def {name}(" not in there] == []


def test_every_kind_of_cause_says_why_and_what_to_do() -> None:
    causes = [
        fault.program_changed(), fault.program_changed("No module named 'x'"), fault.not_writable("Input/output error"),
        fault.no_memory(71 << 20), fault.no_start("Resource temporarily unavailable"),
    ]  # fmt: skip
    assert {cause.kind for cause in causes} == {"program", "writing", "memory", "start"}
    assert all(cause.problem and unmarked(cause.hint).endswith((".", "doctor`")) for cause in causes)
    assert "71 MB" in fault.no_memory(71_000_000).problem


def test_what_says_nothing_about_the_machine_is_the_jobs_fault() -> None:
    for code in ("image_unreadable", "timeout", "out_of_memory", "spec_invalid"):
        assert fault.judge(Failure(code), Evidence(full=True, writing="Read-only file system", starting="it ended")) is None


def test_a_crash_is_not_the_jobs_fault_if_a_canary_dies_as_well(here: FaultScene) -> None:
    here.canaries.fate = "dead"
    here.processing("j")
    here.runs.on_end("j", CRASH)
    assert here.attempts() == ("processing", 1), "it is not judged yet"
    here.later(0.5)
    assert here.attempts() == ("pending", 0)
    assert "No module named 'numpy'" in here.system_health.problem
    here.later(40.0)
    assert here.system_health.problem is not None
    here.canaries.fate = "ready"
    here.later(31.0)
    assert here.system_health.problem is None
    assert here.system_health.may_start()


def test_a_crash_is_the_jobs_fault_if_a_canary_gets_ready(here: FaultScene) -> None:
    here.processing("j")
    here.runs.on_end("j", CRASH)
    here.later(0.5)
    assert (here.attempts(), here.system_health.problem) == (("pending", 1), None)
    assert len(here.canaries.sent) == 1
    here.processing("k")
    here.runs.on_end("k", Failed(Internal("a fault of the program").info(), False, 1.0))
    here.later(0.5)
    assert here.jobs.ended["k"].ended.error.code == "internal"
    here.processing("l")
    here.runs.on_end("l", Failed(ImageType("no picture").info(), False, 1.0))
    assert here.jobs.ended["l"].state == "failed"
    assert len(here.canaries.sent) == 2, "what a picture is needs no canary"


def test_a_worker_that_never_got_ready_says_nothing_of_its_job(here: FaultScene) -> None:
    here.processing("j")
    here.runs.on_end("j", Failed(WorkerCrashed("exit status 1").info(), True, 1.0, ready=False))
    assert here.attempts() == ("pending", 0)
    assert "before it was ready" in here.system_health.problem
    here.later(3.0)
    assert here.system_health.problem is None


def test_a_new_program_that_cannot_be_started_is_waited_for(here: FaultScene) -> None:
    here.pending("j")
    here.program, here.why_not, here.busy = 2, "SyntaxError: invalid syntax", True
    here.runs.start_next()
    assert here.workers.commands == []
    here.later(10.0)
    assert "was changed since this daemon started" in here.system_health.problem, "what runs is finished first"
    here.busy = False
    here.later(10.0)
    assert "cannot be started as it is: SyntaxError" in here.system_health.problem
    assert not here.system_health.restart
    here.why_not = None
    here.later(31.0)
    assert here.system_health.restart


def test_a_program_that_is_put_back_needs_no_new_start(here: FaultScene) -> None:
    here.program = 2
    assert not here.system_health.may_start()
    here.program = 1
    here.later(2.0)
    assert here.system_health.may_start()
    assert not here.system_health.restart


def test_a_worker_that_does_not_start_because_the_program_was_changed_a_moment_ago_is_put_down_to_the_change(
    here: FaultScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved_away(*_: object, **__: object) -> None:
        here.program, here.why_not, here.canaries.fate = 2, "No such file or directory", "EAGAIN"
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    here.pending("j")
    monkeypatch.setattr(here.workers, "start", moved_away)
    here.runs.start_next()
    assert here.attempts() == ("pending", 0)
    here.later(10.0)
    assert "cannot be started as it is: No such file or directory" in here.system_health.problem
    here.program = 1
    here.later(31.0)
    assert here.system_health.may_start()


def test_a_program_that_is_replaced_while_no_worker_starts_needs_no_canary(here: FaultScene) -> None:
    """Workers of another program may never become ready under this daemon."""
    here.canaries.fate = "EAGAIN"
    here.system_health.pause_for(fault.no_start("No module named 'numpy'"))
    here.later(5.0)
    here.program = 2
    here.later(31.0)
    assert here.system_health.restart


def test_a_program_that_is_replaced_while_a_canary_runs_clears_the_job(here: FaultScene) -> None:
    here.canaries.fate = "starting"
    here.processing("j")
    here.runs.on_end("j", CRASH)
    here.program, here.canaries.fate = 2, "ready"
    here.later(0.5)
    assert here.attempts() == ("pending", 0)
    assert "was changed since this daemon started" in here.system_health.problem


def test_no_failure_is_believed_under_a_changed_program(here: FaultScene) -> None:
    here.processing("j")
    here.program = 2
    here.runs.on_end("j", Failed(ImageType("no picture").info(), False, 1.0))
    assert here.attempts() == ("pending", 0)


def test_a_job_whose_worker_could_not_write_on_a_disk_that_takes_nothing_is_not_to_blame(here: FaultScene) -> None:
    here.processing("j")
    here.fs.failing["rename"] = (errno.EROFS, b"")
    here.runs.on_end("j", Failed(Internal("OSError: [Errno 30] Read-only file system").info(), False, 1.0))
    assert here.attempts() == ("pending", 0)
    assert here.system_health.problem == "nothing can be written into the outbox: Read-only file system"
    here.later(20.0)
    assert here.system_health.problem is not None
    here.fs.failing.clear()
    here.later(31.0)
    assert here.system_health.problem is None


@pytest.mark.parametrize("failing", [True, False])
def test_a_disk_that_fails_while_a_worker_reads_is_the_machines_fault_if_it_takes_no_write(
    here: FaultScene, failing: bool
) -> None:
    here.processing("j")
    if failing:
        here.fs.failing["rename"] = (errno.EIO, b"")
    told = classify(OSError(errno.EIO, os.strerror(errno.EIO)))
    here.runs.on_end("j", Failed(told.info(), told.retryable, 1.0))
    here.later(0.5)
    assert here.attempts() == ("pending", 0 if failing else 1)
    assert here.system_health.problem == ("nothing can be written into the outbox: Input/output error" if failing else None)


def test_a_result_that_cannot_be_synced_is_made_anew_and_that_is_no_attempt(here: FaultScene, monkeypatch) -> None:
    here.processing("j")

    def fail(self: Outbox, attempt: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("daemon.running.publishing.checking_result", lambda *_, **__: ())
    monkeypatch.setattr(Outbox, "making_durable", fail)
    source = Source(image="j.jpg", bytes=9, sha256="0" * 64, width=4, height=3)
    here.runs.on_end("j", Completed(Result(source=source, outputs=(), manifest="result/m"), 1.0, 1000))
    here.runs.check_and_publish()
    assert here.attempts() == ("pending", 0)
    assert "Input/output error" in here.system_health.problem
    here.later(3.0)
    assert here.system_health.problem is None


def test_a_starved_worker_waits_for_memory_and_is_no_attempt(here: FaultScene) -> None:
    here.processing("j")
    here.free = 100 << 20
    here.runs.on_end("j", Failed(WorkerCrashed("killed").info(), True, 1.0, held_when_killed=71 << 20))
    assert here.attempts() == ("pending", 0)
    assert "held only 75 MB" in here.system_health.problem
    here.later(20.0)
    assert here.system_health.problem is not None
    here.free = 2 << 30
    here.later(31.0)
    assert here.system_health.problem is None


@pytest.mark.parametrize(
    ("wanting", "free", "blamed"), [(71 << 20, 100 << 20, "machine"), (71 << 20, 2 << 30, "job"), (None, 100 << 20, "job")]
)
def test_a_worker_that_finds_no_memory_is_the_jobs_fault_unless_the_machine_is_short_of_it(
    here: FaultScene, wanting: int | None, free: int, blamed: str
) -> None:
    here.processing("j")
    here.free = free
    here.runs.on_end("j", Failed(OutOfMemory("there was not enough memory").info(), False, 1.0, held_when_refused=wanting))
    if blamed == "job":
        assert here.attempts() == ("failed", 1)
        assert here.system_health.problem is None
        return
    assert here.attempts() == ("pending", 0)
    assert "gave no more to a worker that held only 75 MB" in here.system_health.problem
    here.free = 2 << 30
    here.later(31.0)
    assert here.system_health.problem is None


def test_a_job_that_is_excused_without_end_is_charged_in_the_end(here: FaultScene) -> None:
    starved = Failed(WorkerCrashed("killed").info(), True, 1.0, held_when_killed=71 << 20)
    for number in range(fault.MAX_EXCUSES + 1):
        if number:
            here.later(31.0)
            here.runs.start_next()
        else:
            here.processing("j")
        assert here.jobs.live["j"].state == "processing"
        here.runs.on_end("j", starved)
    here.later(0.5)
    assert here.attempts() == ("pending", 1)


def test_the_pauses_between_two_looks_grow_and_are_bounded(here: FaultScene) -> None:
    here.canaries.fate = "EAGAIN"
    here.system_health.pause_for(fault.no_start("Resource temporarily unavailable"))
    looks = []
    for _ in range(8):
        before = here.now
        here.now = here.system_health.next_look()
        looks.append(here.now - before)
        here.system_health.look(busy=here.busy)
        here.system_health.look(busy=here.busy)
    assert looks == [1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_finished_result_that_cannot_be_shown_keeps_no_other_job_back(here: FaultScene) -> None:
    assert here.settings.queue.max_concurrent_jobs == 1
    from daemon.contract.records import Publishing

    attempt = here.processing("j").attempt.folder
    source = Source(image="j.jpg", bytes=9, sha256="0" * 64, width=4, height=3)
    said = {"source": source, "outputs": (), "manifest": "result/m", "warnings": (), "timings": {}, "processing_seconds": 1.0}
    here.ledger.record(Publishing(job="j", attempt=attempt, **said))
    os.mkdir(os.path.join(here.outbox.attempt(attempt), b"result"))
    here.fs.failing["rename"] = (errno.EIO, attempt.encode())
    here.pending("next")
    here.runs.end_without_worker()
    here.runs.start_next()
    assert here.runs.results.kept == "the result of j cannot be shown: Input/output error"
    assert [command.job_id for command in here.workers.commands] == ["next"]
    here.fs.failing.clear()
    here.runs.end_without_worker()
    assert (here.jobs.ended["j"].state, here.jobs.ended["j"].attempts) == ("completed", 1)
