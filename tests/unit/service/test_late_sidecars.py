"""A sidecar that came after its picture was taken is said on that job, once, whatever is started again in between."""

import time

import pytest
from intake_scene import Scene as Intake
from service_scene import Scene

from daemon.intake import Late
from daemon.service.hotfolder import HotFolder


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def folder_of(scene) -> HotFolder:
    """The hot folder of another start of the daemon."""
    nothing = lambda *_: None  # noqa: E731
    folder = HotFolder(scene.fs, scene.settings, scene.ledger, scene.claims, scene.batches, nothing, time.monotonic)
    folder.remember(0.0)
    return folder


def test_each_start_finds_the_same_late_sidecar_and_says_it_once(scene):
    scene.pending("a")
    late = Late(b"", Intake().put("a.yml"), b"a.jpg")
    for _ in range(3):
        folder_of(scene)._report([late])
    assert scene.jobs.live["a"].notes == (
        "a.yml came after a.jpg had been taken and was not used here: drop both again together.",
    )


def test_a_start_remembers_with_which_sidecar_a_picture_was_taken_and_when(scene):
    scene.pending("a")
    taken = folder_of(scene)._memory.folders[b""].recent["a.jpg"]
    assert (taken.name, taken.sidecar) == (b"a.jpg", b"a.jpg.yaml")
    assert taken.at < 0, "the job is older than this start"
