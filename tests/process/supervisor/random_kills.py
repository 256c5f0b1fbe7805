"""Kills the daemon at random moments while workers run.

Run: python -m tests.process.supervisor.random_kills [KILLS [SEED]]; by default 200, as part of `make soak`. The suite runs a few.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.acceptance.home import ENDED, HotFolder, picture, until
from tests.waiting import SLOWEST

#: How long a worker, a guardian or a grandchild may be left after its daemon was killed, seconds.
ORPHAN_SECONDS = 5.0


class Storm:
    """A home, a steady supply of pictures, and the invariants.

    Args:
        folder: for the home.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.home = HotFolder(folder / "home")
        self.random = random.Random(seed)
        self.dropped: dict[str, bytes] = {}

    def drop(self, *, size: tuple[int, int] = (160, 120), layers: int = 3) -> str:
        """Drop one more picture."""
        name = f"photo-{len(self.dropped)}.png"
        self.dropped[name] = picture(*size, seed=len(self.dropped) + 1)
        self.home.drop(name, self.dropped[name], f"num_layers: {layers}\ndepth: cues\n")
        return name

    def family(self) -> list[psutil.Process]:
        """The workers, found by their working directory, and all members of their groups."""
        groups = set()
        for worker in self.home.workers():
            try:
                groups.add(os.getpgid(worker.pid))
            except ProcessLookupError:
                continue
        return [each for each in psutil.process_iter() if _group(each) in groups and _lives(each)]

    def kill_the_daemon(self, most_seconds: float = 1.5) -> float:
        """Start the daemon, kill it after a random time; returns how long its workers lived on, in seconds."""
        self.home.start()
        self.drop()
        time.sleep(self.random.uniform(0.0, most_seconds))
        family = self.family()
        self.home.stop(signal.SIGKILL)
        killed = time.monotonic()
        while left := [each for each in (*family, *self.home.workers()) if _lives(each)]:
            assert time.monotonic() - killed < ORPHAN_SECONDS * SLOWEST, f"left by the daemon: {left}"
            time.sleep(0.01)
        return time.monotonic() - killed

    def settle(self) -> None:
        """Wait until everything has ended; check that each job ran once and nothing is left over."""
        self.home.start()
        until(lambda: all(self.home.of(name) and self.home.of(name)[0]["state"] in ENDED for name in self.dropped), 300)
        self.home.stop()
        for name, data in self.dropped.items():
            (status,) = self.home.of(name)
            # A job that saw its daemon die may have used up its attempts, but must say so.
            assert status["state"] == "completed" or status["error"]["code"] == "worker_crashed", status
            assert (self.home.job(status) / "source" / name).read_bytes() == data
            assert (self.home.job(status) / "result").is_dir() == (status["state"] == "completed")
        assert os.listdir(self.home.outbox / ".work") == []


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kills(folder: Path, count: int, seed: int) -> list[float]:
    """Kill the daemon this many times; returns how long its workers lived on each time, in seconds."""
    storm = Storm(folder, seed)
    try:
        lived = [storm.kill_the_daemon() for _ in range(count)]
        storm.settle()
    finally:
        _end(storm.home)
    return lived


def _end(home: HotFolder) -> None:
    if home.process and home.process.poll() is None:
        home.process.kill()
        home.process.wait()


def _line(what: str, seconds: list[float]) -> str:
    ranked = sorted(seconds)
    return f"{what}: {len(ranked)} times, median {ranked[len(ranked) // 2]:.2f} s, worst {ranked[-1]:.2f} s"


def main(arguments: list[str]) -> int:
    """Run it."""
    many, seed = (*map(int, arguments), *(200, 1)[len(arguments) :])
    with tempfile.TemporaryDirectory() as folder:
        lived = kills(Path(folder), many, seed)
    print(_line("workers after a kill of the daemon", lived))
    return 1 if max(lived) > ORPHAN_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
