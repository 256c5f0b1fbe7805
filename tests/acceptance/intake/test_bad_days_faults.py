"""When names in the inbox cannot be examined, opened or moved, they wait with a reason, and the daemon continues."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from loguru import logger

import daemon.service.hotfolder as hotfolder_module
import daemon.service.loop as service_module
from daemon.fs import LocalFiles
from daemon.fs.protocol import Stat
from daemon.intake import Rules
from daemon.service import assemble
from daemon.settings import load
from tests.acceptance.home import until
from tests.acceptance.quick import WORKER, QuickFolder, quick_folder
from tests.path_based_folder import ByPath

STRACE = shutil.which("strace")
EMPTY = "still empty, so probably still being written; otherwise drop it again"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path / "home") as made:
        yield made


class FaultyDisk(LocalFiles):
    """The real disk; `inject_fault(call, path)` is called before every lstat, scan and move, and may act or raise."""

    def __init__(self, inject_fault: Callable[[str, bytes], None]) -> None:
        super().__init__()
        self._inject_fault = inject_fault

    def hold(self, path: bytes) -> ByPath:
        return ByPath(self, path)

    def lstat(self, path: bytes) -> Stat:
        self._inject_fault("lstat", path)
        return super().lstat(path)

    def rename(self, source: bytes, target: bytes) -> None:
        self._inject_fault("rename", source)
        super().rename(source, target)


def run_once(folder: QuickFolder, monkeypatch: pytest.MonkeyPatch, inject_fault: Callable[[str, bytes], None]) -> int:
    """Run the daemon in this process on a faulty disk, until nothing is left that waiting would change."""
    monkeypatch.setattr(service_module, "HEALTH_SECONDS", 0.2)
    settings = load(folder.home, folder.environment)
    return assemble(settings, FaultyDisk(inject_fault), argv=(sys.executable, "-I", "-S", WORKER)).run(once=True)


def test_a_file_swapped_for_a_link_between_look_and_claim_is_refused_and_never_opened(
    folder: QuickFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = folder.home / "secret"
    secret.write_bytes(b"nobody's business")
    folder.pair("photo.jpg")

    def swap(call: str, path: bytes) -> None:
        # The first look outside the scanner is the claim's.
        if call == "lstat" and path == folder.at("photo.jpg") and not os.path.islink(path):
            os.rename(path, folder.at(".aside"))
            os.symlink(secret, path)

    assert run_once(folder, monkeypatch, swap) == 0
    assert os.path.islink(folder.at("photo.jpg"))
    assert folder.statuses() == []
    assert folder.waiting()["photo.jpg"] == "a symbolic link, which is not followed: put a copy of what it points to here instead"


def test_whoever_waits_for_the_end_is_told_once_what_is_waited_for(folder: QuickFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.pair("zero.jpg", b"")
    folder.pair("photo.jpg")
    monkeypatch.setattr(hotfolder_module, "_WORTH_LOGGING", 0.9)
    monkeypatch.setattr(hotfolder_module, "Rules", partial(Rules, empty_hold=2.0))
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]))
    try:
        assert run_once(folder, monkeypatch, lambda call, path: None) == 1
    finally:
        logger.remove(sink)
    assert [line for line in said if line.startswith("waiting for")] == [
        f"waiting for zero.jpg: {EMPTY}",
        f"waiting for zero.jpg.yaml: waiting for zero.jpg: {EMPTY}",
    ]
    error = folder.of("zero.jpg")[0]["error"]
    assert (error["code"], error["hint"]) == ("image_unreadable", "Drop it again: its file was probably still being written.")
    assert folder.of("photo.jpg")[0]["state"] == "completed"


@pytest.mark.parametrize("moment", ["lstat", "rename"])
def test_an_image_deleted_between_look_and_rename_leaves_no_job_and_its_sidecar_waits(
    folder: QuickFolder, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder.pair("photo.jpg")

    def delete(call: str, path: bytes) -> None:
        if (call, path) == (moment, folder.at("photo.jpg")) and os.path.exists(path):
            os.unlink(path)

    assert run_once(folder, monkeypatch, delete) == 0
    assert folder.statuses() == []
    assert os.path.exists(folder.at("photo.jpg.yaml"))
    assert folder.waiting() == {"photo.jpg.yaml": "waiting for its picture, photo.jpg"}


@pytest.mark.parametrize("call", ["lstat", "rename"])
@pytest.mark.parametrize("code", [errno.EBUSY, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
def test_a_file_that_is_busy_stale_or_on_a_failing_disk_at_its_claim_waits_and_is_taken_later(
    folder: QuickFolder, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    struck: list[float] = []

    def inject_fault(found: str, path: bytes) -> None:
        if (found, path) == (call, folder.at("photo.jpg")) and (not struck or time.monotonic() < struck[0] + 0.4):
            struck.append(time.monotonic())
            raise OSError(code, os.strerror(code), path)

    folder.pair("photo.jpg")
    assert run_once(folder, monkeypatch, inject_fault) == 0
    assert struck
    assert [job["state"] for job in folder.of("photo.jpg")] == ["completed"]
    assert folder.source(folder.of("photo.jpg")[0]) == [b"photo.jpg", b"photo.jpg.yaml"]


@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
def test_a_picture_whose_stat_fails_with_estale_waits_visibly_and_is_taken_when_it_answers(folder: QuickFolder) -> None:
    """The error is the system's own, for every lstat of this one name; a second picture is processed meanwhile."""
    inject = "inject=%%stat:error=ESTALE:when=1..8"
    tracing = (str(STRACE), "-f", "-qq", "-o", os.devnull, "-P", "stale.jpg", "-e", inject)
    if subprocess.run([*tracing, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not allowed to trace here")
    folder.pair("stale.jpg")
    folder.start(before=tracing)
    folder.waits("stale.jpg", "cannot be read")
    folder.pair("fresh.jpg")
    folder.done("fresh.jpg")
    folder.done("stale.jpg")
    assert folder.process is not None
    # What was started is strace; killed, it would leave the daemon behind.
    os.kill(folder.health()["pid"], signal.SIGTERM)
    assert folder.process.wait(20) == 0


def test_without_free_descriptors_it_waits_and_goes_on_when_there_are_some(folder: QuickFolder) -> None:
    """EMFILE: the limit of the running daemon is lowered to what it has open, and later restored."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system cannot change the limits of another process")
    folder.start()
    assert folder.process is not None
    pid = folder.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    folder.pair("meanwhile.jpg")
    until(lambda: "Too many open files" in folder.log())
    assert folder.is_alive()
    assert os.path.exists(folder.at("meanwhile.jpg"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    folder.done("meanwhile.jpg")
    assert len(folder.statuses()) == 1
    assert "Traceback" not in folder.log()


def test_from_a_read_only_inbox_nothing_is_taken_twice_and_the_reason_shows(folder: QuickFolder) -> None:
    """As root: a mount that becomes read-only; otherwise: the permissions of the folder."""
    folder.pair("kept.jpg")
    if os.geteuid() == 0:
        mount = ["mount", "--bind", str(folder.inbox), str(folder.inbox)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let us mount")
        folder.prepare()
        lock, free = (["mount", "-o", f"remount,{how},bind", str(folder.inbox)] for how in ("ro", "rw"))
        subprocess.run(lock, check=True)
    else:
        folder.prepare()
        folder.inbox.chmod(0o555)
    try:
        folder.start()
        folder.waits("kept.jpg", "cannot be taken: the folder ")
        assert os.path.exists(folder.at("kept.jpg"))
        if os.geteuid() == 0:
            subprocess.run(free, check=True)
        else:
            folder.inbox.chmod(0o755)
        folder.done("kept.jpg")
        assert not os.path.exists(folder.at("kept.jpg"))
        assert len(folder.statuses()) == 1
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(folder.inbox)], capture_output=True, check=False)


def test_a_locked_file_is_named_and_taken_when_it_is_unlocked(folder: QuickFolder) -> None:
    """Uses the immutable attribute of Linux, which refuses a rename like `uchg` on a Mac; `test_scan` covers that flag."""
    folder.pair("locked.jpg")
    path = os.fsdecode(folder.at("locked.jpg"))
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        folder.start()
        folder.waits("locked.jpg", "locked.jpg cannot be taken: it is locked against every change")
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    folder.done("locked.jpg")


@pytest.mark.parametrize("fate", ["moved away", "removed"])
def test_a_journal_that_is_taken_away_ends_the_daemon_and_nothing_is_lost(folder: QuickFolder, fate: str) -> None:
    folder.start()
    assert folder.process is not None
    folder.pair("done.jpg")
    done = folder.done("done.jpg")
    journal = folder.home / ".state" / "journal"
    journal.rename(journal.with_name("journal away"))
    # Nothing happens that would have to be written down: it is noticed all the same.
    assert folder.process.wait(30) == 74
    problem = (folder.health() or {})["problem"]
    assert f"{journal}/00000001.jsonl was removed or moved while the daemon was writing it" in problem
    assert "Traceback" not in folder.log()
    folder.pair("later.jpg")
    refused = folder.run("run", "--once")
    assert refused.returncode == 78
    assert "the end of the journal is missing" in refused.stderr.replace("\n", " ")
    if fate == "moved away":
        journal.with_name("journal away").rename(journal)
    else:
        shutil.rmtree(journal.with_name("journal away"))
        assert f"{done['job_id']} was added" in folder.run("doctor", "--repair").stderr
    folder.start()
    folder.done("later.jpg")
    shown = folder.run("show", done["job_id"])
    assert shown.returncode == 0
    assert "completed" in shown.stdout
