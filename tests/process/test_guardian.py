"""No orphans: when the daemon is killed, worker and grandchildren are gone within five seconds."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from supervised import members, wait_until
from workers.driver import __file__ as driver_file

from daemon.supervisor.supervisor import guardian_argv

ORPHAN_SECONDS = 5.0


def drive(folder, *arguments: str) -> tuple[subprocess.Popen, dict]:
    """A daemon in a process of its own, with one worker; waits until the worker is known."""
    daemon = subprocess.Popen(
        [sys.executable, driver_file, str(folder), *arguments],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    return daemon, json.loads(daemon.stdout.readline())


def end(daemon: subprocess.Popen, number: int) -> None:
    daemon.send_signal(number)
    daemon.wait()
    daemon.stdout.close()


@pytest.mark.parametrize(
    ("behaviour", "number"), [("ignore_sigterm", signal.SIGKILL), ("hang_in_c", signal.SIGKILL), ("hang", signal.SIGABRT)]
)
def test_nothing_outlives_the_daemon(tmp_path, behaviour, number):
    daemon, pid = drive(tmp_path, behaviour)
    assert daemon.stdout.readline() == b"begun\n"
    assert set(members(pid["group"])) == {pid["group"], pid["pid"]}
    end(daemon, number)
    wait_until(lambda: members(pid["group"]) == [], ORPHAN_SECONDS)


def test_fifty_deaf_grandchildren_do_not_outlive_the_daemon(tmp_path):
    daemon, pid = drive(tmp_path, "fork_50_and_hang")
    assert daemon.stdout.readline() == b"forked\n"
    assert len(members(pid["group"])) == 52
    end(daemon, signal.SIGKILL)
    wait_until(lambda: members(pid["group"]) == [], ORPHAN_SECONDS)


@pytest.mark.parametrize("milliseconds", [0, 4, 8, 16, 40])
def test_there_is_no_moment_in_which_a_start_leaves_an_orphan(tmp_path, milliseconds):
    daemon = subprocess.Popen(
        [sys.executable, driver_file, str(tmp_path), "ignore_sigterm", "announced"],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert daemon.stdout.readline() == b"starting\n"
    time.sleep(milliseconds / 1000)
    end(daemon, signal.SIGKILL)
    wait_until(lambda: not working_in(tmp_path), ORPHAN_SECONDS)


def working_in(folder) -> list[psutil.Process]:
    """The worker processes of an attempt under this folder, told by their working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_spare_does_not_outlive_the_daemon(tmp_path):
    daemon, pid = drive(tmp_path, "hang", "spare")
    assert len(members(pid["group"])) == 2
    end(daemon, signal.SIGKILL)
    wait_until(lambda: members(pid["group"]) == [], ORPHAN_SECONDS)


def guardian(**options) -> tuple[subprocess.Popen, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        return subprocess.Popen(guardian_argv(), stdin=theirs, process_group=0, **options), ours


def test_a_guardian_whose_daemon_dies_at_once_kills_whoever_joins_its_group():
    watch, ours = guardian()
    ours.close()
    try:
        child = subprocess.Popen(["sleep", "600"], process_group=watch.pid)
    except PermissionError:
        # It was gone before anybody could join: no orphan either.
        assert watch.wait(ORPHAN_SECONDS) == -signal.SIGKILL
        return
    assert child.wait(ORPHAN_SECONDS) == -signal.SIGKILL
    assert watch.wait(ORPHAN_SECONDS) == -signal.SIGKILL


def test_signals_to_the_group_do_not_end_the_guardian():
    watch, ours = guardian()
    with ours:
        # Only when it sleeps in its read has it set its signals.
        wait_until(lambda: deaf(watch.pid), 5)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.killpg(watch.pid, number)
        with pytest.raises(subprocess.TimeoutExpired):
            watch.wait(0.2)
    assert watch.wait(ORPHAN_SECONDS) == -signal.SIGKILL


def deaf(pid: int) -> bool:
    """Does the process ignore SIGTERM already? See proc_pid_status(5); elsewhere: has it slept for a moment."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            ignored = next(line for line in file if line.startswith("SigIgn"))
        return bool(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    except FileNotFoundError:
        return psutil.Process(pid).cpu_times().user > 0 and psutil.Process(pid).status() == psutil.STATUS_SLEEPING


def test_a_guardian_that_leads_no_group_kills_nothing():
    with subprocess.Popen(["sleep", "600"], process_group=0) as bystander:
        ended = subprocess.run(guardian_argv(), stdin=subprocess.DEVNULL, process_group=bystander.pid, check=False)
        assert ended.returncode == 2
        assert bystander.poll() is None
        bystander.kill()


def test_a_guardian_loads_none_of_our_packages():
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='loaded'); print(sorted(sys.modules))"
    answer = subprocess.run([*guardian_argv()[:3], "-c", code, guardian_argv()[-1]], capture_output=True, text=True, check=True)
    loaded = answer.stdout
    assert "'signal'" in loaded
    for name in ("pipeline", "daemon", "psutil", "numpy", "pydantic", "site"):
        assert f"'{name}'" not in loaded
