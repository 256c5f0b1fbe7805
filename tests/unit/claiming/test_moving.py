"""Moving a claim's files: every step can be repeated, and files dropped meanwhile are not touched."""

import errno
import os

import pytest
from job_records import accepted, entries

from daemon.claiming.inbox_folders import ExchangedError, InboxFolders
from daemon.claiming.moving import Moved, Mover, PlantedError
from daemon.contract.records import ClaimedFile
from daemon.fs import LocalFiles
from daemon.jobs.fold import Jobs
from daemon.outbox import Outbox
from tests.path_based_folder import ByPath


@pytest.fixture
def place(tmp_path):
    """An inbox with a pair, its job, and a mover."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    files = []
    for role, name, data in (("image", "a.jpg", b"the picture"), ("sidecar", "a.yaml", b"depth: cues\n")):
        (inbox / name).write_bytes(data)
        found = (inbox / name).stat()
        files.append(ClaimedFile(role=role, name=name, to=name, ino=found.st_ino, size=len(data), mtime_ns=found.st_mtime_ns))
    jobs = Jobs()
    record = accepted("j")
    for entry in entries(type(record)(job="j", files=tuple(files), spec=record.spec, mode=record.mode)):
        jobs.apply(entry)
    return inbox, tmp_path / "outbox" / "j" / "source", Mover(LocalFiles(), os.fsencode(inbox), outbox), jobs.live["j"]


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_pair_is_moved_and_doing_it_again_changes_nothing(place):
    inbox, source, mover, job = place
    mover.make_room(job, again=False)
    for _ in range(2):
        assert mover.move(job) is Moved.WHOLE
        assert (names(inbox), names(source)) == ([], ["a.jpg", "a.yaml"])


def test_a_half_done_claim_is_rolled_forward(place):
    inbox, source, mover, job = place
    mover.make_room(job, again=False)
    (inbox / "a.jpg").rename(source / "a.jpg")
    mover.make_room(job, again=True)
    assert mover.move(job) is Moved.WHOLE
    assert (names(inbox), names(source)) == ([], ["a.jpg", "a.yaml"])


def test_the_old_name_of_a_moved_file_that_a_crash_left_is_removed(place):
    inbox, source, mover, job = place
    mover.make_room(job, again=False)
    os.link(inbox / "a.jpg", source / "a.jpg")
    mover.move(job)
    assert (names(inbox), names(source)) == ([], ["a.jpg", "a.yaml"])


@pytest.mark.parametrize("local", [True, False], ids=["local disk", "share"])
def test_a_new_drop_of_the_same_name_size_and_time_stays_in_the_inbox(place, local):
    inbox, source, mover, job = place
    mover.folders = InboxFolders(LocalFiles(), os.fsencode(inbox), lambda: local)
    mover.make_room(job, again=False)
    mover.move(job)
    (inbox / "a.jpg").write_bytes(b"the mixture")
    os.utime(inbox / "a.jpg", ns=(0, job.image.mtime_ns))
    assert mover.move(job) is Moved.WHOLE
    assert (inbox / "a.jpg").read_bytes() == b"the mixture"
    assert (source / "a.jpg").read_bytes() == b"the picture"


def test_a_file_that_changed_after_it_was_accepted_stays_where_it_is(place):
    inbox, source, mover, job = place
    (inbox / "a.yaml").write_bytes(b"depth: model\n")
    mover.make_room(job, again=False)
    assert mover.move(job) is Moved.WHOLE
    assert (names(inbox), names(source)) == (["a.yaml"], ["a.jpg"])


def test_a_pair_that_was_taken_back_leaves_no_folder(place):
    inbox, source, mover, job = place
    for path in inbox.iterdir():
        path.unlink()
    mover.make_room(job, again=False)
    assert mover.move(job) is Moved.TAKEN_BACK
    assert not source.parent.exists()


def test_what_somebody_put_into_the_folder_of_a_pair_that_was_taken_back_is_kept(place):
    inbox, source, mover, job = place
    for path in inbox.iterdir():
        path.unlink()
    mover.make_room(job, again=False)
    (source / "theirs.txt").write_text("mine")
    assert mover.move(job) is Moved.WHOLE
    assert names(source) == ["theirs.txt"]


def test_a_folder_that_is_none_of_ours_is_not_moved_into(place):
    _inbox, source, mover, job = place
    source.parent.mkdir()
    with pytest.raises(PlantedError):
        mover.make_room(job, again=False)
    source.parent.rmdir()
    source.parent.write_text("a file")
    with pytest.raises(PlantedError):
        mover.make_room(job, again=True)


class OtherDisk(LocalFiles):
    """Files on another disk than the outbox; copies fail while `full`."""

    full = True

    def hold(self, path):
        return ByPath(self, path)

    def rename(self, source, target):
        if b"inbox" in source:
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        super().rename(source, target)

    def copy(self, source, target):
        if self.full:
            with open(target, "wb") as file:
                file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", target)
        return super().copy(source, target)


def test_a_copy_from_another_disk_that_broke_off_leaves_nothing_and_succeeds_later(place):
    inbox, source, mover, job = place
    mover.make_room(job, again=False)
    disk = OtherDisk()
    mover = Mover(disk, os.fsencode(inbox), Outbox(disk, os.fsencode(source.parents[1])))
    with pytest.raises(OSError, match="No space"):
        mover.move(job)
    assert (names(inbox), names(source)) == (["a.jpg", "a.yaml"], [])
    disk.full = False
    assert mover.move(job) is Moved.WHOLE
    assert (names(inbox), names(source)) == ([], ["a.jpg", "a.yaml"])
    assert (source / "a.jpg").stat().st_mtime_ns == job.image.mtime_ns


def test_a_folder_that_was_exchanged_during_a_restart_is_not_opened(tmp_path):
    dropped = tmp_path / "dropped"
    dropped.mkdir()
    known = dropped.stat().st_ino
    dropped.rename(tmp_path / "kept")
    dropped.mkdir()
    folders = InboxFolders(LocalFiles(), os.fsencode(tmp_path))
    with pytest.raises(ExchangedError):
        folders.open(b"dropped", known)
    folders.release()
    assert folders.open(b"kept", known).ino == known
    folders.release()


def test_the_number_of_a_folder_on_a_share_may_be_another_one_after_a_restart(tmp_path):
    (tmp_path / "dropped").mkdir()
    folders = InboxFolders(LocalFiles(), os.fsencode(tmp_path), lambda: False)
    found = (tmp_path / "dropped").stat().st_ino
    assert folders.open(b"dropped", found + 1).ino == found
    folders.release()
