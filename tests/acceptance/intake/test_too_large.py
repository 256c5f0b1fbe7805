"""A file that is too large is refused by its size: nobody waits while it is read, copied or hashed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.quick import PROGRAM, QuickFolder, quick_folder

#: Reading so much takes minutes on any disk, also where it is a hole. What the file system of a small machine may hold.
_HUGE = 400 << 30
_SPACE = ("unshare", "--user", "--map-root-user", "--mount")
_SIDECAR = b"priority: 10\ntimeout_seconds: 3600\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path / "home", MULTIPLANE_LIMITS__MAX_IMAGE_BYTES="1 MB") as made:
        yield made


def huge(path: Path, size: int = _HUGE) -> None:
    """A sparse file of that size, renamed in as a whole."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.truncate(size)
    part.rename(path)


def renamed_in(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.rename(path)


@pytest.mark.parametrize("name", ["huge.jpg", "huge.depth.png"])
def test_a_huge_picture_is_refused_unread_and_kept_and_the_next_one_is_done(folder: QuickFolder, name: str) -> None:
    folder.start()
    huge(folder.inbox / name)
    if name != "huge.jpg":
        renamed_in(folder.inbox / "huge.jpg", b"good")
    renamed_in(folder.inbox / "huge.yaml", _SIDECAR)
    status = folder.ended("huge.jpg", 15)
    assert (status["state"], status["error"]["code"], status["attempts"]) == ("failed", "image_too_large", 0)
    assert status["error"]["message"] == f"{name} has 429,496.7 MB; at most 1.0 MB are allowed."
    assert (folder.job(status) / "source" / name).stat().st_size == _HUGE
    folder.pair("next.jpg")
    folder.done("next.jpg")


@pytest.fixture
def space() -> None:
    """A mount namespace, to mount something in."""
    if shutil.which("unshare") is None or subprocess.run([*_SPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("no user namespace can be made here")


@pytest.mark.usefixtures("space")
def test_on_another_disk_it_waits_with_the_reason_and_is_not_copied(folder: QuickFolder) -> None:
    folder.start(before=(*_SPACE, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder.inbox)))
    inbox = Path(f"/proc/{folder.process.pid}/root{folder.inbox}")
    huge(inbox / "huge.jpg")
    renamed_in(inbox / "huge.yaml", _SIDECAR)
    reason = folder.waits("huge.jpg", "at most 1.0 MB are allowed")
    assert "it is not copied to the disk of the outbox" in reason
    renamed_in(inbox / "next.jpg", b"good")
    renamed_in(inbox / "next.yaml", b"num_layers: 3\n")
    folder.done("next.jpg")
    assert (inbox / "huge.jpg").stat().st_size == _HUGE
    # Made small enough, it is taken by itself.
    renamed_in(inbox / "huge.jpg", b"good")
    folder.done("huge.jpg", 60)


@pytest.mark.usefixtures("space")
def test_who_waits_for_the_end_does_not_wait_for_it(folder: QuickFolder) -> None:
    script = 'mount -t tmpfs none "$0" && truncate -s 400G "$0/huge.jpg" && echo "priority: 10" > "$0/huge.yaml" && exec "$@"'
    daemon = (sys.executable, "-P", str(PROGRAM), str(folder.home), "--once")
    argv = (*_SPACE, "sh", "-c", script, str(folder.inbox), *daemon)
    done = subprocess.run(argv, env=folder.environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "2 items stay in the inbox" in done.stderr


def test_the_command_line_refuses_it_before_it_is_copied(folder: QuickFolder, tmp_path: Path) -> None:
    folder.prepare()
    huge(tmp_path / "huge.jpg")
    (tmp_path / "small.jpg").write_bytes(b"GIF89a good")
    huge(tmp_path / "small.depth.png")
    for argv, said in (
        (("submit", str(tmp_path / "huge.jpg")), "huge.jpg has 429,496.7 MB"),
        (("submit", str(tmp_path / "small.jpg")), "small.depth.png has 429,496.7 MB"),
        (("check", str(tmp_path / "huge.jpg")), "image_too_large"),
        (("check", str(tmp_path / "small.depth.png")), "depth_unreadable"),
    ):
        done = folder.verb(*argv)
        assert done.returncode != 0
        assert said in done.stdout + done.stderr
    assert [entry.name for entry in os.scandir(folder.inbox) if entry.is_file()] == [".multiplane"]
