"""The next job starts before the previous result is on the disk."""

import os

import pytest
from service_scene import Scene

from daemon.contract.messages import Result
from daemon.contract.status import Source
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
