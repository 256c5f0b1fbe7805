"""A picture whose end is missing returns to the inbox, and its job waits for the rest under the same id."""

import errno
import json
import os
import time
from dataclasses import replace

import pytest
from service_scene import Scene

from daemon import clock
from daemon.contract.records import AttemptEnded, CancelRequested, Claimed, Returned, Returning
from daemon.errors import ImageType, ImageUnreadable
from daemon.intake.model import Entry, Ready
from daemon.supervisor import Failed

CUT_OFF = ImageUnreadable("a.jpg is cut off: its end is missing.", detail="truncated: 9 bytes").info()


@pytest.fixture
def scene(tmp_path):
    """A home whose only job, just accepted, is running."""
    made = Scene(tmp_path)
    made.now_as_text = clock.now
    made.told = []
    made.folder.picture_returned = lambda job, _now: made.told.append(job)
    made.processing("a")
    return made


def fail(scene, error=CUT_OFF) -> None:
    scene.runs.on_end("a", Failed(error, False, 0.1))
    scene.runs.end_without_worker()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def entry(scene, name: str) -> Entry:
    found = os.stat(scene.inbox / name)
    return Entry(name.encode(), "file", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def take(scene) -> None:
    """Take the pair in the inbox, as intake would."""
    ready = Ready(b"", entry(scene, "a.jpg"), entry(scene, "a.jpg.yaml"), None, (), None, (), 0.0)
    assert scene.claims.claim([ready]).done == (ready,)


def source(scene):
    return scene.root / "a" / "source"


def test_the_pair_goes_back_and_the_job_waits_under_its_id(scene):
    fail(scene)
    job = scene.jobs.live["a"]
    assert (names(scene.inbox), names(source(scene))) == (["a.jpg", "a.jpg.yaml"], [])
    assert (job.state, job.place, job.attempts) == ("pending", "inbox", 0)
    assert [one.job_id for one in scene.told] == ["a"]
    assert scene.jobs.pending == 0
    assert os.stat(scene.inbox / "a.jpg").st_nlink == 1
    scene.refresh()
    status = json.loads(scene.status("a"))
    assert status["error"]["code"] == "image_unreadable"
    assert status["error"]["hint"].startswith("It waits in the inbox for the rest until")


def test_the_whole_picture_is_taken_by_the_same_job(scene):
    fail(scene)
    with open(scene.inbox / "a.jpg", "ab") as file:
        file.write(b" and the end")
    (scene.inbox / "a.jpg.yaml").write_text("num_layers: 7\n")
    take(scene)
    job = scene.jobs.live["a"]
    assert list(scene.jobs.live) == ["a"]
    assert (job.claimed, job.place, job.spec.num_layers, job.image.size) == (True, "source", 7, 21)
    assert (names(scene.inbox), names(source(scene))) == ([], ["a.jpg", "a.jpg.yaml"])
    scene.runs.start_next()
    assert scene.jobs.live["a"].state == "processing"


def test_one_to_which_nothing_was_added_fails_with_a_true_sentence(scene):
    fail(scene)
    take(scene)
    scene.wall_clock = lambda: time.time() + 601
    scene.runs.start_next()
    fail(scene)
    error = scene.jobs.ended["a"].ended.error
    assert error.message == (
        "a.jpg is cut off: its end is missing. It waited in the inbox for the rest, but nothing came within 10 minutes."
    )
    assert names(source(scene)) == ["a.jpg", "a.jpg.yaml"]


def test_one_that_grew_and_is_still_cut_off_goes_back_again(scene):
    for _ in range(3):
        fail(scene)
        assert scene.jobs.live["a"].place == "inbox"
        with open(scene.inbox / "a.jpg", "ab") as file:
            file.write(b" more")
        take(scene)
        scene.runs.start_next()


def test_a_name_that_is_taken_again_is_never_replaced_and_both_are_named_on_the_job(scene):
    (scene.inbox / "a.jpg").write_bytes(b"the second part")
    for _ in range(9):
        scene.wall_clock = lambda: scene.jobs.live["a"].retry_at + 61
        fail(scene)
        if "a" in scene.jobs.ended:
            break
        scene.runs.start_next()
    assert "Another a.jpg has arrived since (15 bytes, this one in source has 9)" in scene.jobs.ended["a"].ended.error.message
    assert (scene.inbox / "a.jpg").read_bytes() == b"the second part"
    assert (source(scene) / "a.jpg").read_bytes() == b"a picture"


def test_a_name_that_is_taken_at_the_last_moment_keeps_the_picture_in_source(scene):
    scene.runs.on_end("a", Failed(CUT_OFF, False, 0.1))
    assert scene.jobs.live["a"].place == "returning"
    (scene.inbox / "a.jpg").write_bytes(b"the second part")
    scene.runs.end_without_worker()
    assert (scene.jobs.live["a"].place, scene.jobs.live["a"].attempts) == ("source", 0)
    assert (names(scene.inbox), names(source(scene))) == (["a.jpg"], ["a.jpg", "a.jpg.yaml"])
    assert (scene.inbox / "a.jpg").read_bytes() == b"the second part"


def test_a_disk_that_has_no_second_names_keeps_the_picture_in_source(scene):
    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    scene.fs.link = link
    fail(scene)
    assert scene.jobs.live["a"].place == "source"
    assert names(source(scene)) == ["a.jpg", "a.jpg.yaml"]


def test_a_folder_that_was_exchanged_for_a_link_gets_nothing(scene, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (scene.inbox / "preset").symlink_to(elsewhere)
    job = scene.jobs.live["a"]
    scene.jobs.live["a"] = replace(job, accepted=replace(job.accepted, folder="preset"))
    fail(scene)
    assert scene.jobs.live["a"].place == "source"
    assert names(source(scene)) == ["a.jpg", "a.jpg.yaml"]
    assert names(elsewhere) == []


def test_a_passing_error_is_tried_again(scene):
    real, errors = scene.fs.link, [OSError(errno.EIO, "Input/output error")]

    def link(source, target):
        if errors and target.endswith(b".yaml"):
            raise errors.pop()
        real(source, target)

    scene.fs.link = link
    fail(scene)
    assert (scene.jobs.live["a"].place, "cannot be moved" in scene.runs.problem) == ("returning", True)
    scene.runs.end_without_worker()
    assert (scene.jobs.live["a"].place, scene.runs.problem) == ("inbox", None)
    assert (names(scene.inbox), names(source(scene))) == (["a.jpg", "a.jpg.yaml"], [])


@pytest.mark.parametrize("age", [3600, -3600], ids=["an hour old", "an hour ahead"])
def test_a_picture_that_is_not_young_stays_and_fails(scene, age):
    then = time.time() - age
    os.utime(source(scene) / "a.jpg", (then, then))
    fail(scene)
    assert scene.jobs.ended["a"].ended.error.message == CUT_OFF.message


@pytest.mark.parametrize("age", [3600, -3600], ids=["an hour old", "an hour ahead"])
def test_one_that_was_seen_to_be_written_goes_back_whatever_its_date_says(scene, age):
    """A share has a clock of its own, and ours may be set while a scanner works."""
    then = time.time() - age
    os.utime(source(scene) / "a.jpg", (then, then))
    job = scene.jobs.live["a"]
    scene.jobs.live["a"] = replace(job, accepted=replace(job.accepted, written=True))
    fail(scene)
    back = scene.jobs.live["a"].back
    assert scene.jobs.live["a"].place == "inbox", back
    assert 590 < back.until - time.time() <= 600


def test_it_goes_back_once_if_nothing_is_added(scene):
    then = time.time() - 3600
    os.utime(source(scene) / "a.jpg", (then, then))
    job = scene.jobs.live["a"]
    scene.jobs.live["a"] = replace(job, accepted=replace(job.accepted, written=True))
    fail(scene)
    pair = Ready(b"", entry(scene, "a.jpg"), entry(scene, "a.jpg.yaml"), None, (), None, (), 0.0, image_written=time.monotonic())
    assert scene.claims.claim([pair]).done == (pair,)
    assert scene.jobs.live["a"].accepted.written
    scene.wall_clock = lambda: time.time() + 601
    scene.runs.start_next()
    fail(scene)
    assert "nothing came within 10 minutes" in scene.jobs.ended["a"].ended.error.message


def test_what_is_no_cut_off_picture_stays(scene):
    fail(scene, ImageType("it is no picture").info())
    assert scene.jobs.ended["a"].state == "failed"


def test_a_cancelled_one_is_fetched_and_does_not_become_a_job_again(scene):
    fail(scene)
    scene.ledger.record(CancelRequested(job="a"))
    scene.runs.cancel(scene.jobs.live["a"])
    scene.runs.end_without_worker()
    scene.claims.finish(list(scene.jobs.unclaimed.values()), again=True)
    scene.runs.end_without_worker()
    assert scene.jobs.ended["a"].state == "cancelled"
    assert (names(scene.inbox), names(source(scene))) == ([], ["a.jpg", "a.jpg.yaml"])


def test_one_that_is_taken_out_of_the_inbox_ends_after_two_looks(scene):
    fail(scene)
    scene.runs.end_removed_returns()
    assert scene.jobs.live["a"].place == "inbox"
    (scene.inbox / "a.jpg").unlink()
    scene.runs.end_removed_returns()
    assert "a" in scene.jobs.live
    scene.runs.end_removed_returns()
    assert (scene.jobs.ended["a"].state, "removed from the inbox" in scene.jobs.ended["a"].ended.error.message) == (
        "cancelled", True,
    )  # fmt: skip


def test_a_snapshot_holds_a_job_that_waits_in_the_inbox(scene):
    fail(scene)
    before = scene.jobs.live["a"]
    scene.journal.rotate(list(scene.jobs.live.values()), [])
    assert scene.history.now().live["a"] == before


def test_records_follow_each_other_as_the_move_does(scene):
    fail(scene)
    kinds = [type(item.record) for item in scene.history.entries() if item.record.event not in ("segment", "accepted")]
    assert kinds[-2:] == [Returning, Returned]
    assert kinds[0] is Claimed
    assert AttemptEnded not in kinds
