"""Finder tags: their bytes; a person's own tags stay; they follow the job's state."""

import contextlib
import errno
import os
import plistlib
import shutil
import subprocess
from dataclasses import replace

import pytest
from loguru import logger

from daemon.contract.records import Claimed, Ended, Removed, Requeued, Started
from daemon.contract.status import State
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.notify.user_notifications import UserNotifications
from daemon.outbox import Outbox
from daemon.platform.finder import get_attribute, holds_tags, set_attribute
from daemon.platform.finder.tags import FINDER_INFO, STATE_TAGS, TAGS, show_state, with_colour, with_state
from daemon.platform.mounts import Mount
from daemon.settings import load
from tests.unit.job_records import accepted, entries, publishing

#: What Finder itself writes for a folder with the tag "Red": a list of one string, in Apple's own binary form.
FINDERS_RED = bytes.fromhex(
    "62706c6973743030a101555265640a36080a0000000000000101000000000000000200000000000000000000000000000010"
)


def tags_of(path: bytes) -> list[str]:
    value = get_attribute(path, TAGS)
    return plistlib.loads(value) if value else []


def colour_of(info: bytes) -> int:
    return (int.from_bytes(info[8:10], "big") & 0x000E) >> 1


@pytest.fixture
def folder(tmp_path) -> bytes:
    """A folder on a disk that supports extended attributes."""
    path = os.fsencode(tmp_path / "job")
    os.mkdir(path)
    try:
        set_attribute(path, "multiplane.test", b"x")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        pytest.skip("the disk of the temporary folder holds no extended attributes")
    return path


def test_a_tag_is_a_binary_list_of_name_line_feed_and_colour() -> None:
    value = with_state(None, "failed")
    assert value.startswith(b"bplist00")
    assert plistlib.loads(value) == ["Failed\n6"]
    assert plistlib.loads(FINDERS_RED) == ["Red\n6"]


@pytest.mark.skipif(shutil.which("plistutil") is None, reason="plistutil is not installed")
def test_another_reader_of_property_lists_understands_it(tmp_path) -> None:
    (tmp_path / "tags").write_bytes(with_state(FINDERS_RED, "completed"))
    done = subprocess.run(["plistutil", "-i", tmp_path / "tags", "-f", "xml"], capture_output=True, check=True)
    assert plistlib.loads(done.stdout) == ["Completed\n2", "Red\n6"]


def test_every_state_has_a_name_and_a_colour_of_its_own() -> None:
    assert set(STATE_TAGS) == set(State.__args__)
    assert len({name for name, _ in STATE_TAGS.values()}) == len({colour for _, colour in STATE_TAGS.values()}) == len(STATE_TAGS)
    assert all(1 <= colour <= 7 for _, colour in STATE_TAGS.values())


def test_a_persons_own_tags_stay_and_ours_is_replaced() -> None:
    theirs = plistlib.dumps(["Client A\n3", "Processing\n4", "No colour", "Red\n6"], fmt=plistlib.FMT_BINARY)
    assert plistlib.loads(with_state(theirs, "completed")) == ["Completed\n2", "Client A\n3", "No colour", "Red\n6"]


@pytest.mark.parametrize(
    "odd", [b"", b"nonsense", b"bplist00" + b"\xff" * 40, plistlib.dumps({"a": 1}), plistlib.dumps([1, "x\n0"])]
)
def test_what_is_no_list_of_tags_is_no_trouble(odd) -> None:
    assert plistlib.loads(with_state(odd, "pending"))[0] == "Pending\n5"


@pytest.mark.parametrize("state", STATE_TAGS)
def test_the_label_says_the_same_colour_and_nothing_else_of_finderinfo_changes(state) -> None:
    custom_icon_and_red = bytes(range(8)) + (0x0400 | 6 << 1).to_bytes(2, "big") + bytes(range(10, 32))
    info = with_colour(custom_icon_and_red, state)
    assert colour_of(info) == STATE_TAGS[state][1]
    assert info[8] == 0x04
    assert info[:8] + info[10:] == custom_icon_and_red[:8] + custom_icon_and_red[10:]
    assert len(with_colour(None, state)) == len(with_colour(b"short", state)) == 32
    # Finder writes 0x0C in the tenth byte for red.
    assert with_colour(None, "failed")[9] == 0x0C


