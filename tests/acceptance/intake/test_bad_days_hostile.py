"""Hostile drops, and the hazards of a Mac as far as they can be reproduced elsewhere: an attacker gains nothing."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.claiming.downloads import Downloads
from daemon.intake import Entry, Folder, Memory, Scan, step
from tests.acceptance.home import until
from tests.acceptance.quick import QuickFolder, quick_folder

YAML_BOMBS = {
    "aliases": b"a: &a [x]\nb: [*a, *a]\n",
    "merge keys": b"a: &a {b: 1}\n<<: [*a, *a]\n",
    "brackets": b"[" * 65536,
    "too long": b"# " + b"x" * (1 << 20),
    "an object": b"!!python/object:os.system {}\n",
    "a path": b"image: ../../etc/passwd\n",
    "no number": b"strength: .nan\n",
    "a long number": b"seed: " + b"9" * 5000 + b"\n",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    with quick_folder(tmp_path_factory.mktemp("hostile") / "home") as made:
        made.start()
        yield made


def test_links_pipes_and_sockets_are_refused_and_named_and_never_opened(running: QuickFolder) -> None:
    os.symlink("/etc/passwd", running.at("passwd.jpg"))
    os.symlink("loop.jpg", running.at("loop.jpg"))
    os.mkfifo(running.at("pipe.jpg"))
    listening = socket.socket(socket.AF_UNIX)
    os.chdir(running.inbox)  # the name of a socket has 108 bytes at the most
    listening.bind("socket.jpg")
    elsewhere = running.home / "elsewhere.jpg"
    elsewhere.write_bytes(b"x")
    os.link(elsewhere, running.at("hard.jpg"))
    words = {"passwd": "symbolic link", "loop": "symbolic link", "pipe": "named pipe", "socket": "socket", "hard": "hard link"}
    for name, reason in words.items():
        running.write(f"{name}.jpg.yaml")
        assert ": " in running.waits(f"{name}.jpg", reason), "what to do follows a colon"
    assert not {status["source"]["image"] for status in running.statuses()} & {f"{name}.jpg" for name in words}
    listening.close()
    for name in words:
        os.unlink(running.at(f"{name}.jpg"))
        os.unlink(running.at(f"{name}.jpg.yaml"))


@pytest.mark.parametrize("what", YAML_BOMBS)
def test_a_sidecar_made_to_harm_fails_its_own_job_alone(running: QuickFolder, what: str) -> None:
    running.pair(f"{what}.jpg", sidecar=YAML_BOMBS[what])
    status = running.ended(f"{what}.jpg")
    assert status["state"] == "failed"
    assert status["error"]["code"] in ("spec_invalid", "spec_unreadable")
    assert running.is_alive()
    until(lambda: f"{what}.jpg" in (running.health()["last_refusal"] or ""), 5)


def test_job_folders_planted_in_the_outbox_are_nobodys_and_harm_nothing(running: QuickFolder) -> None:
    planted = running.outbox / "mine"
    (planted / "source").mkdir(parents=True)
    (planted / "status.json").write_text('{"state": "completed", "source": {"image": "forged.jpg"}}')
    os.symlink("/etc", running.outbox / "linked")
    for name in ("mine", "linked"):
        running.pair(f"wants {name}.jpg", sidecar=f"id: {name}\n".encode())
        status = running.ended(f"wants {name}.jpg")
        assert status["error"]["code"] == "id_taken"
    assert os.listdir(planted / "source") == []
    shutil.rmtree(planted)
    os.unlink(running.outbox / "linked")


def test_a_program_named_jpg_is_taken_as_a_picture_and_nothing_else(running: QuickFolder) -> None:
    """A worker finds out whether it is a picture; the daemon never reads its content."""
    running.pair("program.jpg", b"#!/bin/sh\ntouch /tmp/never\n")
    status = running.done("program.jpg")
    assert (running.job(status) / "source" / "program.jpg").stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("path", [".state", "outbox/.work"])
def test_the_folders_of_the_daemon_are_not_reached_through_a_batch_name(running: QuickFolder, path: str) -> None:
    """`images:` of a batch accepts names and globs, not paths."""
    place = running.inbox / "sly"
    place.mkdir()
    (place / "job.yaml").write_text(f'images: ["../../{path}/*"]\n')
    (place / "sly.jpg").write_bytes(b"good")
    assert "images" in running.waits("sly/sly.jpg")
    assert running.of("sly.jpg") == []
    shutil.rmtree(place)
    until(lambda: "sly/sly.jpg" not in running.waiting())


def test_a_hundred_thousand_old_ignored_files_simulated_by_a_fiftieth_cost_no_time(running: QuickFolder) -> None:
    for number in range(2_000):
        running.write(f".old{number}", b"")
    running.pair("among many.jpg")
    running.done("among many.jpg")
    for number in range(2_000):
        os.unlink(running.at(f".old{number}"))


def entry(name: bytes, **more: object) -> Entry:
    return Entry(name, "file", 1, len(name), 3, 1000, **more)


@pytest.mark.parametrize("birth", [443779200.0, -2082844800.0, -753578704.0])
@pytest.mark.parametrize("where", ["file", "parent"])
def test_finders_birth_times_simulated_hold_for_ten_minutes_on_the_file_or_its_parent(birth: float, where: str) -> None:
    files = {name: entry(name, birth=birth if where == "file" else None) for name in (b"a.jpg", b"a.jpg.yaml", b"_preset.yaml")}
    from daemon.intake import Control

    folder = Folder(b"set", files, None, birth if where == "parent" else None, (Control("preset", files[b"_preset.yaml"]),))
    memory = Memory()
    for now in (0.0, 5.0, 599.0):
        decision = step(memory, Scan((Folder(b"", {}), folder), False, now))
        memory = decision.memory
        assert decision.ready == ()
        assert any("Finder is still copying" in item.reason for item in decision.waiting)
    for now in (601.0, 605.0):
        decision = step(memory, Scan((Folder(b"", {}), folder), False, now))
        memory = decision.memory
    assert [pair.image.name for pair in decision.ready] == [b"a.jpg"]


def test_a_picture_in_icloud_simulated_waits_and_is_asked_for_once() -> None:
    files = {b"cloud.jpg": entry(b"cloud.jpg", dataless=True), b"cloud.yaml": entry(b"cloud.yaml")}
    decision = step(Memory(), Scan((Folder(b"", files),), False, 0.0))
    assert decision.downloads == {b"": frozenset({b"cloud.jpg"})}
    assert any("iCloud" in item.reason for item in decision.waiting)
    asked: list[bytes] = []
    downloads = Downloads(lambda path: asked.append(path))
    for now in (0.0, 5.0, 10.0):
        downloads.ask([b"/inbox/cloud.jpg"], now)
    assert asked == [b"/inbox/cloud.jpg"]
    downloads.ask([], 20.0)
    downloads.ask([b"/inbox/cloud.jpg"], 25.0)
    assert len(asked) == 2


def test_a_request_to_icloud_does_not_wait_and_leaves_no_process_behind(tmp_path: Path) -> None:
    import subprocess

    programs: list[subprocess.Popen[bytes]] = []

    def request(path: bytes) -> subprocess.Popen[bytes]:
        programs.append(subprocess.Popen(["sleep", "0.2"]))
        return programs[-1]

    downloads = Downloads(request)
    paths = [b"/%d" % number for number in range(6)]
    downloads.ask(paths, 0.0)
    assert len(programs) == 4, "no more than a few at once"
    for program in programs:
        until(lambda program=program: Path(f"/proc/{program.pid}/stat").read_text().split()[2] == "Z", 5)
    downloads.ask(paths, 1.0)
    assert len(programs) == 6
    assert all(program.returncode == 0 for program in programs[:4])
    for program in programs[4:]:
        program.wait()
