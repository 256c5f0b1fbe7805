"""The next job starts before the previous result is on the disk."""

import errno
import os
from datetime import datetime

import pytest
from service_scene import NOW, Scene

from daemon.contract.messages import Result
from daemon.contract.status import Source
from daemon.jobs.fault import MAX_EXCUSES
from daemon.supervisor import Completed


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "home")


def made() -> Completed:
    """A worker's report; no files exist."""
    source = Source(image="first.jpg", bytes=9, sha256="0" * 64, width=4, height=3)
    result = Result(source=source, outputs=(), manifest="result/layer_manifest.json", warnings=(), timings={})
    return Completed(result, 1.0, 1000)


def test_the_next_job_begins_before_the_last_ones_result_is_looked_at(scene):
    scene.pending("first", "second", "third")
    scene.runs.start_next()
    scene.runs.on_end("first", made())
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["first", "second"]
    assert scene.jobs.live["first"].state == "processing", "nothing is said of it yet"
    assert scene.runs.check_and_publish(), "the loop goes round once more for it"
    assert not scene.runs.check_and_publish()
    assert scene.jobs.live["first"].last_error.code == "worker_crashed", "the worker's word is not enough"
    assert not os.path.exists(scene.root / "first" / "result")


def test_no_more_jobs_begin_than_may_run_at_once(scene):
    scene.pending("first", "second", "third")
    for _ in range(3):
        scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["first"]
    scene.runs.on_end("first", made())
    for _ in range(3):
        scene.runs.start_next()
    scene.runs.check_and_publish()
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["first", "second"]


def test_a_job_that_cannot_be_sent_lets_others_go_first_and_is_charged_in_the_end(scene):
    scene.runs.executor.is_here = False  # jobs run on other machines
    scene.pending("first", "second", "third")
    start, now = scene.workers.start, [datetime.fromisoformat(NOW).timestamp()]
    scene.clock = scene.wall_clock = lambda: now[0]

    def refuse_the_first(command, **more):
        if command.job_id == "first":
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return start(command, **more)

    scene.workers.start = refuse_the_first
    scene.runs.start_next()
    first = scene.jobs.live["first"]
    assert (first.state, first.attempts, scene.workers.commands) == ("pending", 0, [])
    assert first.last_error.message == "The job cannot be sent to a machine: Not a directory."
    scene.runs.start_next()
    assert [command.job_id for command in scene.workers.commands] == ["second"], "it pauses"
    scene.runs.on_end("second", made())
    scene.runs.check_and_publish()
    tried = 1
    while scene.jobs.live["first"].attempts == 0:
        now[0] = max(scene.jobs.live["first"].retry_at, now[0]) + 0.1
        scene.runs.start_next()
        for job_id in scene.jobs.processing:
            scene.runs.on_end(job_id, made())
        scene.runs.check_and_publish()
        tried += 1
        assert tried < 100
    assert tried == MAX_EXCUSES + 1
