"""What an earlier daemon left behind is ended, and nothing else is ever signalled."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
from supervised import drive, end, members, wait_until

from daemon.contract.records import Process
from daemon.platform import process
from daemon.supervisor import reap
from tests.waiting import SLOWEST

SLEEP = [sys.executable, "-I", "-S", "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]


def recorded(pid: int, group: int) -> Process:
    """The journal's record of a worker and its group leader."""
    return Process(
        pid=pid, created=process.created(pid), boot_id=process.boot_id(), group=group, guardian_created=process.created(group)
    )


@pytest.fixture
def leftover():
    """A worker and its group leader as a killed daemon and a stopped guardian would leave them, and their record."""
    with subprocess.Popen(SLEEP, process_group=0) as leader, subprocess.Popen(SLEEP, process_group=leader.pid) as worker:
        record = recorded(worker.pid, leader.pid)
        yield record, leader, worker
        for child in (leader, worker):
            child.kill()


def test_a_leftover_worker_and_its_group_are_ended(leftover):
    record, leader, worker = leftover
    assert reap([record]) == [record]
    assert worker.wait(5 * SLOWEST) == leader.wait(5 * SLOWEST) == -signal.SIGKILL
    assert members(record.group) == []


def test_a_stopped_group_is_ended_too(leftover):
    record, _leader, worker = leftover
    os.killpg(record.group, signal.SIGSTOP)
    reap([record])
    assert worker.wait(5 * SLOWEST) == -signal.SIGKILL


def test_a_worker_whose_guardian_is_gone_is_ended(leftover):
    record, leader, worker = leftover
    leader.kill()
    leader.wait()
    assert reap([record]) == [record]
    assert worker.wait(5 * SLOWEST) == -signal.SIGKILL


def test_a_guardian_whose_worker_is_gone_is_ended(leftover):
    record, leader, worker = leftover
    worker.kill()
    worker.wait()
    assert reap([record]) == [record]
    assert leader.wait(5 * SLOWEST) == -signal.SIGKILL


def test_without_its_guardian_a_worker_of_a_killed_daemon_is_ended_by_the_next_one(tmp_path):
    """A worker stuck in C code, and one with fifty children that ignore SIGTERM."""
    daemon = drive(tmp_path, "hang_in_c", "fork_50_and_hang")
    records = [Process(**each) for each in json.loads(daemon.stdout.readline())]
    assert sorted(daemon.stdout.readline() for _ in range(2)) == [b"begun\n", b"forked\n"]
    daemon.send_signal(signal.SIGSTOP)  # it would end a worker that lost its guardian
    for record in records:
        os.kill(record.group, signal.SIGKILL)
    end(daemon, signal.SIGKILL)
    wait_until(lambda: [len(members(record.group)) for record in records] == [1, 51], 5)
    assert reap(records) == records
    wait_until(lambda: not any(members(record.group) for record in records), 5)


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": "another boot"},
        {"created": 1.0, "guardian_created": 2.0},
    ],
)
def test_a_process_that_only_has_the_same_number_is_left_alone(leftover, change):
    record, leader, worker = leftover
    assert reap([dataclasses.replace(record, **change)]) == []
    assert worker.poll() is None
    assert leader.poll() is None


def test_a_group_the_worker_is_not_in_is_left_alone(leftover):
    record, leader, worker = leftover
    with subprocess.Popen(SLEEP, process_group=0) as stranger:
        reap([dataclasses.replace(record, group=stranger.pid, guardian_created=1.0)])
        assert stranger.poll() is None
        stranger.kill()
    assert worker.wait(5 * SLOWEST) == -signal.SIGKILL
    assert leader.poll() is None


def test_records_of_workers_long_gone_are_nothing(leftover):
    record, leader, worker = leftover
    for child in (leader, worker):
        child.kill()
        child.wait()
    assert reap([record, record]) == []


def test_a_zombie_counts_as_gone():
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: process.created(child.pid) is None, 5)
        assert not process.is_same(child.pid, 0.0)


@pytest.mark.parametrize("group", [-1, 0, 1])
def test_the_groups_of_the_system_are_never_signalled(group):
    with pytest.raises(ValueError, match="refusing"):
        process.kill_group(group, 0)


def test_our_own_group_and_process_are_never_signalled():
    with pytest.raises(ValueError, match="refusing"):
        process.kill_group(os.getpgrp(), 0)
    for pid in (-1, 0, 1, os.getpid()):
        with pytest.raises(ValueError, match="refusing"):
            process.signal_process(pid, 0)


def test_a_record_that_names_our_own_group_is_refused():
    me = dataclasses.replace(recorded(os.getpid(), os.getpgrp()), guardian_created=0.0)
    with pytest.raises(ValueError, match="refusing"):
        reap([me])
