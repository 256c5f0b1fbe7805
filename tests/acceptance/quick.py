"""A hot folder with the real daemon and a worker that finishes at once, for tests about files rather than pictures."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.acceptance.home import HotFolder, until
from tests.waiting import SLOWEST

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "programs" / "quick_daemon.py"
WORKER = str(PROGRAM.with_name("quick_worker.py"))


class QuickFolder(HotFolder):
    """One home. Names are bytes, as on the disk."""

    #: What its program is told beside the home.
    options: Sequence[str] = ()

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.settings |= {
            "MULTIPLANE_INTAKE__GRACE_SECONDS": "1",
            "MULTIPLANE_WORKER__GRACE_SECONDS": str(2 * SLOWEST),
            "PYTHONPATH": str(ROOT),
        }

    def start(self, before: Sequence[str] = ()) -> None:
        """Start the daemon, optionally through another program `before` it, and wait until it reports that it runs."""
        old = (self.health() or {"started_at": None})["started_at"]
        with (self.home / "daemon.out").open("ab") as log:
            argv = [*before, sys.executable, "-P", str(PROGRAM), str(self.home), *self.options]
            self.process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)
        until(lambda: (health := self.health()) and health["started_at"] != old and health["state"] == "running")

    def prepare(self) -> None:
        """Run the daemon once, so that the folders and markers exist."""
        self.start()
        self.stop()

    def log(self) -> str:
        """The daemon's output so far."""
        return (self.home / "daemon.out").read_text()

    def write(self, name: str | bytes, data: bytes = b"num_layers: 3\n", folder: str = "") -> bytes:
        """Write a file in place, as a careless program does, and return its path. The default content serves as either file."""
        path = self.at(name, folder)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def at(self, name: str | bytes, folder: str = "") -> bytes:
        """The path of a name in the inbox."""
        return os.path.join(os.fsencode(self.inbox), folder.encode(), name if isinstance(name, bytes) else name.encode())

    def pair(self, name: str, data: bytes = b"good", sidecar: bytes = b"num_layers: 3\n", folder: str = "") -> None:
        """Drop a picture and its sidecar by rename."""
        for end, content in (("", data), (".yaml", sidecar)):
            temporary = self.at(f".{name}{end}.part", folder)
            with open(temporary, "wb") as file:
                file.write(content)
            os.rename(temporary, self.at(name + end, folder))

    def waiting(self) -> dict[str, str]:
        """The waiting list: path and reason."""
        return {item["path"]: item["reason"] for item in (self.health() or {"waiting": []})["waiting"]}

    def waits(self, path: str, words: str = "", seconds: float = 15.0) -> str:
        """Wait until something waits for a reason that contains these words."""
        return str(until(lambda: (reason := self.waiting().get(path)) is not None and words in reason and reason, seconds))

    def done(self, image: str, seconds: float = 15.0) -> dict:
        """Wait for the one job of a picture to be completed."""
        status = self.ended(image, seconds)
        assert status["state"] == "completed", status["error"]
        return status

    def source(self, status: dict) -> list[bytes]:
        """What is in the source folder of a job, sorted."""
        return sorted(os.listdir(os.path.join(os.fsencode(self.job(status)), b"source")))


@contextlib.contextmanager
def quick_folder(home: Path, **settings: str) -> Iterator[QuickFolder]:
    """A home without a running daemon; whatever runs at the end is killed."""
    made = QuickFolder(home)
    made.settings |= settings
    try:
        yield made
    finally:
        if made.process and made.process.poll() is None:
            # What was started may be strace, which leaves the daemon behind.
            started = psutil.Process(made.process.pid)
            for process in (*started.children(recursive=True), started):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            made.process.wait()
