"""The long tests, for `make soak`: a storm of kills on the real daemon, every crash state of the simulated one, seeded mutations.

Usage: python -m tests.crash.soak [--minutes M] [--homes N] [--only storm|states|mutations] [--seed S]

The storm drops pairs without end while the daemon and its workers are killed at random moments, looks again and again whether
anything half-done can be seen, and at the end lets the daemon finish: every pair must have become one job.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))

from homes import PROGRAM, ROOT, RealHome

#: A worker that is still there so long after its daemon was killed is an orphan.
ORPHAN_SECONDS = 5.0
#: Pairs of a home without a result, at most (those whose worker was killed stay without), so that the end comes soon.
_BACKLOG = 130
#: Half a second is before the first look at the inbox, the rest is time for a dozen jobs.
LIFE_SECONDS = (0.3, 6.0)
#: Much of a life is the start of Python: several homes side by side see more kills.
HOMES = 4
WORKER = str(PROGRAM.parent / "fast_worker.py")


class Storm:
    """One home, endless kills, and counters."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        self.home = WatchedHome(folder)
        self.chance = random.Random(seed)
        self.count: Counter = Counter()
        self.killed: list[float] = []
        self.log = open(folder / "daemon.log", "ab")  # noqa: SIM115 - for the life of the storm
        self.daemon = self.start()

    def start(self) -> subprocess.Popen:
        self.count["starts"] += 1
        self.dies_at = time.monotonic() + self.chance.uniform(*LIFE_SECONDS)
        home = self.home
        return subprocess.Popen(
            home.command(), env=home.environment(), cwd=home.path, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def run(self, minutes: float) -> None:
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            if self.daemon.poll() is not None:
                raise AssertionError(f"the daemon ended by itself with {self.daemon.returncode}: see {self.log.name}")
            if self.count["pairs dropped"] - self.count["results seen"] < _BACKLOG:
                for _ in range(self.chance.randrange(3)):
                    self.drop()
            time.sleep(self.chance.uniform(0.0, 0.4))
            self.look()
            if time.monotonic() > self.dies_at:
                self.kill_daemon()
            elif self.chance.random() < 0.1:
                self.kill_worker()

    def drop(self) -> None:
        number = self.count["pairs dropped"] = self.count["pairs dropped"] + 1
        word = self.chance.choice(["good", "good", "slow", "slow"])
        spec = f"id: order-{number}\n" if self.chance.random() < 0.5 else f"priority: {self.chance.randrange(-10, 11)}\n"
        self.home.drop(f"p{number}", f"{word} picture {number} {self.chance.random()}".encode(), spec)

    def look(self) -> None:
        """Check what anybody can see: results and statuses are complete, and no worker outlives its daemon for long."""
        self.count["looks"] += 1
        self.count["results seen"] = max(self.count["results seen"], self.home.check_visible())
        now = time.time()
        ago = max((moment for moment in self.killed if moment < now - ORPHAN_SECONDS), default=0.0)
        left = [worker for worker in self.workers() if created(worker) < ago]
        assert not left, f"workers outlived their daemon by {ORPHAN_SECONDS} s: {left}"

    def workers(self) -> list[psutil.Process]:
        """The live workers of this home, found by their working folder."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = WORKER in process.cmdline() and process.cwd().startswith(str(self.home.path))
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def kill_worker(self) -> None:
        for worker in self.workers()[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                self.count["workers killed"] += 1

    def kill_daemon(self) -> None:
        before = self.workers()
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        killed = time.monotonic()
        self.killed = [*self.killed[-20:], time.time()]
        self.count["daemons killed"] += 1
        self.count["with workers running"] += bool(before)
        if self.chance.random() < 0.5:
            # Half of the time nobody starts it again until all is quiet: the guardians alone must see to the workers.
            while left := [worker for worker in before if worker.is_running() and lives(worker)]:
                if time.monotonic() - killed > ORPHAN_SECONDS:
                    raise AssertionError(f"workers outlived their daemon by {ORPHAN_SECONDS} s: {left}")
                time.sleep(0.01)
            self.count["ms until no worker was left, at most"] = max(
                self.count["ms until no worker was left, at most"], int(1000 * (time.monotonic() - killed))
            )
        self.daemon = self.start()

    def finish(self, seconds: float = 300.0) -> None:
        """Let it work to the end, stop it, and count."""
        limit = time.monotonic() + seconds
        while not self.is_done():
            assert time.monotonic() < limit, f"it does not come to an end: see {self.log.name}"
            assert self.daemon.poll() is None, f"the daemon ended by itself with {self.daemon.returncode}: see {self.log.name}"
            time.sleep(0.5)
        self.daemon.send_signal(signal.SIGTERM)
        assert self.daemon.wait(timeout=30) == 0
        self.count.update(self.home.check_ended())
        assert not self.workers(), "workers outlived the storm"

    def is_done(self) -> bool:
        pictures = [path for path in self.home.inbox.iterdir() if path.suffix == ".jpg"]
        statuses = [self.home.status(job) for job in self.home.jobs().values()]
        return not pictures and all(status and status["completed_at"] for status in statuses)

    def close(self) -> None:
        if self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()


class WatchedHome(RealHome):
    """A home that is checked repeatedly: files that were complete and did not change are not read again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._whole: dict[tuple[str, int], bool] = {}

    def check_visible(self) -> int:
        results = 0
        for job in self.jobs().values():
            try:
                seen = (job.name, (job / "status.json").stat().st_ino)
            except FileNotFoundError:
                seen = (job.name, 0)
            if seen not in self._whole:
                shown = self.check_job(job)
                status = self.status(job)
                if not (status and status["completed_at"]):
                    results += shown
                    continue
                self._whole[seen] = shown
            results += self._whole[seen]
        return results

    def check_ended(self) -> dict[str, int]:
        self._whole.clear()
        return super().check_ended()


def created(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.NoSuchProcess:
        return float("inf")


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def one_storm(folder: Path, minutes: float, seed: int) -> Counter:
    """Run one home from start to end; returns the counters."""
    weather = Storm(folder, seed)
    try:
        weather.run(minutes)
        weather.finish()
    finally:
        weather.close()
    return weather.count


def storm(minutes: float, seed: int, homes: int) -> None:
    """Kill the daemons of several homes in parallel, and print the totals."""
    total: Counter = Counter()
    with tempfile.TemporaryDirectory(prefix="multiplane-storm-") as folder, ThreadPoolExecutor(homes) as pool:
        each = [pool.submit(one_storm, Path(folder) / f"home-{i}", minutes, seed + i) for i in range(homes)]
        for done in each:
            for what, number in done.result().items():
                total[what] = max(total[what], number) if what.endswith("at most") else total[what] + number
    for what, number in total.items():
        print(f"{number:>8} {what}")
    print(f"{total['daemons killed'] / minutes:>8.0f} daemons killed a minute")


def pytest_of(*arguments: str) -> int:
    """Run the crash tests in their heavier form."""
    environment = {**os.environ, "SOAK_TESTS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "7200", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="The long tests.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the storm lasts")
    parser.add_argument("--homes", type=int, default=HOMES, help="how many homes are in the storm at the same time")
    parser.add_argument("--only", choices=["storm", "states", "mutations"])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    failed = 0
    if chosen.only in (None, "storm"):
        print(f"a storm of kills on {chosen.homes} homes, {chosen.minutes:g} minutes, seed {chosen.seed}", flush=True)
        storm(chosen.minutes, chosen.seed, chosen.homes)
    if chosen.only in (None, "states"):
        failed |= pytest_of("tests/crash", "tests/property/test_power_failures.py")
    if chosen.only in (None, "mutations"):
        from tests.crash.seeded import mutants

        failed |= mutants.main()
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
