"""A sidecar that arrives after its picture was taken is reported once on that job, even across restarts."""

import time

import pytest
from intake_scene import Scene as Intake
from service_scene import Scene

from daemon.intake import Late
from daemon.journal import UnreplayableError
from daemon.service.hotfolder import HotFolder


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def folder_of(scene) -> HotFolder:
    """The hot folder of another start of the daemon."""
    nothing = lambda *_: None  # noqa: E731
    folder = HotFolder(
        scene.fs, scene.settings, scene.ledger, scene.claims, scene.batches, scene.parts.earlier, nothing, time.monotonic
    )
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


def test_what_came_too_late_and_cannot_be_recorded_stops_nothing(scene, monkeypatch):
    """No such name is known; if one exists, it must not end the daemon."""
    scene.pending("a", "b")
    append = scene.journal.append

    def refuse_the_first(records):
        if "a.yml" in records[0].warning:
            raise UnreplayableError("a record of 'noted' could not be read back")
        return append(records)

    monkeypatch.setattr(scene.journal, "append", refuse_the_first)
    folder_of(scene)._report([Late(b"", Intake().put(f"{name}.yml"), f"{name}.jpg".encode()) for name in "ab"])
    assert scene.jobs.live["a"].notes == ()
    assert len(scene.jobs.live["b"].notes) == 1


def test_a_start_remembers_with_which_sidecar_a_picture_was_taken_and_when(scene):
    scene.pending("a")
    taken = folder_of(scene)._memory.folders[b""].recent["a.jpg"]
    assert (taken.name, taken.sidecar) == (b"a.jpg", b"a.jpg.yaml")
    assert taken.at < 0, "the job is older than this start"
