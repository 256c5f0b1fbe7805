"""The simulated disk enforces its rules on the daemon, and not on what people do."""

import pytest
from simdisk import SimDisk


@pytest.fixture
def disk() -> SimDisk:
    disk = SimDisk()
    disk.make(b"/inbox")
    disk.make(b"/source")
    disk.put(b"/inbox/a", b"first")
    disk.rename(b"/inbox/a", b"/source/a")
    return disk


def contents(disk: SimDisk) -> dict[bytes, bytes]:
    return {path: node.data for path, node in disk.walk() if node.kind == "file"}


def test_a_move_that_was_not_synced_is_taken_back(disk):
    assert contents(disk.after_power_loss()) == {b"/inbox/a": b"first"}


def test_who_syncs_the_old_names_folder_first_has_lost_the_file(disk):
    disk.sync_dir(b"/inbox")
    assert contents(disk.after_power_loss()) == {}


def test_a_file_that_somebody_puts_in_the_place_of_a_moved_one_loses_neither(disk):
    disk.put(b"/inbox/a", b"second")
    assert contents(disk.after_power_loss()) == {b"/inbox/a": b"second", b"/source/a": b"first"}


def test_bytes_that_a_writer_adds_arrive_wherever_the_file_is_by_then(disk):
    assert disk.write_on(b"first", b"first and second")
    assert contents(disk)[b"/source/a"] == b"first and second"
    assert not disk.write_on(b"first", b"lost")
