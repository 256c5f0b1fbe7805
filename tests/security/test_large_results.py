"""A worker's result may be very large; the daemon stays responsive meanwhile."""

import errno
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from daemon.fs import LocalFiles, syncing_tree
from daemon.fs.background import LARGE
from daemon.outbox import Outbox
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder


@pytest.fixture
def checking(tmp_path: Path):
    """A daemon whose worker left 18 GB and has exited."""
    with quick_folder(tmp_path / "home") as folder:
        folder.start()
        folder.pair("huge.jpg", b"huge")
        until(lambda: [status for status in folder.of("huge.jpg") if (status["progress"] or {}).get("stage") == "checking"], 30)
        yield folder


def the_huge_one(folder: QuickFolder) -> dict:
    (status,) = folder.of("huge.jpg")
    return status


def test_while_a_large_result_is_checked_others_are_done_and_it_can_be_cancelled(checking: QuickFolder) -> None:
    checking.pair("other.jpg", b"good")
    checking.done("other.jpg", 30)
    before = checking.health()["alive_at"]
    until(lambda: checking.health()["alive_at"] != before, 10)
    assert the_huge_one(checking)["state"] == "processing", "else this test needs a larger file"
    began = time.monotonic()
    assert checking.run("cancel", the_huge_one(checking)["job_id"]).returncode == 0
    until(lambda: the_huge_one(checking)["state"] == "cancelled", 10)
    print(f"cancelled after {time.monotonic() - began:.2f} s, with the start of the verb")
    until(lambda: not list(checking.outbox.glob(".work/*/result/huge.psd")))


def test_a_stop_does_not_wait_for_the_check_of_a_large_result_and_that_is_no_attempt(checking: QuickFolder) -> None:
    assert checking.stop(signal.SIGTERM) == 0
    status = the_huge_one(checking)
    assert (status["state"], status["attempts"]) == ("pending", 0), json.dumps(status)


def test_a_great_many_files_are_removed_a_few_milliseconds_at_a_time(tmp_path: Path) -> None:
    outbox = Outbox(LocalFiles(), os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    attempt = outbox.new_attempt()
    for number in range(20_000):
        os.close(os.open(os.path.join(outbox.attempt(attempt), b"%d" % number), os.O_CREAT | os.O_WRONLY))
    outbox.discard_attempt(attempt)
    assert os.path.exists(outbox.attempt(attempt)), "the rest is left to later rounds"
    rounds = 0
    while outbox.remove_more():
        rounds += 1
    assert rounds > 1
    assert os.listdir(outbox.work) == []


class SlowDisk(LocalFiles):
    """The real disk, on which syncing or removing the large file blocks until the test continues it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.done: list[str] = []
        self.error: OSError | None = None

    def _take_time(self, what: str, path: bytes) -> None:
        if path.endswith(b"large"):
            self.go.wait(20)
        if self.error:
            raise self.error
        self.done.append(f"{what} {os.fsdecode(os.path.basename(path))}")

    def sync_file(self, path: bytes) -> None:
        self._take_time("sync", path)
        super().sync_file(path)

    def unlink(self, path: bytes) -> None:
        self._take_time("unlink", path)
        super().unlink(path)

    def sync_dir(self, path: bytes) -> None:
        self.done.append(f"sync_dir {os.fsdecode(os.path.basename(path))}")
        super().sync_dir(path)


def large(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(LARGE)


def test_while_a_large_file_is_synced_its_caller_goes_on_and_nothing_behind_it_is_synced_before(tmp_path: Path) -> None:
    large(tmp_path / "result" / "large")
    disk = SlowDisk()
    syncing = syncing_tree(disk, os.fsencode(tmp_path / "result"))
    for _ in range(3):
        next(syncing)
    assert disk.done == []
    disk.go.set()
    list(syncing)
    assert disk.done == ["sync large", "sync_dir result"]


def test_a_large_file_that_cannot_be_synced_is_told_and_nothing_behind_it_is_synced(tmp_path: Path) -> None:
    large(tmp_path / "result" / "large")
    disk = SlowDisk()
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.go.set()
    with pytest.raises(OSError, match="Input/output error"):
        list(syncing_tree(disk, os.fsencode(tmp_path / "result")))
    assert disk.done == []


def test_while_a_large_file_is_removed_its_caller_goes_on(tmp_path: Path) -> None:
    disk = SlowDisk()
    outbox = Outbox(disk, os.fsencode(tmp_path / "outbox"))
    outbox.prepare()
    attempt = outbox.new_attempt()
    folder = Path(os.fsdecode(outbox.attempt(attempt)))
    large(folder / "result" / "large")
    outbox.discard_attempt(attempt)
    assert outbox.remove_more()
    assert (folder / "result" / "large").exists()
    disk.go.set()
    while outbox.remove_more():
        pass
    assert not folder.exists()
