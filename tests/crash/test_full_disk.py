"""A completely full disk: the real daemon, with an outbox on a small disk that somebody else fills up.

The inbox is on another disk, so that a picture is taken by copying it.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import RealHome, wait_until

from daemon.doctor import facts
from daemon.doctor.model import Answer, Report
from daemon.fs import LocalFiles
from daemon.settings import load

MIB = 1 << 20
SMALL = 48 * MIB
#: A picture from which the worker makes 4 MiB (it writes it a thousand times).
GRAIN = b"x" * 4096


def mount(folder: Path) -> str | None:
    """Mount a small disk; returns why that is impossible, or None."""
    program = shutil.which("mount")
    if program is None:
        return "there is no mount program here"
    command = [program, "-t", "tmpfs", "-o", f"size={SMALL}", "multiplane-test", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if told.returncode == 0 else f"no disk can be mounted here: {told.stderr.strip()}"


class SmallHome(RealHome):
    """A home whose outbox is on a small disk; can fill that disk."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "MULTIPLANE_QUEUE__MIN_FREE_BYTES": str(4 * MIB)}

    @property
    def filler(self) -> Path:
        return self.outbox / ".filler"

    def free(self) -> int:
        found = os.statvfs(self.outbox)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave: int = 0) -> None:
        """Fill the disk, to the page, except for this many bytes."""
        with self.filler.open("ab", buffering=0) as file:
            while (room := self.free() - leave) > 0:
                try:
                    file.write(bytes(min(room, MIB)))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def make_room(self) -> None:
        self.filler.unlink()

    def health(self) -> dict:
        return json.loads((self.outbox / "daemon.json").read_bytes())

    def is_paused(self) -> bool:
        health = self.health()
        return health["state"] == "paused" and "the disk of the outbox is full" in health["problem"]

    def has(self, name: str, state: str) -> bool:
        return (status := self.status(self.outbox / name)) is not None and status["state"] == state

    def examine(self) -> Report:
        return facts.examine(lambda: load(self.path, self.environment()), LocalFiles())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHome]:
    home = SmallHome(tmp_path_factory.mktemp("small"))
    home.outbox.mkdir()
    if (why := mount(home.outbox)) is not None:
        pytest.skip(why)
    process = home.start()
    try:
        wait_until((home.outbox / "daemon.json").exists, 30)
        yield home
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
        subprocess.run(["umount", "--lazy", str(home.outbox)], check=True)


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the doctor's questions to the pipeline: they take seconds and have nothing to do with disks."""
    monkeypatch.setattr(facts, "_pipeline", lambda *_: Answer(failure="not asked"))


def check_reported(home: SmallHome) -> None:
    """Every view and command says why nothing happens."""
    wait_until(home.is_paused, 10)
    assert "Free some space" in home.health()["hint"]
    told = home.examine()
    assert not told.healthy
    problems = {finding.area: finding.sentence for finding in told.findings if finding.grade == "problem"}
    assert "disk of the outbox is full" in problems["space"]
    assert "paused" in problems["daemon"]


def check_done(home: SmallHome, name: str) -> None:
    wait_until(lambda: home.has(name, "completed"), 20)
    status = home.status(home.outbox / name)
    assert status is not None
    assert status["attempts"] == 1, "a full disk is no attempt"
    wait_until(lambda: home.health()["state"] == "running" and home.health()["problem"] is None, 10)
    assert "completed" in home.check_ended()


def test_full_before_a_picture_is_accepted_it_stays_in_the_inbox_and_says_why(home):
    home.fill()
    wait_until(home.is_paused, 10)
    home.drop("early", b"good early", "id: early\n")
    wait_until(lambda: any("disk of the outbox is full" in item["reason"] for item in home.health()["waiting"]), 10)
    check_reported(home)
    assert not home.jobs()
    home.check_visible()
    home.make_room()
    check_done(home, "early")


def test_full_while_a_picture_is_being_accepted_it_goes_on_when_there_is_room(home):
    home.fill(leave=5 * MIB)
    home.drop("claimed", b"good claimed " + bytes(6 * MIB), "id: claimed\n")
    wait_until(lambda: "cannot be moved into the outbox" in (home.health()["problem"] or ""), 10)
    assert os.strerror(errno.ENOSPC) in home.health()["problem"]
    assert (home.inbox / "claimed.jpg").exists(), "the original goes only when its copy is there"
    said = [finding.sentence for finding in home.examine().findings if finding.area == "daemon"]
    assert any("cannot be moved into the outbox" in sentence for sentence in said)
    home.check_visible()
    home.fill()
    check_reported(home)
    home.make_room()
    check_done(home, "claimed")
    assert not (home.inbox / "claimed.jpg").exists()


def test_full_while_a_picture_is_processed_it_is_no_attempt_and_runs_again(home, tmp_path):
    gate = tmp_path / "gate"
    home.drop("running", b"before %s\n" % os.fsencode(gate) + GRAIN, "id: running\n")
    wait_until(lambda: home.has("running", "processing"), 20)
    home.fill()
    gate.touch()
    wait_until(lambda: home.has("running", "pending"), 10)
    check_reported(home)
    home.check_visible()
    home.make_room()
    check_done(home, "running")


def test_full_while_a_result_is_published_it_appears_whole_and_its_status_with_it(home, tmp_path):
    gate = tmp_path / "gate"
    home.drop("result", b"after %s\n" % os.fsencode(gate) + GRAIN, "id: result\n")
    wait_until(lambda: list(home.outbox.glob(".work/*/result/layer_manifest.json")), 20)
    home.fill()
    gate.touch()
    wait_until(lambda: (home.outbox / "result" / "result").exists(), 10)
    check_reported(home)
    home.check_visible()
    home.make_room()
    check_done(home, "result")
