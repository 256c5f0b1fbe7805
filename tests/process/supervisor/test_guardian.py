"""No orphans: when the daemon is killed, its workers and their children are gone within five seconds."""

import json
import os
import signal
import socket
import subprocess
import time

import psutil
import pytest
from supervised import drive, end, ignores_sigterm, members, wait_until

from daemon.supervisor.supervisor import guardian_argv
from tests.waiting import SLOWEST

ORPHAN_SECONDS = 5.0


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_nothing_outlives_the_daemon(tmp_path, number):
    """Workers that ignore SIGTERM, that are stuck in C code, that have children which ignore SIGTERM, and a warm worker."""
    daemon = drive(tmp_path, "ignore_sigterm", "hang_in_c", "fork_50_and_hang", "spare")
    pids = json.loads(daemon.stdout.readline())
    assert sorted(daemon.stdout.readline() for _ in range(3)) == [b"begun\n", b"begun\n", b"forked\n"]
    assert [len(members(pid["group"])) for pid in pids] == [2, 2, 52, 2]
    end(daemon, number)
    wait_until(lambda: not any(members(pid["group"]) for pid in pids), ORPHAN_SECONDS)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("milliseconds", [0, 5, 15, 40])
def test_there_is_no_moment_in_which_a_start_leaves_an_orphan(tmp_path, milliseconds):
    daemon = drive(tmp_path, "ignore_sigterm")
    time.sleep(milliseconds / 1000)
    end(daemon, signal.SIGKILL)
    wait_until(lambda: not working_in(tmp_path), ORPHAN_SECONDS)


def working_in(folder) -> list[psutil.Process]:
    """The worker processes of an attempt below this folder, found by their working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)):
                found.append(process)
        except psutil.Error:
            continue
    return found


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
        assert watch.wait(ORPHAN_SECONDS * SLOWEST) == -signal.SIGKILL
        return
    assert child.wait(ORPHAN_SECONDS * SLOWEST) == -signal.SIGKILL
    assert watch.wait(ORPHAN_SECONDS * SLOWEST) == -signal.SIGKILL


def test_signals_to_the_group_do_not_end_the_guardian():
    watch, ours = guardian()
    with ours:
        # Only when it sleeps in its read has it set its signals.
        wait_until(lambda: ignores_sigterm(watch.pid), 5)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.killpg(watch.pid, number)
        with pytest.raises(subprocess.TimeoutExpired):
            watch.wait(0.2)
    assert watch.wait(ORPHAN_SECONDS * SLOWEST) == -signal.SIGKILL


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
