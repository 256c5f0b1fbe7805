"""Disk space: when the queue pauses, and which failures a full disk explains."""

import os
from pathlib import Path

import pytest

from daemon.fs import LocalFiles, make_folders
from daemon.health.disk_space import HELD_BACK, HELD_BACK_BYTES, MIN_FREE_FILES, Disk, DiskSpace, shortage
from daemon.outbox import Outbox
from daemon.settings import load

MB = 1_000_000


class Measured(LocalFiles):
    """The real disk with free space as set by the test; None: unknown."""

    free: int | None = 1 << 40
    files: int | None = None

    def free_bytes(self, path: bytes) -> int:
        if self.free is None:
            raise FileNotFoundError(path)
        return self.free

    def free_files(self, path: bytes) -> int | None:
        return self.files


@pytest.fixture
def disk() -> Measured:
    return Measured()


@pytest.fixture
def outbox(disk: Measured, tmp_path: Path) -> Outbox:
    outbox = Outbox(disk, os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    return outbox


@pytest.fixture
def room(disk: Measured, outbox: Outbox, tmp_path: Path) -> DiskSpace:
    settings = load(tmp_path, {"MULTIPLANE_CONFIG": os.devnull, "MULTIPLANE_QUEUE__MIN_FREE_BYTES": "100 MB"})
    make_folders(disk, settings.paths.state_bytes)
    return DiskSpace(disk, settings, outbox)


def held_back(outbox: Outbox) -> Path:
    return Path(os.fsdecode(outbox.root)) / os.fsdecode(HELD_BACK)


def test_the_first_disk_that_lacks_room_is_named_with_what_it_has_and_needs() -> None:
    roomy, full = Disk("outbox", 100, 100), Disk("state folder", 3 * MB, 16 * MB)
    assert shortage([roomy]) is None
    assert shortage([roomy, full]) == "the disk of the state folder is full: 3 MB are free, 16 MB are needed"


def test_it_pauses_while_there_is_no_room_and_looks_again_by_itself(room: DiskSpace, disk: Measured) -> None:
    room.look(0.0)
    assert room.problem is None
    assert room.next_look(0.0) == float("inf")
    disk.free = 99 * MB
    room.look(10.0)
    assert "99 MB are free, 100 MB are needed" in str(room.problem)
    assert 10.0 < room.next_look(10.0) < 15.0
    disk.free = 100 * MB
    room.look(room.next_look(10.0))
    assert (room.problem, room.hint) == (None, None)


def test_a_disk_that_cannot_be_asked_is_not_called_full(room: DiskSpace, disk: Measured) -> None:
    disk.free = None
    room.look(0.0)
    assert room.problem is None
    assert not room.lacks(None)


def test_a_failure_is_the_disks_fault_only_if_it_is_full_without_what_the_attempt_wrote(
    room: DiskSpace, disk: Measured, outbox: Outbox
) -> None:
    attempt = outbox.new_attempt()
    made = Path(os.fsdecode(outbox.attempt(attempt))) / "result" / "preview"
    made.mkdir(parents=True)
    disk.free = 98 * MB
    assert room.lacks(attempt)
    (made / "a.png").write_bytes(bytes(2 * MB))
    assert not room.lacks(attempt), "its own result filled the disk: it would never end"


def test_some_bytes_are_held_back_and_given_up_when_the_views_need_them(room: DiskSpace, disk: Measured, outbox: Outbox) -> None:
    room.look(0.0)
    assert held_back(outbox).stat().st_size == HELD_BACK_BYTES
    disk.free = HELD_BACK_BYTES
    room.look(10.0)
    assert held_back(outbox).exists()
    disk.free = 0
    room.look(20.0)
    room.look(30.0)
    assert not held_back(outbox).exists()
    disk.free = 1 << 30
    room.look(40.0)
    assert held_back(outbox).exists()


def test_nothing_is_put_where_the_outbox_is_not(room: DiskSpace, outbox: Outbox) -> None:
    os.unlink(os.path.join(outbox.root, b".multiplane"))
    room.look(0.0)
    assert not held_back(outbox).exists()


def test_a_disk_without_free_inodes_is_full_whatever_its_bytes(room: DiskSpace, disk: Measured, outbox: Outbox) -> None:
    attempt = outbox.new_attempt()
    disk.files = MIN_FREE_FILES - 1
    room.look(0.0)
    assert f"it can hold {MIN_FREE_FILES - 1} more files (inodes), {MIN_FREE_FILES} are needed" in str(room.problem)
    disk.files = MIN_FREE_FILES - 2
    assert room.lacks(attempt)
    for number in range(3):
        Path(os.fsdecode(outbox.attempt(attempt)), str(number)).touch()
    assert not room.lacks(attempt), "its own files took the inodes"
    disk.files = MIN_FREE_FILES
    room.look(10.0)
    assert room.problem is None
