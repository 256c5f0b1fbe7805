"""What a worker is told of the machine."""

import os

from job_records import accepted, entries

from daemon.contract.records import Claimed
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.outbox import Outbox
from daemon.platform import memory
from daemon.running.job_command import command
from daemon.settings import load


def test_a_worker_is_told_how_much_memory_the_daemon_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda: 1 << 28)
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": ""})
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    jobs = Jobs()
    for entry in entries(accepted("a"), Claimed(job="a")):
        jobs.apply(entry)
    given = command(jobs.live["a"], outbox, settings, attempt="1", seen=(1, 1), warm="light")
    assert given.memory == 1 << 28
