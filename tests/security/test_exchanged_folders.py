"""Inbox folders are swapped for links: nothing outside the inbox is moved or read.

The attacker has what every user of a shared inbox has: names in it are theirs to change at any moment.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.claiming.control_files import read_control
from daemon.contract.records import Noted
from daemon.fs import LocalFiles
from daemon.intake.model import Control, Entry, Ready
from daemon.watch import Scanner
from tests.unit.service_scene import Scene

SOAK = "SOAK_TESTS" in os.environ
EXCHANGES, CLAIMS = (100_000, 500) if SOAK else (5_000, 60)
#: Linux, <linux/fs.h>: exchange two names in one step.
_RENAME_EXCHANGE = 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's; the calls that are made are the same")


def exchange(one: Path, other: Path) -> None:
    """Swap two names atomically."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), one)


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path, LocalFiles())


def entry(path: Path) -> Entry:
    found = path.stat()
    return Entry(os.fsencode(path.name), "file", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def twin(path: Path, like: Path) -> None:
    """A file with the same name, length and time as somebody else's."""
    path.write_bytes(b"x" * like.stat().st_size)
    os.utime(path, ns=(0, like.stat().st_mtime_ns))


def test_a_folder_exchanged_for_a_link_after_accepted_moves_nothing_of_others(scene, tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (private / "tax.jpg").write_bytes(b"nobody's business")
    (scene.inbox / "x").mkdir()
    (scene.inbox / "x" / "_preset.yaml").write_bytes(b"num_layers: 3\n")
    twin(scene.inbox / "x" / "tax.jpg", private / "tax.jpg")
    (tmp_path / "link").symlink_to(private)
    pair = preset_pair(scene.inbox / "x", "tax.jpg")

    claims = scene.claims
    record = scene.ledger.record

    def accepted_then_exchanged(*records):
        record(*records)
        if records[0].event == "accepted":
            exchange(scene.inbox / "x", tmp_path / "link")

    scene.ledger.record = accepted_then_exchanged
    claims.claim([pair])
    assert (private / "tax.jpg").read_bytes() == b"nobody's business"
    taken = list(scene.root.glob("*/source/tax.jpg"))
    assert all(path.read_bytes() != b"nobody's business" for path in taken)
    kept = taken or list((tmp_path / "link").glob("tax.jpg"))
    assert len(kept) == 1


def test_a_folder_exchanged_for_a_link_while_the_daemon_was_down_moves_nothing_of_others(scene, tmp_path):
    """Even if the other file has the same name, length and time: its inode differs."""
    private = tmp_path / "private"
    private.mkdir()
    (private / "tax.jpg").write_bytes(b"nobody's business")
    (scene.inbox / "x").mkdir()
    (scene.inbox / "x" / "_preset.yaml").write_bytes(b"num_layers: 3\n")
    twin(scene.inbox / "x" / "tax.jpg", private / "tax.jpg")
    claims = scene.claims
    record = scene.ledger.record

    class PowerLost(BaseException):
        pass

    def accepted_then_gone(*records):
        record(*records)
        raise PowerLost

    scene.ledger.record = accepted_then_gone
    with pytest.raises(PowerLost):
        claims.claim([preset_pair(scene.inbox / "x", "tax.jpg")])
    scene.ledger.record = record
    mine = scene.inbox / "x"
    mine.rename(tmp_path / "mine")
    for theirs in ("a link", "a folder"):
        if theirs == "a link":
            mine.symlink_to(private)
        else:
            mine.unlink()
            private.rename(mine)
        claims.finish(list(scene.jobs.unclaimed.values()), again=True)
        assert (mine / "tax.jpg").read_bytes() == b"nobody's business", theirs


def test_a_private_yaml_is_not_read_for_a_sidecar(scene, tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (private / "photo.yaml").write_bytes(b"password: xyzzy\n")
    (scene.inbox / "x").mkdir()
    (scene.inbox / "x" / "photo.jpg").write_bytes(b"a picture")
    twin(scene.inbox / "x" / "photo.yaml", private / "photo.yaml")
    pair = Ready(b"x", entry(scene.inbox / "x" / "photo.jpg"), entry(scene.inbox / "x" / "photo.yaml"), None, (), None, (), 0.0)
    claims = scene.claims
    record_for = claims._acceptance.record_for

    def exchanged_then_recorded(*args):
        exchange(scene.inbox / "x", tmp_path / "link")
        try:
            return record_for(*args)
        finally:
            exchange(scene.inbox / "x", tmp_path / "link")

    (tmp_path / "link").symlink_to(private)
    claims._acceptance.record_for = exchanged_then_recorded
    claims.claim([pair])
    for job in (*scene.jobs.live.values(), *scene.jobs.ended.values()):
        assert "password" not in str(job)
    assert (private / "photo.yaml").read_bytes() == b"password: xyzzy\n"


def test_a_private_yaml_is_not_read_for_a_preset(tmp_path):
    inbox, private = tmp_path / "inbox", tmp_path / "private"
    for folder in (inbox, inbox / "x", private):
        folder.mkdir()
    (private / "_preset.yaml").write_bytes(b"password: xyzzy\n")
    twin(inbox / "x" / "_preset.yaml", private / "_preset.yaml")
    (tmp_path / "link").symlink_to(private)
    said = []

    def exchanged_then_read(folder, entry, kind):
        exchange(inbox / "x", tmp_path / "link")
        said.append(read_control(folder, entry, kind))
        return said[-1]

    Scanner(os.fsencode(inbox), network=False, read_control=exchanged_then_read).scan(1.0)
    assert said
    assert "password" not in str(said)


def test_a_job_folder_exchanged_for_a_link_gets_neither_picture_nor_status(scene, tmp_path):
    outside = tmp_path / "outside"
    (outside / "source").mkdir(parents=True)
    (scene.inbox / "photo.jpg").write_bytes(b"a picture")
    (scene.inbox / "photo.yaml").write_bytes(b"id: mine\n")
    pair = Ready(b"", entry(scene.inbox / "photo.jpg"), entry(scene.inbox / "photo.yaml"), None, (), None, (), 0.0)
    claims = scene.claims
    sync_job_folders = claims._mover.sync_job_folders

    def made_then_exchanged(jobs):
        sync_job_folders(jobs)
        if jobs:
            (scene.root / "mine").rename(tmp_path / "away")
            (scene.root / "mine").symlink_to(outside)

    claims._mover.sync_job_folders = made_then_exchanged
    claims.claim([pair])
    scene.refresh()
    assert [path for path in outside.rglob("*") if path.is_file()] == []
    assert (scene.inbox / "photo.jpg").read_bytes() == b"a picture"
    claims.finish(list(scene.jobs.unclaimed.values()), again=True)  # the name is taken: withdrawn, another id at the next look
    assert not scene.jobs.live
    assert (scene.inbox / "photo.jpg").exists()


def test_a_status_is_not_written_through_a_link(scene, tmp_path):
    (outside := tmp_path / "outside").mkdir()
    scene.pending("a")
    scene.ledger.record(Noted(job="a", warning="a word"))
    (scene.root / "a").rename(tmp_path / "away")
    (scene.root / "a").symlink_to(outside)
    scene.refresh()
    assert list(outside.iterdir()) == []


def test_a_result_is_not_published_through_a_link(scene, tmp_path):
    (outside := tmp_path / "outside").mkdir()
    job = scene.processing("a")
    made = Path(os.fsdecode(scene.outbox.attempt(job.attempt.folder))) / "result"
    made.mkdir()
    (scene.root / "a").rename(tmp_path / "away")
    (scene.root / "a").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        scene.outbox.publish("a", job.attempt.folder)
    assert list(outside.iterdir()) == []
    (scene.root / "a").unlink()
    (tmp_path / "away").rename(scene.root / "a")
    made.rmdir()
    made.symlink_to(outside)  # what a hostile worker leaves
    with pytest.raises(NotADirectoryError):
        scene.outbox.publish("a", job.attempt.folder)
    assert not os.path.lexists(scene.root / "a" / "result")


def preset_pair(folder: Path, name: str) -> Ready:
    control = Control("preset", entry(folder / "_preset.yaml"))
    return Ready(os.fsencode(folder.name), entry(folder / name), None, None, (), control, (), 0.0)


#: Exchanges two names in a loop from the first line of its input to the next, an even number of times, and at least so often.
_EXCHANGER = """
import ctypes, os, select, sys
call = ctypes.CDLL(None, use_errno=True).renameat2
one, other, least = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
while sys.stdin.buffer.raw.read(1):
    done = 0
    while done % 100 or done < least or not select.select([0], [], [], 0)[0]:
        if call(-100, one, -100, other, 2) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
        done += 1
    os.read(0, 1)
    print(done, flush=True)
"""


class Exchanger:
    """A process that keeps swapping two names during a `round`; `times` counts the swaps."""

    def __init__(self, one: Path, other: Path, least: int) -> None:
        command = [sys.executable, "-I", "-S", "-c", _EXCHANGER, one, other, str(least)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.times = 0
        assert self._process.stdout.readline() == b"ready\n"

    @contextlib.contextmanager
    def round(self) -> Iterator[None]:
        self._process.stdin.write(b"!")
        try:
            yield
        finally:
            self._process.stdin.write(b"!")
            self.times += int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def test_exchanges_during_claims_move_and_read_nothing_and_lose_no_job(scene, tmp_path):
    """Each picture is claimed while its folder is swapped for a link continuously; behind the link all looks the same."""
    private, folder, link = tmp_path / "private", scene.inbox / "x", tmp_path / "link"
    private.mkdir()
    folder.mkdir()
    (private / "_preset.yaml").write_bytes(b"num_layers: 5\n")
    (private / "photo.jpg").write_bytes(b"nobody's business")
    link.symlink_to(private)
    exchanger = Exchanger(folder, link, EXCHANGES // CLAIMS)
    try:
        for number in range(CLAIMS):
            (folder / "_preset.yaml").write_bytes(b"num_layers: 3\n")
            os.utime(folder / "_preset.yaml", ns=(0, (private / "_preset.yaml").stat().st_mtime_ns))
            twin(folder / "photo.jpg", private / "photo.jpg")
            claim(scene, folder, exchanger, number)
            assert (private / "photo.jpg").read_bytes() == b"nobody's business"
            assert sorted(path.name for path in private.iterdir()) == ["_preset.yaml", "photo.jpg"]
    finally:
        exchanger.close()
    assert exchanger.times >= EXCHANGES
    assert len(scene.jobs.live) == CLAIMS
    for job in scene.jobs.live.values():
        assert job.claimed
        assert job.spec.num_layers == 3
        assert (scene.root / job.job_id / "source" / job.image.to).read_bytes() == b"x" * 17
    print(f"{exchanger.times:,} exchanges during {CLAIMS} claims")


def claim(scene: Scene, folder: Path, exchanger: Exchanger, number: int) -> None:
    """Retry until the picture is a job, at first while names are swapped, then without."""
    pair = preset_pair(folder, "photo.jpg")

    def try_it() -> bool:
        scene.claims.claim([pair])
        scene.claims.finish(list(scene.jobs.unclaimed.values()), again=True)
        return len(scene.jobs.live) == number + 1 and not scene.jobs.unclaimed

    with exchanger.round():
        done = any(try_it() for _ in range(20))
    assert done or any(try_it() for _ in range(3)), f"claim {number} does not end: {scene.claims.held}"


def test_a_retry_reads_no_yaml_file_of_others(scene, tmp_path):
    (job,) = scene.pending("j")
    private = tmp_path / "private"
    private.mkdir()
    (private / "j.jpg.yaml").write_bytes(b"secret: word\n")
    (tmp_path / "link").symlink_to(private)
    exchange(tmp_path / "link", scene.root / "j" / "source")
    assert scene.requests._read_again(job) == (job.spec, None)
