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

from daemon.contract.messages import JobCommand
from daemon.contract.records import Process
from daemon.fs import LocalFiles
from daemon.platform.sandbox import SandboxPolicy
from daemon.supervisor import Outcome, Supervisor, SupervisorRules
from tests.waiting import SLOWEST

#: No test waits for one of these limits: who heeds a request or ends by itself has all the time that it takes on a slow machine.
QUICK = {"grace_seconds": 300.0, "shutdown_grace_seconds": 300.0, "sample_seconds": 0.1, "start_seconds": 300.0, "threads": 1}
#: For workers that nothing but SIGKILL ends, so that a test does not wait for the grace.
DEAF = {"grace_seconds": 0.2, "shutdown_grace_seconds": 0.2}


class SupervisedWorkers:
    """Runs jobs to their end in a folder, and records what was reported."""

    def __init__(
        self, folder: Path, argv: tuple[str, ...] | None, *, policy: SandboxPolicy | None = None, **rules: object
    ) -> None:
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
        )
        self.supervisor.subscribe(self)

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
        assert self.supervisor.idle()
        assert self.supervisor.next_deadline() is None
        assert not self.selector.get_map(), "descriptors are still registered"
        for pid in self.pids:
            assert members(pid.group) == []
            assert not psutil.pid_exists(pid.pid), "the worker was not reaped"
            assert not psutil.pid_exists(pid.group), "the guardian was not reaped"
        return outcome


def acting(behaviour: str) -> tuple[str, ...]:
    """The command of the misbehaving worker."""
    return (sys.executable, "-I", "-S", ACTOR, behaviour)


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
        [sys.executable, driver_file, str(folder), *behaviours],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert daemon.stdout.readline() == b"starting\n"
    return daemon


def end(daemon: subprocess.Popen, number: int) -> None:
    daemon.send_signal(number)
    daemon.wait()
    daemon.stdout.close()


def deaf(pid: int) -> bool:
    """Does the process, a guardian, ignore SIGTERM already? See proc_pid_status(5); elsewhere: has it slept for a moment."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            ignored = next(line for line in file if line.startswith("SigIgn"))
        return bool(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    except FileNotFoundError:
        return psutil.Process(pid).cpu_times().user > 0 and psutil.Process(pid).status() == psutil.STATUS_SLEEPING
