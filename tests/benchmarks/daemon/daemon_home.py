"""A running daemon for benchmarks: its worker never becomes ready, so that only claims are measured."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from daemon.contract.messages import PROTOCOL_VERSION

ROOT = Path(__file__).resolve().parents[3]
QUICK = "BENCH_QUICK" in os.environ
WORKER = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)")
#: Becomes ready at once, and waits for a job as long as the daemon lives.
READY_WORKER = (
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import json, os, sys\n"
    "fd = int(sys.argv[sys.argv.index('--events-fd') + 1])\n"
    f"hello = {{'type': 'hello', 'protocol': {PROTOCOL_VERSION}, 'pid': os.getpid()}}\n"
    "for event in (hello, {'type': 'ready', 'warm': 'light'}):\n"
    "    os.write(fd, json.dumps(event).encode() + b'\\n')\n"
    "sys.stdin.read()",
)


class Home:
    """A home and its daemon; the journal is read from the disk, as anybody could."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.home, self.inbox = folder, folder / "inbox"
        self.inbox.mkdir()
        self._journal: dict[Path, int] = {}
        self._settings = settings
        self.accepted: dict[str, float] = {}
        self.claimed = 0
        self.twice = 0

    @contextmanager
    def running(self, worker: Sequence[str] = WORKER) -> Iterator[psutil.Process]:
        """The daemon, from its start to its end."""
        code = (
            "import os, sys\nfrom pathlib import Path\nfrom loguru import logger\nfrom daemon.fs import LocalFiles\n"
            "from daemon.service import assemble\nfrom daemon.settings import load\nlogger.remove()\n"
            f"assemble(load(Path({str(self.home)!r}), os.environ), LocalFiles(), argv={tuple(worker)!r}).run()"
        )
        environment = (
            os.environ
            | {"MULTIPLANE_CONFIG": "", "MULTIPLANE_FOLDERS__MODELS": ".state/models", "PYTHONPATH": str(ROOT)}
            | self._settings
        )
        process = subprocess.Popen([sys.executable, "-P", "-c", code], env=environment)
        try:
            while not (self.home / "outbox" / "daemon.json").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the daemon ended with status {process.returncode}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def read_journal(self) -> None:
        """Take in what was written since the last time: every `accepted` with the moment at which it was seen here."""
        now = time.monotonic()
        for path in sorted((self.home / ".state" / "journal").glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._journal.get(path, 0))
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._journal[path] = self._journal.get(path, 0) + whole
            for line in data[:whole].splitlines():
                if b'"event":"accepted"' in line and (record := json.loads(line))["event"] == "accepted":
                    name = record["files"][0]["name"]
                    self.twice += name in self.accepted
                    self.accepted[name] = now
                self.claimed += b'"event":"claimed"' in line

    def drop(self, name: str) -> float:
        """A pair the safe way; the moment after the last rename."""
        for ending in (".jpg", ".jpg.yaml"):
            temporary = self.inbox / f".{name}{ending}.part"
            temporary.write_bytes(b"num_layers: 3\n")
            temporary.rename(self.inbox / f"{name}{ending}")
        return time.monotonic()


@contextmanager
def a_home(**settings: str) -> Iterator[Home]:
    """A home that is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="hotfolder"))
    try:
        yield Home(folder, **settings)
    finally:
        shutil.rmtree(folder)


def verdict(is_ok: bool) -> str:
    """How a bar is told."""
    return "ok" if is_ok else "MISS"


class Table:
    """Prints its lines, each with the time since the one before."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def row(self, what: str, found: str) -> None:
        """What was measured, and what was found."""
        now = time.monotonic()
        print(f"{what:24} {found} [{now - self.began:.0f} s]", flush=True)
        self.began = now
