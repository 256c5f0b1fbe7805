"""A home with the real daemon and the fast worker, for tests that kill it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.waiting import SLOWEST

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).resolve().parent / "programs" / "service.py"


class RealHome:
    """The folders of a home; drops pairs into its inbox."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inbox, self.outbox = path / "inbox", path / "outbox"
        self.dropped: dict[str, str] = {}
        #: Settings of this home, by the names of their variables.
        self.variables: dict[str, str] = {}

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-P", str(PROGRAM), str(self.path), *options]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MULTIPLANE_CONFIG": os.devnull,
            "MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5",
            "MULTIPLANE_QUEUE__MAX_CONCURRENT_JOBS": "2",
            **self.variables,
        }

    def start(self, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start the daemon, optionally through another program."""
        return subprocess.Popen(
            [*before, *self.command(*options)],
            env=self.environment(),
            cwd=self.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str, before: tuple[str, ...] = (), seconds: float = 40.0) -> tuple[int, str]:
        """Run the daemon until it ends; returns its exit status and output."""
        process = self.start(*options, before=before)
        try:
            _out, said = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            _out, said = process.communicate()
            raise AssertionError(f"it did not end: {said[-1000:]}") from None
        return process.returncode, said

    def drop(self, name: str, picture: bytes, spec: str = "") -> None:
        """Drop a pair in the documented way: under temporary names first, the sidecar's rename last."""
        self.inbox.mkdir(parents=True, exist_ok=True)
        for ending, data in ((".jpg", picture), (".yaml", f"{spec}# of {name}\n".encode())):
            part = self.inbox / f".{name}{ending}.part"
            part.write_bytes(data)
            self.dropped[hashlib.sha256(data).hexdigest()] = name + ending
            part.rename(self.inbox / (name + ending))

    def jobs(self) -> dict[str, Path]:
        if not self.outbox.is_dir():
            return {}
        return {path.name: path for path in self.outbox.iterdir() if path.is_dir() and not path.name.startswith(".")}

    def status(self, job: Path) -> dict | None:
        try:
            return json.loads((job / "status.json").read_bytes())
        except FileNotFoundError:
            return None

    def check_visible(self) -> int:
        """Check that results and statuses are complete and `completed` has its files; returns the number of results."""
        return sum(self.check_job(job) for job in self.jobs().values())

    def check_job(self, job: Path) -> bool:
        """The same for one job; returns whether it has a result."""
        status = self.status(job)
        shown = (job / "result").is_dir()
        if shown:
            manifest = json.loads((job / "result" / "layer_manifest.json").read_bytes())
            for layer in manifest["layers"]:
                assert sha256(job / "result" / layer["file"]) == layer["sha256"], f"{job.name} is half done"
        if status and status["state"] == "completed":
            for output in status["outputs"]:
                assert sha256(job / output["path"]) == output["sha256"], f"{job.name}: {output['path']}"
        return shown

    def check_ended(self) -> dict[str, int]:
        """Check that everything dropped is kept once and every job ended; returns how many ended in each state."""
        places: dict[str, list[Path]] = {}
        for folder in (self.inbox, *(job / "source" for job in self.jobs().values())):
            for path in folder.iterdir():
                if path.is_file():
                    places.setdefault(sha256(path), []).append(path)
        for digest, name in self.dropped.items():
            assert len(places.get(digest, [])) == 1, f"{name} is in {places.get(digest)}"
        states: dict[str, int] = {}
        for job in self.jobs().values():
            status = self.status(job)
            assert status is not None, f"{job.name} has no status"
            assert status["state"] in ("completed", "failed", "cancelled"), f"{job.name} is {status['state']}"
            states[status["state"]] = states.get(status["state"], 0) + 1
            pictures = [path for path in (job / "source").iterdir() if path.suffix == ".jpg"]
            assert len(pictures) == 1, f"{job.name} has {pictures}"
        pictures = sum(name.endswith(".jpg") for name in self.dropped.values())
        waiting = sum(path.suffix == ".jpg" for path in self.inbox.iterdir())
        assert sum(states.values()) + waiting == pictures, "a picture became two jobs, or none"
        self.check_visible()
        return states


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wait_until(condition, seconds: float) -> None:
    """Poll for a condition; fail after that many seconds on an idle machine."""
    limit = time.monotonic() + seconds * SLOWEST
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)
