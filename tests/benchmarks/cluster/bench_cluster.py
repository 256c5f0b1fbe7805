"""Many slots on one daemon: throughput, the coordinator's processor time, and its memory over 10,000 jobs.

The daemon, the scheduler, the machines' Dask workers and the TLS between them are real. Only the jobs are not: they take a given
time and no processor (`tests.process.cluster.stand_in`), because a few cores could not do the work of 64 slots. All slots are in
at most four processes. The pictures have a few KB, so this says nothing about the network; ARCHITECTURE.md does.

The ideal is that each slot begins its next job in the moment in which it ends one. The time is that from the first start to the
last end in the journal, so it also includes the ramps at both ends.

Run: python -m tests.benchmarks.cluster.bench_cluster [slots|memory|start]
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil

from daemon.supervisor import worker_argv
from daemon.supervisor.code import compile_program
from tests.acceptance.home import HotFolder, picture, until
from tests.benchmarks.daemon.bench_supervisor import Watch, spread, stamp_events
from tests.process.cluster.clustered import Cluster

#: Seconds that a job takes.
SECONDS = 2.0
#: How many jobs each slot does.
ROUNDS = 10
#: Slots, and the least share of the ideal throughput.
BARS = {1: None, 2: None, 4: None, 16: 0.95, 64: 0.90}
#: Milliseconds of processor time a job, of daemon and scheduler together.
MOST_MS = 25.0
#: The long run: how many jobs of how many seconds, on how many slots; how many pictures wait at once.
JOBS, SHORT, SLOTS, WAITING = 10_000, 0.1, 8, 100
#: So many thousand jobs fill the caches.
WARM = 2
#: Memory is flat if each further job adds less than this many bytes: 10 MB after a hundred thousand jobs.
FLAT = 100


class Studio:
    """A home with a daemon, a scheduler, and machines that can be started."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, MULTIPLANE_CLUSTER__LOST_SECONDS="30")
        self.home = self.cluster.configure(HotFolder(folder / "home"))
        self.picture = picture(96, 64, form="JPEG")
        self.dropped = 0

    def __enter__(self) -> "Studio":
        self.cluster.start_scheduler()
        self.home.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.home.stop()
        self.cluster.stop()

    def start_machines(self, slots: int, seconds: float, *, processes: int = 4) -> None:
        count = min(processes, slots)
        for number in range(count):
            self.cluster.start_stand_in(f"machine-{number}", slots=slots // count, seconds=seconds)

    def drop(self, count: int) -> None:
        for _ in range(count):
            self.home.drop(f"{self.dropped}.jpg", self.picture, "depth: cues\nformats: []\n")
            self.dropped += 1

    def records(self) -> Iterator[dict]:
        for path in sorted((self.home.home / ".state" / "journal").glob("*.jsonl")):
            yield from map(json.loads, path.read_text().splitlines())

    def times(self, event: str) -> list[datetime]:
        return [datetime.fromisoformat(record["ts"]) for record in self.records() if record["event"] == event]

    def ended(self) -> int:
        """How many jobs have ended: all but those that wait or run. Reading the journal would take too long each time."""
        waiting = len(list(self.home.inbox.glob("*.jpg")))
        health = self.home.health()
        return max(0, self.dropped - waiting - health["pending"] - len(health["processing"]))

    def used(self) -> dict[str, float]:
        """Processor time so far, in seconds."""
        found = {}
        for name, process in (("daemon", self.home.process), ("scheduler", self.cluster.scheduler)):
            times = psutil.Process(process.pid).cpu_times()
            found[name] = times.user + times.system
        return found

    def memory(self) -> dict[str, int]:
        """What each process holds, in bytes."""
        held = {"daemon": self.home.process, "scheduler": self.cluster.scheduler, **self.cluster.workers}
        return {name: psutil.Process(process.pid).memory_info().rss for name, process in held.items()}


def throughput(slots: int) -> None:
    """Print one row."""
    count = ROUNDS * slots
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place, Studio(Path(place)) as studio:
        begun = studio.used()
        studio.drop(count)
        until(lambda: len(studio.times("claimed")) == count, 120, pause=1.0)
        claimed = studio.used()
        studio.start_machines(slots, SECONDS)
        # Looked at seldom: each look takes its time from the daemon.
        until(lambda: len(studio.times("ended")) == count, 30 + 4 * ROUNDS * SECONDS, pause=2.0)
        ended = studio.used()
        took = (max(studio.times("ended")) - min(studio.times("started"))).total_seconds()
    share = ROUNDS * SECONDS / took
    each = {name: 1000 * (ended[name] - claimed[name]) / count for name in ended}
    claims = 1000 * (claimed["daemon"] - begun["daemon"]) / count
    together = sum(each.values()) + claims
    bar = BARS[slots]
    print(
        f"{slots:3} slots, {count:4} jobs: {took:6.2f} s, {share:6.1%} of the ideal"
        + (f" (bar {bar:.0%}: {'ok' if share >= bar else 'MISS'})" if bar else "")
        + f"; processor time a job: claim {claims:.1f} ms, "
        f"run and publish {each['daemon']:.1f}, scheduler {each['scheduler']:.1f}; "
        f"together {together:.1f}" + (f" (bar {MOST_MS:.0f}: {'ok' if together <= MOST_MS else 'MISS'})" if bar else ""),
        flush=True,
    )


def memory() -> None:
    """Print the least that each process held during each thousand jobs: what it needs for a moment only is not kept."""
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place, Studio(Path(place)) as studio:
        # One machine does all jobs, so that what it keeps of each is seen.
        studio.start_machines(SLOTS, SHORT, processes=1)
        begun, least = time.perf_counter(), dict[int, dict[str, int]]()
        thousand, ended = 0, 0
        while ended < JOBS:
            ended, held = studio.ended(), studio.memory()
            if ended // 1000 > thousand:
                told = ", ".join(f"{name} {least[thousand][name] / 1e6:.1f} MB" for name in held)
                print(f"{ended:6} jobs, {ended / (time.perf_counter() - begun):5.1f} a second: {told}", flush=True)
                thousand = ended // 1000
            before = least.setdefault(thousand, held)
            least[thousand] = {name: min(before[name], held[name]) for name in held}
            studio.drop(min(WAITING - (studio.dropped - ended), JOBS - studio.dropped))
            time.sleep(0.2)
    first, last = least[WARM], least[JOBS // 1000 - 1]
    for name in last:
        growth = (last[name] - first[name]) / (JOBS - 1000 * (WARM + 1))
        verdict = "ok" if growth <= FLAT else "MISS"
        print(f"{name:10} {growth:7.0f} bytes a job from the third thousand to the last (bar {FLAT}: {verdict})")


def start() -> None:
    """Print how long a local job takes from the hand-over to its start, without a cluster."""
    compile_program()
    watch = Watch(worker_argv(), sandboxed=True)
    stamp_events([watch])
    watch.once(spare=True)
    print(f"a local job's start, spare ready   {spread(watch, 15)}", flush=True)


def main() -> None:
    """Print everything, or what was named."""
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    if chosen not in ("memory", "start"):
        for slots in BARS:
            throughput(slots)
    if chosen not in ("slots", "start"):
        memory()
    if chosen not in ("slots", "memory"):
        start()


if __name__ == "__main__":
    main()
