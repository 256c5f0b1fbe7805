"""A Supervisor with an event loop, for tests with real worker processes."""

import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from workers.driver import ACTOR, command
from workers.driver import __file__ as driver_file

from daemon.contract.messages import JobCommand, Warm
from daemon.contract.records import Process
from daemon.fs import LocalFiles
from daemon.platform.sandbox import SandboxPolicy
from daemon.platform.template import linux
from daemon.supervisor import Outcome, Supervisor, SupervisorRules
from daemon.supervisor.starting.templates import KINDS
from tests.waiting import SLOWEST

#: No test waits for one of these limits: who heeds a request or ends by itself has all the time that it takes on a slow machine.
QUICK = {"grace_seconds": 300.0, "shutdown_grace_seconds": 300.0, "sample_seconds": 0.1, "start_seconds": 300.0, "threads": 1}
#: For workers that nothing but SIGKILL ends, so that a test does not wait for the grace.
SHORT_GRACE = {"grace_seconds": 0.2, "shutdown_grace_seconds": 0.2}

# On a machine that stands still for a while, a template must not lose its test's workers.
linux._ANSWER_SECONDS = 60.0 * SLOWEST

#: Whether templates fork the workers of a test that does not say so itself; see `both_ways` in conftest.py.
FORKED = False
#: All that a test has made.
MADE: "list[SupervisedWorkers]" = []
#: What was warned of in the test: why a template is of no use, for example.
WARNED: list[str] = []


class SupervisedWorkers:
    """Runs jobs to their end in a folder, and records what was reported."""

    def __init__(
        self,
        folder: Path,
        argv: tuple[str, ...] | None,
        *,
        policy: SandboxPolicy | None = None,
        forked: bool | None = None,
        **rules: object,
    ) -> None:
        """`forked`: whether a template forks the workers; otherwise they are started as programs."""
        forked = FORKED if forked is None else forked
        self.folder = folder
        #: How far the supervisor's clock is ahead of the machine's, in seconds.
        self.jumped = 0.0
        self.log = folder / "job.log"
        self.progress: list[tuple[str, str, float]] = []
        self.ends: list[tuple[str, Outcome]] = []
        self.pids: list[Process] = []
        self.selector = selectors.DefaultSelector()
        self.supervisor = Supervisor(
            self.selector,
            LocalFiles(),
            SupervisorRules(**QUICK | rules),
            argv=argv or (),
            policy=policy,
            clock=lambda: time.monotonic() + self.jumped,
            forks=forked,
        )
        self.supervisor.subscribe(self)
        self.forked = forked
        MADE.append(self)
        if forked:
            self.load_template()

    def load_template(self, warm: Warm = "light") -> int:
        """Load a template and wait until it is ready; returns its pid."""
        assert self.supervisor.templates.start(warm)
        self.loop(lambda: self.supervisor.templates.is_ready(warm))
        return self.supervisor.templates.pids()[warm]

    def drop_templates(self) -> None:
        """End the templates; wait until they are gone."""
        self.supervisor.templates.drop_all()
        self.loop(self.supervisor.templates.are_gone)

    def on_progress(self, *report) -> None:
        self.progress.append(report)

    def on_end(self, job_id: str, outcome: Outcome) -> None:
        self.ends.append((job_id, outcome))

    def start(self, job_id: str = "job", *, timeout: float = 300.0, job: JobCommand | None = None) -> Process:
        log = os.fsencode(self.log)
        pid = self.supervisor.start(job or command(str(self.folder), job_id), log=log, timeout_seconds=timeout)
        self.pids.append(pid)
        return pid

    def loop(self, until, seconds: float = 30.0) -> None:
        """Run the loop until the condition holds, sleeping until something is due, as the service does.

        Fails after so many seconds of a quiet machine.
        """
        limit = time.monotonic() + seconds * SLOWEST
        while not until():
            assert time.monotonic() < limit, "it did not happen in time"
            due = self.supervisor.next_deadline()
            wait = (limit if due is None else min(due - self.jumped, limit)) - time.monotonic()
            for key, mask in self.selector.select(max(0.0, wait)):
                key.data(mask)
            self.supervisor.tick()

    def passes(self, seconds: float) -> None:
        """Let time pass for the supervisor, in steps small enough that it does not take them for a standstill."""
        while seconds > 0:
            self.jumped += 1.0
            seconds -= 1.0
            self.supervisor.tick()

    def end(self) -> Outcome:
        """Run the loop until the job has ended; check that nothing of it is left."""
        self.loop(lambda: self.ends)
        ((_job, outcome),) = self.ends
        if self.forked:
            assert sum(map(self.supervisor.templates.forks, KINDS)) > 0, f"no worker was forked: {WARNED}"
            self.drop_templates()
        assert self.supervisor.idle()
        assert self.supervisor.next_deadline() is None
        assert not self.selector.get_map(), "descriptors are still registered"
        for pid in self.pids:
            assert members(pid.group) == []
            assert not psutil.pid_exists(pid.pid), "the worker was not reaped"
            assert not psutil.pid_exists(pid.group), "the guardian was not reaped"
        return outcome


def acting(behaviour: str, *, forked: bool | None = None) -> tuple[str, ...]:
    """The command of the misbehaving worker. Only a template needs our packages."""
    return (sys.executable, *(("-P",) if (FORKED if forked is None else forked) else ("-I", "-S")), ACTOR, behaviour)


def members(group: int) -> list[int]:
    """The processes of a group that are not zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def wait_until(condition, seconds: float) -> None:
    """Poll for a condition; fail after that many seconds on an idle machine."""
    limit = time.monotonic() + seconds * SLOWEST
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def drive(folder, *behaviours: str) -> subprocess.Popen:
    """Start a daemon in a process of its own that starts a worker for each behaviour."""
    daemon = subprocess.Popen(
        [sys.executable, driver_file, str(folder), "forked" if FORKED else "started", *behaviours],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert daemon.stdout.readline() == b"starting\n"
    return daemon


def end(daemon: subprocess.Popen, number: int) -> None:
    daemon.send_signal(number)
    daemon.wait()
    daemon.stdout.close()


def ignores_sigterm(pid: int) -> bool:
    """Does the process, a guardian, ignore SIGTERM already? See proc_pid_status(5); elsewhere: has it slept for a moment."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            ignored = next(line for line in file if line.startswith("SigIgn"))
        return bool(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    except FileNotFoundError:
        return psutil.Process(pid).cpu_times().user > 0 and psutil.Process(pid).status() == psutil.STATUS_SLEEPING
