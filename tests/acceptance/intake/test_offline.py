"""The inbox disappears in every possible way and comes back: no job fails, nothing is deleted, work resumes."""

import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder
from tests.waiting import SLOWEST


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path / "home") as made:
        yield made


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")


def unmount(path: Path) -> None:
    until(lambda: subprocess.run(["umount", str(path)], capture_output=True, check=False).returncode == 0, 20)


class Scene:
    """Waiting pictures (one alone, one still being downloaded), one running job, and one completed."""

    def __init__(self, folder: QuickFolder, word: str = "a") -> None:
        self.folder = folder
        self.done, self.running, self.waiting, self.pair, self.after = (
            f"{what} {word}.jpg" for what in ("done", "running", "waiting", "pair", "after")
        )
        folder.pair(self.done)
        folder.done(self.done)
        folder.pair(self.running, b"hang")
        until(lambda: folder.of(self.running) and folder.of(self.running)[0]["state"] == "processing")
        folder.write(self.waiting, b"good")
        for name in (f"{self.pair}.part", self.pair, f"{self.pair}.yaml"):
            folder.write(name, b"num_layers: 3\n")
        folder.waits(self.waiting, "waiting for")
        folder.waits(self.pair, "still being downloaded")

    def states(self) -> dict[str, str]:
        """The jobs of this scene."""
        mine = (self.done, self.running, self.waiting, self.pair, self.after)
        return {job["source"]["image"]: job["state"] for job in self.folder.statuses() if job["source"]["image"] in mine}

    def check_away(self) -> None:
        """The daemon reports that it is offline; nothing failed or was removed."""
        until(lambda: self.folder.health()["state"] == "offline")
        assert self.folder.health()["problem"]
        assert self.states() == {self.done: "completed", self.running: "processing"}

    def check_back(self, *, waiting: bool = True) -> None:
        """Work resumes where it was."""
        until(lambda: self.folder.health()["state"] == "running", 15)
        assert self.states() == {self.done: "completed", self.running: "processing"}
        assert self.folder.verb("cancel", self.folder.of(self.running)[0]["job_id"]).returncode == 0
        if waiting:
            os.unlink(self.folder.at(f"{self.pair}.part"))
            self.folder.write(f"{self.waiting}.yaml")
            self.folder.done(self.waiting)
            self.folder.done(self.pair)
        self.folder.pair(self.after)
        self.folder.done(self.after)
        assert set(self.states().values()) == {"completed", "cancelled"}


def test_the_inbox_unmounted_to_an_empty_mount_point_and_back(folder: QuickFolder) -> None:
    disk = folder.home / "disk"
    disk.mkdir()
    (disk / ".multiplane").touch()
    mount("--bind", str(disk), str(folder.inbox))
    try:
        folder.start()
        # The first start marks the inbox, which is the disk.
        scene = Scene(folder)
        unmount(folder.inbox)
        scene.check_away()
        assert os.listdir(folder.inbox) == [], "an unmounted disk is no person's new inbox"
        mount("--bind", str(disk), str(folder.inbox))
        scene.check_back()
    finally:
        subprocess.run(["umount", "-l", str(folder.inbox)], capture_output=True, check=False)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("offline") / "home") as made:
        made.start()
        yield made


def test_a_disk_of_its_own_mounted_at_the_inbox_and_unmounted(running: QuickFolder) -> None:
    """Another file system: files are copied over with their times and attributes."""
    folder = running
    mount("-t", "tmpfs", "none", str(folder.inbox))
    try:
        until(lambda: folder.health()["state"] == "offline")
        (folder.inbox / ".multiplane").touch()  # as a person says that it is meant
        until(lambda: folder.health()["state"] == "running")
        path = folder.write("carried.jpg", b"good")
        os.utime(path, (10**9, 10**9))
        try:
            os.setxattr(path, "user.rating", b"five")
            has_attributes = True
        except OSError:
            has_attributes = False  # an older tmpfs
        folder.write("carried.jpg.yaml")
        source = folder.job(folder.done("carried.jpg")) / "source" / "carried.jpg"
        assert source.stat().st_mtime == 10**9
        assert not has_attributes or os.getxattr(source, "user.rating") == b"five"
        assert not os.path.exists(path)
        unmount(folder.inbox)
    finally:
        subprocess.run(["umount", "-l", str(folder.inbox)], capture_output=True, check=False)
    folder.pair("beneath.jpg")
    folder.done("beneath.jpg")


@pytest.mark.parametrize("how", ["renamed", "replaced by a file", "a link in its place"])
def test_the_inbox_is_away_and_comes_back(running: QuickFolder, how: str) -> None:
    folder = running
    scene = Scene(folder, how)
    aside = folder.home / "aside"
    if how == "a link in its place":
        folder.inbox.rename(aside)
        (folder.home / "other").mkdir()
        folder.inbox.symlink_to(folder.home / "other")
    else:
        folder.inbox.rename(aside)
        if how == "replaced by a file":
            folder.inbox.write_text("I am a file")
    scene.check_away()
    if folder.inbox.is_symlink() or folder.inbox.is_file():
        folder.inbox.unlink()
    aside.rename(folder.inbox)
    scene.check_back()


