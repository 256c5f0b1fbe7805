"""A hot folder for each test: a real daemon process, the real pipeline, a real disk."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from daemon.cli import main
from tests.waiting import SLOWEST

MULTIPLANE = Path(sys.executable).parent / "multiplane"
ENDED = ("completed", "failed", "cancelled")


def until(what: Callable[[], object], seconds: float = 60.0, *, pause: float = 0.05) -> object:
    """Poll until something is true, and return it; fail the test if it does not become true."""
    deadline = time.monotonic() + seconds * SLOWEST
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(pause)
    raise AssertionError(f"did not happen within {seconds * SLOWEST} s")


class HotFolder:
    """One home and, while it runs, its daemon."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inbox = home / "inbox"
        self.outbox = home / "outbox"
        self.inbox.mkdir(parents=True)
        self.settings = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_INTAKE__SETTLE_SECONDS": "0.5"}
        # Nobody who runs the tests wants to be told on the desktop.
        self.settings |= {f"MULTIPLANE_NOTIFICATIONS__{kind}": "false" for kind in ("BATCHES", "SINGLES", "FAILURES")}
        self.process: subprocess.Popen[bytes] | None = None
        #: What the daemon's command begins with.
        self.within: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the daemon and of all commands."""
        return dict(os.environ) | {"MULTIPLANE_HOME": str(self.home)} | self.settings

    def start(self) -> None:
        """Start the daemon, and wait until it reports that it runs."""
        with (self.home / "daemon.out").open("ab") as log:
            self.process = subprocess.Popen([*self.within, MULTIPLANE, "run"], env=self.environment, stdout=log, stderr=log)
        pid = self.process.pid
        until(lambda: (health := self.health()) and health["pid"] == pid and health["state"] == "running")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the daemon; returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(15 * SLOWEST)
        self.process = None
        return status

    def is_alive(self) -> bool:
        """Whether the daemon runs and reports so."""
        return self.process is not None and self.process.poll() is None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        return subprocess.run(
            [MULTIPLANE, *arguments], env=self.environment, capture_output=True, text=True, timeout=100, check=False
        )

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, where a separate process would prove no more."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["multiplane", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, out.getvalue(), err.getvalue())

    def health(self) -> dict | None:
        """daemon.json."""
        return self._json(self.outbox / "daemon.json")

    def statuses(self) -> list[dict]:
        """The status.json of every job, oldest first."""
        paths = sorted(self.outbox.glob("*/status.json"))
        return [status for path in paths if (status := self._json(path))]

    def of(self, image: str) -> list[dict]:
        """The jobs made from a picture with that name."""
        return [status for status in self.statuses() if status["source"]["image"] == image]

    def ended(self, image: str, seconds: float = 60.0) -> dict:
        """Wait for the one job of a picture to end."""
        found = until(lambda: [status for status in self.of(image) if status["state"] in ENDED], seconds)
        assert isinstance(found, list)
        assert len(self.of(image)) == 1
        return found[0]

    def job(self, status: dict) -> Path:
        """The folder of a job."""
        return self.outbox / status["job_id"]

    def workers(self) -> list[psutil.Process]:
        """The worker processes of this home."""
        mine = str(self.outbox / ".work")
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(mine) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def drop(self, name: str, data: bytes, sidecar: str | None = "", old: bool = True) -> None:
        """Drop a picture and its sidecar as a program would: temporary name, rename, sidecar last."""
        self.put(name, data, old=old)
        if sidecar is not None:
            self.put(f"{name}.yaml", sidecar.encode() or b"num_layers: 2\n")

    def put(self, name: str, data: bytes, old: bool = True) -> None:
        """Make one file appear by rename; `old`: as if it had not been written to for an hour."""
        temporary = self.inbox / f".{os.urandom(4).hex()}.part"
        temporary.write_bytes(data)
        if old:
            then = time.time() - 3600
            os.utime(temporary, (then, then))
        temporary.rename(self.inbox / name)

    @staticmethod
    def _json(path: Path) -> dict | None:
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None


def picture(width: int = 66, height: int = 44, *, seed: int = 1, form: str = "PNG") -> bytes:
    """A small photo-like picture: a gradient, a disc and some noise.

    Without a size, it is too narrow to be searched for figures (`pipeline.depth.figures.finding.NARROWEST`): the search would
    take four fifths of the job. `test_pictures.py` has photos with figures.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), np.full_like(x, 90)], axis=2)
    pixels[(x - width / 2) ** 2 + (y - height * 0.7) ** 2 < (min(width, height) / 4) ** 2] = (200, 60, 40)
    pixels = np.clip(pixels + rng.integers(-6, 7, pixels.shape), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def composited(result: Path) -> np.ndarray:
    """The layers over each other in 8 bits, back to front by their file names."""
    files = sorted(result.glob("Layer_*.png"), key=lambda path: int(path.name.split("_")[1]))
    canvas = Image.open(files[0]).convert("RGBA")
    for path in files[1:]:
        canvas.alpha_composite(Image.open(path))
    return np.asarray(canvas)
