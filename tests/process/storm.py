"""Storms: the daemon killed at random moments under load, and jobs cancelled at random moments of the real pipeline.

Run: python -m tests.process.storm [KILLS [CANCELS [SEED]]]; by default 200 and 100, as part of `make soak`. The suite runs a few.
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

#: How long a worker, a guardian or a grandchild may be left after its daemon was killed, seconds.
ORPHAN_SECONDS = 5.0
#: How long a cancel may take until the status says so, seconds.
CANCEL_SECONDS = 1.0


class Storm:
    """A home, pictures that keep coming, and what must hold whatever happens.

    Args:
        folder: for the home.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.home = HotFolder(folder / "home")
        self.random = random.Random(seed)
        self.dropped: dict[str, bytes] = {}

    def drop(self, *, size: tuple[int, int] = (160, 120), layers: int = 3) -> str:
        """One more picture."""
        name = f"photo-{len(self.dropped)}.png"
        self.dropped[name] = picture(*size, seed=len(self.dropped) + 1)
        self.home.drop(name, self.dropped[name], f"num_layers: {layers}\ndepth: cues\n")
        return name

    def family(self) -> list[psutil.Process]:
        """Workers, told by their working directory, and all in their groups: guardians and grandchildren."""
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
            assert time.monotonic() - killed < ORPHAN_SECONDS, f"left by the daemon: {left}"
            time.sleep(0.01)
        return time.monotonic() - killed

    def settle(self) -> None:
        """Let everything end; each job once, its picture whole, nothing left over."""
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

    def cancel_one(self, most_seconds: float) -> float | None:
        """Drop a picture, cancel its job at a random moment; returns how long that took, None if it was done before."""
        name = self.drop(size=(1400, 1000), layers=5)
        (found,) = until(lambda: [each for each in self.home.of(name) if each["state"] != "pending"])  # type: ignore[misc]
        time.sleep(self.random.uniform(0.0, most_seconds))
        asked = _request(self.home, found["job_id"])
        status = self.home.ended(name)
        took = time.monotonic() - asked
        assert (self.home.job(status) / "source" / name).read_bytes() == self.dropped[name]
        if status["state"] == "completed":
            return None
        assert status["state"] == "cancelled", status
        assert not (self.home.job(status) / "result").exists()
        folders = self.home.outbox / ".work"
        until(lambda: not any(not _is_spare(each) for each in folders.iterdir()), 5)
        return took


def _request(home: HotFolder, job_id: str) -> float:
    """Ask the daemon as `multiplane cancel` does, without the time the command takes to start; returns when."""
    requests = home.home / ".state" / "requests"
    name = f"{os.urandom(8).hex()}.json"
    temporary = requests / f".{name}.part"
    temporary.write_text(f'{{"verb": "cancel", "jobs": ["{job_id}"]}}')
    temporary.rename(requests / name)
    return time.monotonic()


def _is_spare(folder: Path) -> bool:
    """An attempt folder in which nothing was made."""
    try:
        return not any(each.name != "tmp" for each in folder.iterdir())
    except FileNotFoundError:
        return True


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
    """Kill the daemon so often; returns how long its workers lived on each time, in seconds."""
    storm = Storm(folder, seed)
    try:
        lived = [storm.kill_the_daemon() for _ in range(count)]
        storm.settle()
    finally:
        _end(storm.home)
    return lived


def cancels(folder: Path, count: int, seed: int) -> list[float]:
    """Cancel so many jobs while they run; returns how long each took, in seconds."""
    storm = Storm(folder, seed)
    storm.home.start()
    took: list[float] = []
    try:
        while len(took) < count:
            assert len(storm.dropped) < 3 * count + 10, "the jobs are over before they can be cancelled"
            seconds = storm.cancel_one(1.2)
            took += [] if seconds is None else [seconds]
        storm.home.stop()
    finally:
        _end(storm.home)
    assert os.listdir(storm.home.outbox / ".work") == []
    return took


def _end(home: HotFolder) -> None:
    if home.process and home.process.poll() is None:
        home.process.kill()
        home.process.wait()


def _line(what: str, seconds: list[float]) -> str:
    ranked = sorted(seconds)
    return f"{what}: {len(ranked)} times, median {ranked[len(ranked) // 2]:.2f} s, worst {ranked[-1]:.2f} s"


def main(arguments: list[str]) -> int:
    """Run both storms."""
    many, cancelled, seed = (*map(int, arguments), *(200, 100, 1)[len(arguments) :])
    with tempfile.TemporaryDirectory() as folder:
        print(_line("workers after a kill of the daemon", kills(Path(folder) / "kills", many, seed)), flush=True)
        took = cancels(Path(folder) / "cancels", cancelled, seed)
        print(_line("cancel of a running job", took))
        late = [seconds for seconds in took if seconds > CANCEL_SECONDS]
        print(f"{len(late)} later than {CANCEL_SECONDS} s")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
