"""No path below the outbox is resolved: the outbox is opened by its path, and everything in it from there.

What a worker does is left out: it is told its folders by their paths, and its sandbox lets it write in its attempt folder alone.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import MULTIPLANE, until
from tests.acceptance.quick import WORKER, QuickFolder, quick_folder
from tests.security.test_inbox_paths import below, openings, pytestmark, stop, traced

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    """Two runs of a daemon under strace: jobs that end in each way, a retry, a removal, a trashed folder, a kill."""
    with quick_folder(tmp_path_factory.mktemp("traced") / "home") as made:
        made.inbox.rmdir()
        made.start(before=traced(made.home / "first"))
        live(made)
        end(made, signal.SIGKILL)
        made.start(before=traced(made.home / "second"))
        (stuck,) = made.of("stuck.jpg")
        assert made.run("cancel", stuck["job_id"]).returncode == 0
        made.pair("after.jpg")
        made.done("after.jpg", 60)
        stop(made)
        yield made


def live(made: QuickFolder) -> None:
    made.pair("good.jpg")
    done = made.done("good.jpg", 60)
    made.pair("bad.jpg", sidecar=b"num_layers: many\n")
    failed = made.ended("bad.jpg", 90)
    assert failed["state"] == "failed"
    assert made.run("retry", failed["job_id"]).returncode == 0
    made.pair("slow.jpg", b"hang")
    until(lambda: any(status["state"] == "processing" for status in made.of("slow.jpg")), 60)
    (slow,) = made.of("slow.jpg")
    assert made.run("cancel", slow["job_id"]).returncode == 0
    assert made.ended("slow.jpg", 60)["state"] == "cancelled"
    assert made.run("rm", done["job_id"]).returncode == 0
    until(lambda: not made.job(done).exists(), 60)
    (made.outbox / "index.html").unlink()
    (made.outbox / ".multiplane").unlink()
    until((made.outbox / ".multiplane").exists, 60)
    made.pair("stuck.jpg", b"hang")
    until(lambda: any(status["state"] == "processing" for status in made.of("stuck.jpg")), 60)


def end(made: QuickFolder, number: signal.Signals) -> None:
    assert made.process is not None
    health = made.health()
    assert health is not None
    os.kill(health["pid"], number)
    made.process.wait(60)


def without_workers(log: Path) -> Path:
    """The log without the processes that became workers."""
    lines = log.read_text().splitlines()
    worker = "".join(f"\\x{byte:02x}" for byte in os.fsencode(WORKER))
    theirs = {line.split()[0] for line in lines if re.match(r"\d+ +execve\(", line) and worker in line}
    assert theirs
    kept = log.with_suffix(".daemon")
    kept.write_text("\n".join(line for line in lines if line.split()[0] not in theirs))
    return kept


@pytest.mark.parametrize("life", ["first", "second"])
def test_the_daemon_walks_no_path_below_the_outbox(running: QuickFolder, life: str) -> None:
    log = without_workers(running.home / life)
    assert sorted(set(below(log, running.home, running.outbox))) == []
    assert openings(log, running.outbox) > 50


#: It starts PyTorch, which takes longer than all else in here.
DOCTOR = pytest.param(("doctor",), marks=pytest.mark.skipif("SOAK_TESTS" not in os.environ, reason="part of make soak"))


@pytest.mark.parametrize("verb", [("show",), ("waiting",), DOCTOR])
def test_a_verb_walks_no_path_below_the_outbox(running: QuickFolder, verb: tuple[str, ...]) -> None:
    if verb == ("show",):
        (after,) = running.of("after.jpg")
        verb = ("show", after["job_id"])
    log = running.home / f"verb {verb[0]}"
    subprocess.run([*traced(log), MULTIPLANE, *verb], env=running.environment, capture_output=True, check=False, timeout=100)
    assert openings(log, running.outbox) > 0
    assert sorted(set(below(log, running.home, running.outbox))) == []
