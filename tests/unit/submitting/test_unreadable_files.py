"""A file that cannot be read is refused by itself, with a reason and a remedy; the others are taken. No daemon runs here."""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli.submitting import dropping
from daemon.fs import LocalFiles
from tests.acceptance.home import HotFolder, picture
from tests.unprivileged import unprivileged


@pytest.fixture
def folder(tmp_path) -> Iterator[HotFolder]:
    """A home, with two good pictures beside it."""
    for name in ("good.png", "more.png"):
        (tmp_path / name).write_bytes(picture())
    yield HotFolder(tmp_path / "home")
    for path in tmp_path.iterdir():
        if not path.is_symlink():
            path.chmod(0o755)  # so that it can be removed


def locked(place: Path) -> str:
    (place / "bad.png").write_bytes(picture())
    (place / "bad.png").chmod(0)
    return "bad.png cannot be read: Permission denied"


def in_a_closed_folder(place: Path) -> str:
    (place / "closed").mkdir()
    (place / "closed" / "in.png").write_bytes(picture())
    (place / "bad.png").symlink_to(place / "closed" / "in.png")
    (place / "closed").chmod(0)
    return "bad.png cannot be read: Permission denied"


def closed_folder(place: Path) -> str:
    (place / "bad.png").mkdir(mode=0)
    return "bad.png is a folder, not a picture"


def pipe(place: Path) -> str:
    os.mkfifo(place / "bad.png")
    return "bad.png is a pipe, not a picture"


def bound_socket(place: Path) -> str:
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(place):
        bound.bind("bad.png")  # a socket's path must be short
    return "bad.png is a socket, not a picture"


def device(place: Path) -> str:
    (place / "bad.png").symlink_to("/dev/null")
    return "bad.png is a device, not a picture"


def dangling_link(place: Path) -> str:
    (place / "bad.png").symlink_to("gone.png")
    return f"bad.png is a link to {os.path.realpath(place)}/gone.png, which is not there"


def link_to_itself(place: Path) -> str:
    (place / "bad.png").symlink_to("bad.png")
    return "bad.png: the links lead in a circle"


def missing(_place: Path) -> str:
    return "bad.png: no such file"


BAD = [locked, in_a_closed_folder, closed_folder, pipe, bound_socket, device, dangling_link, link_to_itself, missing]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_one_file_that_cannot_be_read_is_refused_and_the_others_are_taken(folder, make) -> None:
    place = folder.home.parent
    said, names = make(place), [str(place / name) for name in ("good.png", "bad.png", "more.png")]
    with unprivileged():
        done = folder.verb("submit", *names, "--json")
        checked = folder.verb("check", *names, "--json")
    assert {path.name for path in folder.inbox.glob("*.png")} == {"good.png", "more.png"}, done.stderr
    (error,) = [told["error"] for line in done.stderr.splitlines() if "error" in (told := json.loads(line))]
    assert (done.returncode, error["file"]) == (6, names[1])
    assert error["message"].endswith(f"/{said}")
    assert error["hint"]
    results = json.loads(checked.stdout)
    assert (checked.returncode, [one["file"] for one in results], [one["ok"] for one in results]) == (
        1, names, [True, False, True],
    )  # fmt: skip
    assert (results[1]["error"]["message"], results[1]["error"]["hint"]) == (error["message"], error["hint"])


@pytest.mark.parametrize("make", [locked, closed_folder, pipe, dangling_link], ids=lambda make: make.__name__)
def test_a_depth_picture_that_cannot_be_read_is_not_passed_over(folder, make) -> None:
    place = folder.home.parent
    said = make(place)
    (place / "bad.png").rename(place / "good.depth.png")
    with unprivileged():
        done = folder.verb("submit", str(place / "good.png"), str(place / "more.png"))
    assert (done.returncode, {path.name for path in folder.inbox.glob("*.png")}) == (6, {"more.png"})
    said = said.replace("bad.png", "good.depth.png")
    assert f"the depth picture {place}/{said}" in " ".join(done.stderr.split())


def test_what_a_shell_substitutes_for_a_command_is_a_pipe(folder) -> None:
    reading, writing = os.pipe()
    os.write(writing, picture()[:1000])
    done = folder.verb("submit", f"/dev/fd/{reading}", str(folder.home.parent / "more.png"))
    os.close(reading), os.close(writing)
    assert (done.returncode, f"/dev/fd/{reading} is a pipe, not a picture" in done.stderr) == (6, True)


@pytest.mark.parametrize("trouble", [errno.EIO, errno.ENOENT])
def test_a_picture_that_fails_while_it_is_copied_keeps_no_other_back(folder, trouble, monkeypatch) -> None:
    class Failing(LocalFiles):
        def copy(self, source: bytes, target: bytes) -> str:
            self.digest(source)
            return super().copy(source, target)

        def digest(self, path: bytes) -> str:
            if path.endswith(b"good.png"):
                raise OSError(trouble, os.strerror(trouble))
            return super().digest(path)

    monkeypatch.setattr(dropping, "fs", Failing())
    names = [str(folder.home.parent / name) for name in ("good.png", "more.png")]
    done = folder.verb("submit", *names, "--json")
    assert (done.returncode, {path.name for path in folder.inbox.glob("*.png")}) == (6, {"more.png"}), done.stderr
    assert json.loads(done.stderr.splitlines()[0])["error"]["file"] == names[0]
    assert folder.verb("submit", names[0]).returncode == 2


def test_a_yaml_file_is_checked_in_a_folder_that_cannot_be_listed(folder) -> None:
    place = folder.home.parent
    (place / "closed").mkdir()
    (place / "closed" / "a.png.yaml").write_text("depth: file\n")
    (place / "closed").chmod(0o111)
    with unprivileged():
        done = folder.verb("check", str(place / "closed" / "a.png.yaml"), str(place / "good.png"))
    assert (done.returncode, "Not checked: `depth: file` needs a depth picture" in done.stdout) == (0, True), done.stdout