def test_a_folder_is_tagged_once_and_again_only_when_its_state_changed(folder) -> None:
    assert show_state(folder, "processing", get_attribute, set_attribute)
    assert tags_of(folder) == ["Processing\n4"]
    assert not show_state(folder, "processing", get_attribute, set_attribute)
    assert show_state(folder, "completed", get_attribute, set_attribute)
    assert tags_of(folder) == ["Completed\n2"]
    assert colour_of(get_attribute(folder, FINDER_INFO)) == 2


def test_a_link_in_the_place_of_a_folder_is_not_followed(folder, tmp_path) -> None:
    link = os.fsencode(tmp_path / "link")
    os.symlink(folder, link)
    # Linux lets no link have attributes of this kind.
    with contextlib.suppress(PermissionError):
        show_state(link, "failed", get_attribute, set_attribute)
    assert get_attribute(folder, TAGS) is None


@pytest.mark.parametrize(
    ("kind", "holds"), [("apfs", True), ("hfs", True), ("smbfs", False), ("exfat", False), ("msdos", False), ("ext4", False)]
)
def test_only_disks_that_hold_them_get_tags(kind, holds) -> None:
    assert holds_tags(Mount(b"/", kind, "disk")) is holds


# -- following the journal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def told(folder, tmp_path):
    """Jobs, and what hears of them; `folder` is that of the job named job."""
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": ""})
    jobs = Jobs()
    notifications = UserNotifications(settings, jobs, Outbox(LocalFiles(), os.fsencode(tmp_path)), tags=True)

    def record(*records) -> None:
        for one in records:
            jobs.apply(entries(one)[0])
            notifications.on_record(one)

    record.notifications, record.jobs = notifications, jobs
    return record


def test_the_colour_follows_the_state_of_the_job(folder, told) -> None:
    seen = []
    for records in (
        (accepted("job"),),
        (Claimed(job="job"),),
        (Started(job="job", attempt="x"),),
        (publishing("job"), Ended(job="job", state="completed")),
    ):
        told(*records)
        seen.append(tags_of(folder))
    assert seen == [[], ["Pending\n5"], ["Processing\n4"], ["Completed\n2"]]
    told(Requeued(job="job", value=replace(told.jobs.find("job"), state="pending", ended=None, published=None)))
    assert tags_of(folder) == ["Pending\n5"]


def test_colours_that_were_not_written_before_a_stop_are_written_at_the_next_start(folder, told) -> None:
    told(accepted("job"), Claimed(job="job"), Started(job="job", attempt="x"))
    told.jobs.apply(entries(Ended(job="job", state="cancelled"))[0])
    assert tags_of(folder) == ["Processing\n4"]
    told.notifications.catch_up()
    assert tags_of(folder) == ["Cancelled\n1"]


def test_a_folder_in_the_trash_is_no_trouble(folder, told) -> None:
    told(accepted("job"), Claimed(job="job"))
    os.rmdir(folder)
    told(Started(job="job", attempt="x"), Ended(job="job", state="cancelled"))
    told(Removed(job="job"))
    os.mkdir(folder)
    told(accepted("job"), Claimed(job="job"))
    assert tags_of(folder) == ["Pending\n5"]


def test_a_disk_that_refuses_is_told_once_and_stops_no_work(told, monkeypatch) -> None:
    def refuse(path: bytes, name: str, value: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", path)

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    monkeypatch.setattr("daemon.notify.user_notifications.set_attribute", refuse)
    told(accepted("job"), Claimed(job="job"), Started(job="job", attempt="x"), Ended(job="job", state="failed"))
    logger.remove(sink)
    assert len(lines) == 1
    assert "Read-only file system" in lines[0]
