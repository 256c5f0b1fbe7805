"""No path below the inbox is resolved: the inbox is opened by its path, and everything in it from there.

Whoever may write to the inbox may exchange a folder in it for a link at any moment, so a path through it is never to be trusted.
A test of each place would miss the next one; this one reads every system call of the daemon, its workers and the verbs that look.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import MULTIPLANE, until
from tests.acceptance.quick import QuickFolder, quick_folder

STRACE = shutil.which("strace")

pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="strace is not installed"),
    pytest.mark.skipif(
        STRACE is not None and subprocess.run([STRACE, "-o", "/dev/null", "true"], check=False).returncode != 0,
        reason="strace is not allowed to trace here",
    ),
]


def traced(log: Path) -> tuple[str, ...]:
    """The command prefix that logs all system calls with paths, with bytes in hexadecimal."""
    return (str(STRACE), "-f", "-qq", "-y", "-xx", "-s", "4096", "-o", str(log), "-e", "trace=%file", "-e", "signal=none")


def below(log: Path, home: Path, inbox: Path) -> Iterator[str]:
    """Every call in a log that resolves a path below the inbox, from the root, the home or the inbox."""
    root = os.fsencode(os.path.realpath(inbox))
    for line in log.read_text().splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if match is None:
            continue
        call, arguments = match[1], match[2].partition(") = ")[0]
        for place, quoted in re.findall(r'(?:(?:AT_FDCWD|\b\d+)<((?:\\x[0-9a-f]{2})*)>, )?"((?:\\x[0-9a-f]{2})*)"', arguments):
            start = of_hex(place) or os.fsencode(home)
            path = of_hex(quoted)
            if path is None or (b"/" not in path and is_in(start, root)):
                continue  # one name in an open folder
            whole = os.path.join(start, path)
            if is_in(os.path.normpath(whole), root) and os.path.normpath(whole) != root:
                yield f"{call} {os.path.relpath(os.fsdecode(whole), inbox)}"


def is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def of_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickFolder]:
    """A first start, and one of everything that can happen to a drop, under strace; then the end."""
    with quick_folder(tmp_path_factory.mktemp("traced") / "home") as made:
        made.inbox.rmdir()
        made.start(before=traced(made.home / "calls"))
        live(made)
        stop(made)
        yield made


def live(made: QuickFolder) -> None:
    made.pair("pair.jpg")
    made.done("pair.jpg", 60)
    made.write("deep.depth.png")
    made.pair("deep.jpg")
    made.done("deep.jpg", 60)
    made.write("bare.jpg", folder="photo in 4 layers")
    made.done("bare.jpg", 60)
    (made.inbox / "trip").mkdir()
    for name in ("job.yaml", "one.jpg", "two.jpg"):
        made.write(name, folder="trip")
    made.done("one.jpg", 60)
    made.done("two.jpg", 60)
    until(lambda: not (made.inbox / "trip").exists(), 60)
    made.pair("torn.jpg", b"torn begin")
    made.waits("torn.jpg", "its end is missing", 60)
    with open(made.at("torn.jpg"), "ab") as file:
        file.write(b" end")
    made.done("torn.jpg", 60)
    # What nobody takes, and what stands for another thing than a picture.
    made.write("alone.jpg")
    (made.inbox / "x").symlink_to("/etc")
    (made.inbox / "neither").mkdir()
    made.write("odd.jpg", folder="neither")
    made.waits("alone.jpg", seconds=60)
    # The marker, deleted by somebody who tidies up.
    (made.inbox / ".multiplane").unlink()
    until((made.inbox / ".multiplane").exists, 60)


def stop(made: QuickFolder) -> None:
    """End the daemon itself; strace ends with it."""
    assert made.process is not None
    health = made.health()
    assert health is not None
    os.kill(health["pid"], signal.SIGTERM)
    made.process.wait(60)


def test_the_daemon_and_its_workers_walk_no_path_below_the_inbox(running: QuickFolder) -> None:
    assert sorted(set(below(running.home / "calls", running.home, running.inbox))) == []
    assert openings(running.home / "calls", running.inbox) > 50


def test_a_verb_that_looks_into_the_inbox_itself_walks_no_path_below_it(running: QuickFolder) -> None:
    log = running.home / "waiting calls"
    said = subprocess.run(
        [*traced(log), MULTIPLANE, "waiting"], env=running.environment, capture_output=True, text=True, check=True
    )
    assert "alone.jpg" in said.stdout
    assert openings(log, running.inbox) > 0
    assert sorted(set(below(log, running.home, running.inbox))) == []


def openings(log: Path, inbox: Path) -> int:
    """How often the inbox itself was opened: a log without that would prove nothing."""
    path = "".join(f"\\x{byte:02x}" for byte in os.fsencode(os.path.realpath(inbox)))
    return log.read_text().count(f'"{path}", O_')