def test_the_inbox_deleted_and_made_anew_by_a_person_is_the_inbox_again(running: QuickFolder) -> None:
    folder = running
    scene = Scene(folder, "anew")
    folder.inbox.rename(folder.home / "Trash")
    folder.inbox.mkdir()
    until((folder.inbox / ".multiplane").exists, 10)
    scene.check_back(waiting=False)
    until(lambda: "deleted and recreated" in folder.log())
    assert (folder.home / "Trash" / scene.waiting).exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EPERM, "may not be read"),
        (errno.EACCES, "may not be read"),
        (errno.ESTALE, "cannot be read: Stale file handle"),
        (errno.EIO, "cannot be read"),
        (errno.EMFILE, "cannot be read: Too many open files"),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else "",
)
def test_an_inbox_that_cannot_be_read_simulated_is_offline_with_the_reason_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    """Mode 000 does not stop root, so `os.scandir` raises the error here, as macOS would (EPERM)."""
    from daemon.intake import Control
    from daemon.watch import MARKER, Watch

    (tmp_path / os.fsdecode(MARKER)).touch()
    watch = Watch(os.fsencode(tmp_path), lambda: None, read_control=lambda p, e, k: Control(k, e))
    try:
        assert watch.start().state == "ok"

        def refused(path: bytes) -> None:
            raise OSError(code, os.strerror(code), path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refused)
            assert watch.scan() is None
            health = watch.health(time.monotonic())
        assert (health.state, said in (health.problem or "")) == ("offline", True)
        assert watch.health(time.monotonic()).state == "ok"
        assert watch.scan() is not None
    finally:
        watch.stop()


def test_events_that_the_system_lost_are_made_up_for_and_told_of(folder: QuickFolder) -> None:
    """Lowers the kernel's own limit during the start; it applies only to new watches."""
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    before = limit.read_text()
    try:
        limit.write_text("4")
    except OSError as error:
        pytest.skip(f"the limit cannot be lowered here: {error}")
    try:
        folder.start()
    finally:
        limit.write_text(before)
    folder.pair("blocker.jpg", b"hang")  # jobs are counted here, not done
    for number in range(30):
        folder.pair(f"flood{number}.jpg")
    until(lambda: "the system lost events" in folder.log(), 20)
    until(lambda: len(folder.statuses()) == 31, 30)
    assert [entry.name for entry in os.scandir(folder.inbox) if entry.is_file()] == [".multiplane"]
    assert "lost events" in folder.health()["last_fault"]


def test_a_dead_observer_is_noticed_told_of_and_replaced(tmp_path: Path) -> None:
    """Runs in this process, where the observer's thread can be ended as an exception would end it."""
    from daemon.intake import Control
    from daemon.watch import MARKER, Watch

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / os.fsdecode(MARKER)).touch()
    woken = threading.Event()
    watch = Watch(os.fsencode(inbox), woken.set, read_control=lambda p, e, k: Control(k, e))
    watch.start()
    try:
        assert watch.scan() is not None
        watch._coverage._observing.stop()
        (inbox / "missed.jpg").write_bytes(b"x")
        assert watch.health(time.monotonic()).state == "ok"
        assert watch.faults == ["the observer of the inbox had stopped; it is watched again and read in full"]
        seen = watch.scan()
        assert b"missed.jpg" in seen.scan.folders[0].entries
        woken.clear()
        (inbox / "seen.jpg").write_bytes(b"x")
        assert woken.wait(5 * SLOWEST)
    finally:
        watch.stop()


def test_it_starts_while_the_inbox_is_away_and_waits_for_it(running: QuickFolder) -> None:
    folder = running
    assert folder.stop() == 0
    aside = folder.home / "aside"
    folder.inbox.rename(aside)
    starting = threading.Thread(target=folder.start)
    starting.start()
    until(lambda: (folder.health() or {}).get("state") == "offline")
    folder.inbox.mkdir()  # an empty mount point, for all this process can know
    time.sleep(0.7)  # two looks; nothing tells of what must not happen
    assert os.listdir(folder.inbox) == []
    folder.inbox.rmdir()
    aside.rename(folder.inbox)
    starting.join()
    folder.pair("after.jpg")
    folder.done("after.jpg")


def test_two_daemons_on_one_home_are_one(running: QuickFolder) -> None:
    second = running.verb("run")
    assert second.returncode != 0
    assert "already" in second.stderr or "another" in second.stderr
    assert running.is_alive()
