"""The ledger passes every record to its subscribers, so every accepted job has its status within moments."""

import errno
import json

import pytest
from service_scene import Scene

from daemon.contract.records import Accepted, CancelRequested, Ended, Noted
from daemon.journal.ledger import Ledger


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_every_job_has_its_status_as_soon_as_it_is_claimed(scene):
    ids = [f"job{number}" for number in range(150)]
    scene.pending(*ids)
    said = [json.loads(scene.status(job_id)) for job_id in ids]
    assert [(status["state"], status["queue_position"]) for status in said] == [("pending", n) for n in range(1, 151)]


def test_no_status_is_written_before_the_picture_is_in_its_folder(scene):
    (picture,) = scene.pending("a")
    scene.ledger.record(Accepted(job="b", files=picture.accepted.files, spec=picture.spec))
    assert not (scene.root / "b").exists()


def test_whatever_is_recorded_of_a_job_is_in_its_status_without_another_call(scene):
    scene.pending("a")
    scene.ledger.record(Noted(job="a", warning="a word"))
    scene.refresh()
    assert json.loads(scene.status("a"))["warnings"] == ["a word"]
    scene.ledger.record(Ended(job="a", state="cancelled"))
    assert json.loads(scene.status("a"))["state"] == "cancelled"


def test_a_status_that_cannot_be_written_at_once_is_written_later(scene):
    scene.fs.fill("rename", b"status.json")
    scene.pending("a")
    assert not (scene.root / "a" / "status.json").exists()
    scene.fs.failing.clear()
    scene.refresh()
    assert json.loads(scene.status("a"))["state"] == "pending"


def test_progress_alone_is_told_without_any_record(scene):
    scene.processing("a")
    scene.refresh()
    assert json.loads(scene.status("a"))["progress"] is None
    quiet = scene.views.next_write()
    for fraction in (0.23, 0.57):
        scene.runs.on_progress("a", "fill", fraction)
        assert scene.views.next_write() < quiet, "sooner than when nothing moves"
        scene.refresh()
        assert json.loads(scene.status("a"))["progress"]["fraction"] == fraction
        quiet = scene.views.next_write()
    before = (scene.root / "a" / "status.json").stat()
    scene.refresh()
    assert (scene.root / "a" / "status.json").stat() == before, "what did not move is not written again"


def test_subscribers_hear_each_record_in_their_order_after_it_took_effect(scene):
    scene.pending("a")
    ledger, heard = Ledger(scene.journal, scene.jobs), []
    ledger.subscribe(
        lambda record: heard.append(("first", record.event, scene.jobs.live["a"].cancel_requested)),
        lambda record: heard.append(("second", record.event, len(scene.jobs.live["a"].notes))),
    )
    ledger.record(Noted(job="a", warning="a word"), CancelRequested(job="a"))
    assert heard == [
        ("first", "noted", False),
        ("second", "noted", 1),
        ("first", "cancel_requested", True),
        ("second", "cancel_requested", 1),
    ]


def test_a_disk_that_fails_one_subscriber_stops_neither_the_recording_nor_the_others(scene):
    scene.pending("a")
    ledger, heard = Ledger(scene.journal, scene.jobs), []

    def failing(_record):
        raise OSError(errno.EIO, "Input/output error")

    ledger.subscribe(failing, lambda record: heard.append(record.event))
    ledger.record(Noted(job="a", warning="one"), Noted(job="a", warning="two"))
    assert heard == ["noted", "noted"]
    assert scene.jobs.live["a"].notes == ("one", "two")


def test_subscribers_are_named_once_so_that_none_takes_the_place_of_another(scene):
    with pytest.raises(AssertionError, match="already"):
        scene.ledger.subscribe(lambda _record: None)
