"""A dropped folder from which the daemon's user may not remove files waits with the reason, and blocks nobody."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import until
from tests.acceptance.quick import PROGRAM, QuickFolder, quick_folder

#: Not root, and nobody that owns files here.
SOMEBODY = 54321
REASON = "cannot be taken: the folder"


def as_somebody() -> list[str]:
    """The command prefix that starts a program as an unprivileged user; empty if this process is one already."""
    if os.geteuid() != 0:
        return []
    if setpriv := shutil.which("setpriv"):
        # Root's interpreter may lie where nobody else may read. The right to read is all that is added.
        rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        return [setpriv, f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", *rights]
    drop = f"import os, sys; os.setgroups([]); os.setgid({SOMEBODY}); os.setuid({SOMEBODY}); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", drop]


@pytest.fixture
def folder() -> Iterator[QuickFolder]:
    """A home that belongs to that user."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    try:
        with quick_folder(place / "home") as made:
            for path in (made.home, made.inbox):
                path.chmod(0o755)
                if os.geteuid() == 0:
                    os.chown(path, SOMEBODY, SOMEBODY)
            yield made
    finally:
        for path in place.glob("home/inbox/*/"):
            path.chmod(0o755)
        shutil.rmtree(place)


def drop_shut(folder: QuickFolder, pictures: int) -> Path:
    """Drop a folder with a preset and pictures that belongs to another user (umask 022), or is read-only if not root."""
    made = folder.home / "made"
    made.mkdir()
    (made / "_preset.yaml").write_text("num_layers: 3\n")
    then = time.time() - 3600
    for number in range(pictures):
        (made / f"{number:04}.jpg").write_bytes(b"good")
        os.utime(made / f"{number:04}.jpg", (then, then))
    for path in (*made.iterdir(), made):
        path.chmod(0o755 if path == made else 0o644)
    made.rename(shut := folder.inbox / "theirs")
    shut.chmod(0o755 if os.geteuid() == 0 else 0o555)
    return shut


def shut_out(folder: QuickFolder) -> int:
    """How many pictures wait because their folder cannot be emptied; 0 if any of the listed ones gives another reason."""
    health = folder.health()
    return health["waiting_total"] if all(REASON in item["reason"] for item in health["waiting"]) else 0


def test_more_pictures_than_the_queue_holds_in_a_folder_that_cannot_be_emptied_hinder_nobody(folder: QuickFolder) -> None:
    shut = drop_shut(folder, 1100)
    folder.start(as_somebody())
    until(lambda: folder.health()["waiting_total"] >= 1100)
    folder.pair("mine.jpg")
    mine = folder.done("mine.jpg")
    reasons = until(lambda: shut_out(folder) == 1100 and folder.waiting())
    assert {path.split("/")[0] for path in reasons} == {"theirs"}
    assert all("chmod" in why for why in reasons.values())
    assert [job["job_id"] for job in json.loads(folder.verb("jobs", "--json").stdout)] == [mine["job_id"]]
    # Those that are being tried again are left out for a moment.
    until(lambda: "theirs/0000.jpg" in (said := folder.verb("waiting", "--json").stdout) and REASON in said)
    refused = folder.verb("cancel", "0000.jpg")
    assert (refused.returncode, "0000.jpg is still in the inbox" in refused.stderr) == (4, True), refused
    assert len(list(shut.glob("*.jpg"))) == 1100
    # To make a thousand jobs of them would prove no more than to make five. The daemon must not see the others once it may.
    folder.process.send_signal(signal.SIGSTOP)
    shut.chmod(0o777)
    for path in sorted(shut.glob("*.jpg"))[5:]:
        path.unlink()
    folder.process.send_signal(signal.SIGCONT)
    until(lambda: [status["state"] for status in folder.statuses()] == ["completed"] * 6)
    assert {status["source"]["image"] for status in folder.statuses()} == {f"{n:04}.jpg" for n in range(5)} | {"mine.jpg"}
    assert not list(shut.glob("*.jpg"))


def test_a_run_until_all_is_done_ends_when_only_such_pictures_are_left_and_says_why(folder: QuickFolder) -> None:
    shut = drop_shut(folder, 5)
    folder.pair("mine.jpg")
    argv = [*as_somebody(), sys.executable, "-P", str(PROGRAM), str(folder.home), "--once"]
    done = subprocess.run(argv, env=folder.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert folder.of("mine.jpg")[0]["state"] == "completed"
    assert len(list(shut.glob("*.jpg"))) == 5
    [last] = [line for line in done.stderr.splitlines() if "stay in the inbox" in line]
    assert "5 items stay" in last
    assert REASON in last
