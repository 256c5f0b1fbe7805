"""A sandboxed worker cannot outlive the daemon, because it cannot leave the group that its guardian kills."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from daemon.platform.sandbox.linux import missing
from tests.waiting import SLOWEST

import results  # noqa: F401  isort: skip - finds the modules below
from supervised import members  # isort: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox of macOS is sandbox-exec's")

#: In the sandbox as a worker is, it leaves its group where it can, tells whether it could, and stays.
RUNAWAY = """
import json, os, sys, time
from pipeline.worker.sandbox import enter, has_seccomp
assert has_seccomp()
enter(["/"], [], os.open(sys.argv[1], os.O_RDONLY))
for leave in (os.setsid, lambda: os.setpgid(0, 0)):
    try:
        leave()
    except PermissionError:
        pass
print(os.getpid(), flush=True)
time.sleep(600)
"""
#: A daemon of which only the end matters: guardian first, then the worker into its group.
DAEMON = """
import os, sys, time
from daemon.supervisor.process import WorkerProcess
from daemon.supervisor.starting.launch import Surroundings, as_program
from daemon.supervisor.supervisor import guardian_argv
folder = os.open(sys.argv[1], os.O_RDONLY)
at = Surroundings(dict(os.environ), {}, folder, folder)
worker = WorkerProcess(as_program([sys.executable, "-c", sys.argv[2], sys.argv[1]], None, at), guardian_argv())
os.set_blocking(worker.output, True)
print(worker.group, os.read(worker.output, 100).decode(), flush=True)
time.sleep(600)
"""


def test_a_worker_cannot_outlive_the_daemon_by_leaving_its_group(tmp_path):
    if "starting, limiting and watching processes" in missing():
        pytest.skip("this kernel filters no system calls")

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", DAEMON, tmp_path, RUNAWAY], stdout=subprocess.PIPE, env=environment) as daemon:
        group, worker = (int(number) for number in daemon.stdout.readline().split())
        born = psutil.Process(worker).create_time()
        daemon.kill()
        daemon.wait()
    limit = time.monotonic() + 20 * SLOWEST
    while _lives(worker, born) and time.monotonic() < limit:
        time.sleep(0.02)
    outlived = _lives(worker, born)
    if outlived:
        os.kill(worker, signal.SIGKILL)
    assert not outlived
    assert members(group) == []


def _lives(pid: int, born: float) -> bool:
    try:
        found = psutil.Process(pid)
        return found.create_time() == born and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
