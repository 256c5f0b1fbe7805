"""Pictures in source/ that still change: which changes show that writers pause for longer than expected."""

import os

import pytest
from service_scene import Scene

from daemon.errors import ImageUnreadable, SourceChanged
from daemon.supervisor import Failed

DAMAGED = ImageUnreadable("it cannot be read").info()
CHANGED = SourceChanged("it changed").info()


@pytest.fixture
def scene(tmp_path):
    """A home with a running job, and how often growth of its picture was reported."""
    made = Scene(tmp_path)
    made.told = []
    made.now = 1000.0
    made.runs.settling.grew = made.told.append
    made.clock = lambda: made.now
    made.processing("a")
    return made


def fail(scene, error) -> None:
    scene.runs.on_end("a", Failed(error, False, 0.1))


def rest_and_start(scene) -> None:
    """Let the picture settle, and start the job again."""
    scene.wall_clock = lambda: scene.jobs.live["a"].retry_at + 1
    scene.now += scene.jobs.live["a"].pause
    for _ in range(4):
        scene.now += 10
        scene.runs.start_next()
    assert scene.jobs.live["a"].state == "processing"


def picture(scene) -> str:
    return os.path.join(scene.root, "a", "source", "a.jpg")


def test_a_damaged_picture_that_stays_as_it_is_slows_its_folder_by_nothing(scene):
    for _ in range(4):
        fail(scene, DAMAGED)
        rest_and_start(scene)
    assert scene.told == []


def test_a_picture_that_only_changed_without_growing_slows_its_folder_by_nothing(scene):
    with open(picture(scene), "r+b") as file:
        file.write(b"other")
    fail(scene, CHANGED)
    rest_and_start(scene)
    assert scene.told == []


def test_each_growth_is_told_once(scene):
    for grown in (1, 2):
        with open(picture(scene), "ab") as file:
            file.write(b"more")
        fail(scene, CHANGED)
        assert [job.job_id for job in scene.told] == ["a"] * grown
        rest_and_start(scene)
        assert len(scene.told) == grown


def test_growth_while_it_rests_is_told(scene):
    fail(scene, DAMAGED)
    with open(picture(scene), "ab") as file:
        file.write(b"more")
    rest_and_start(scene)
    assert [job.job_id for job in scene.told] == ["a"]
