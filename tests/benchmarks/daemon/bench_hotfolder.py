"""What the running daemon costs beside its jobs: floods of pairs, the latency of one, looking at what waits, an idle hour.

The daemon runs as a program of its own, its worker is one that never becomes ready, so that claims are measured and not pictures.
Bars: a full look at files at rest ≤ 1.5 times bare scandir + lstat, by processor time; all pairs accepted or waiting, none twice;
cost a pair at 50,000 within 1.3 times that at 10,000; ≤ 150 MB; renamed in → `accepted` on the disk, under continuous arrival,
p50 ≤ 50 ms and p99 ≤ 250 ms; idle ≤ 0.2 % of a core and 60 MB.

An idle daemon works a few milliseconds every 5 s, with caches that other programs, or other guests of the same machine, have
emptied meanwhile. The row after it says how much that costs here: how long a fixed piece of Python takes after 5 s of rest,
against the same piece at once.

Run: .venv/bin/python -m tests.benchmarks hotfolder; every row says how long it took. `BENCH_QUICK=1` takes a tenth of the pairs
and 10 s of idling.
"""

import json
import os
import statistics
import time
from pathlib import Path

import psutil

from tests.benchmarks.daemon.bench_intake import rescan_ratios
from tests.benchmarks.daemon.daemon_home import QUICK, READY_WORKER, Table, a_home, verdict

FLOODS = (1_000, 5_000) if QUICK else (10_000, 50_000)
ARRIVALS = 100 if QUICK else 500
IDLE_SECONDS = 10.0 if QUICK else 60.0
#: A flood that is not taken after so long has stopped.
LIMIT_SECONDS = 1200.0


def flood(count: int, *, most: int | None = None) -> tuple[float, float, bool, str]:
    """All pairs at once, there before the daemon: seconds a pair, megabytes at the most, whether all are there once, a note."""
    settings = {"MULTIPLANE_QUEUE__MAX_PENDING": str(10**6 if most is None else most)}
    expected = count if most is None else most
    with a_home(**settings) as home:
        for number in range(count):
            home.drop(f"IMG_{number:06}")
        began = time.monotonic()
        with home.running() as daemon:
            first, peak, processor = 0.0, 0, 0.0
            while home.claimed < expected and time.monotonic() < began + LIMIT_SECONDS:
                time.sleep(0.2)
                home.read_journal()
                first = first or (time.monotonic() if home.accepted else 0.0)
                peak = max(peak, daemon.memory_info().rss)
            took = time.monotonic() - first
            processor = sum(daemon.cpu_times()[:2])
            time.sleep(1.0)
            peak = max(peak, daemon.memory_info().rss)
            home.read_journal()
        left = sum(name.endswith(".jpg") for name in os.listdir(home.inbox))
        missed = count - len(home.accepted) - left
        is_whole = missed == home.twice == 0 and home.claimed >= expected
        note = (
            f"accepted {len(home.accepted):,}, in the inbox {left:,}, twice {home.twice}, missed {missed} ({verdict(is_whole)})"
        )
        return took / expected, peak / 1e6, is_whole, f"{note}; processor {processor / expected * 1e3:.2f} ms a pair"


def latency() -> list[float]:
    """Seconds from the sidecar's rename to the pair's record in the journal, pairs coming at irregular moments."""
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="100000") as home, home.running():
        time.sleep(2.0)
        dropped: dict[str, float] = {}
        for number in range(ARRIVALS):
            dropped[f"IMG_{number:06}.jpg"] = home.drop(f"IMG_{number:06}")
            pause = time.monotonic() + 0.02 + 0.0006 * (number * 37 % 100)
            while time.monotonic() < pause:
                home.read_journal()
                time.sleep(0.001)
        end = time.monotonic() + 20
        while len(home.accepted) < ARRIVALS and time.monotonic() < end:
            home.read_journal()
            time.sleep(0.001)
        return sorted(home.accepted.get(name, float("inf")) - at for name, at in dropped.items())


def idle(*, has_warm_worker: bool) -> tuple[float, float, float]:
    """A daemon with nothing to do: its share of a core, its megabytes, and how often its processes wake in a minute."""
    with a_home(MULTIPLANE_WORKER__SPARE=str(has_warm_worker).lower()) as home, home.running(READY_WORKER) as daemon:
        time.sleep(5.0)
        family = [daemon, *daemon.children(recursive=True)]
        used, woken = sum(map(_exactly_used, family)), sum(map(_woken, family))
        time.sleep(IDLE_SECONDS)
        used, woken = sum(map(_exactly_used, family)) - used, sum(map(_woken, family)) - woken
        return used / IDLE_SECONDS, daemon.memory_info().rss / 1e6, woken / IDLE_SECONDS * 60


def cost_of_rest() -> float:
    """How many times as much processor time a fixed piece of work takes after 5 s of rest: the median of 6."""
    table = {str(number): [number, 2 * number] for number in range(300)}

    def seconds() -> float:
        began = time.process_time()
        for _ in range(6):
            json.loads(json.dumps(table))
        return time.process_time() - began

    at_once = statistics.median(seconds() for _ in range(40))
    rested = []
    for _ in range(6):
        time.sleep(5.0)
        rested.append(seconds())
    return statistics.median(rested) / at_once


def _exactly_used(process: psutil.Process) -> float:
    """Seconds of processor time so far; where the system counts them in ticks of 10 ms, short work between two ticks is lost."""
    exact = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat")]
    return sum(int(text.split()[0]) for text in exact) / 1e9 if exact else sum(process.cpu_times()[:2])


def _woken(process: psutil.Process) -> int:
    """How often a process has given up the processor of its own accord, on all its threads, as far as the system counts that."""
    exact = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/status")]
    if not exact:
        return process.num_ctx_switches().voluntary
    return sum(int(line.split()[1]) for text in exact for line in text.splitlines() if line.startswith("voluntary_"))


def looking(table: Table) -> None:
    """What a full look costs against the least that any scanner does."""
    for count in FLOODS:
        ratios = rescan_ratios(count, 31)
        median = ratios[len(ratios) // 2]
        found = f"{median:.2f} × bare scandir + lstat by processor time (bar 1.5): {verdict(median <= 1.5)}"
        table.row(
            f"{count:,} files at rest", f"{found}; quartiles {ratios[len(ratios) // 4]:.2f} to {ratios[len(ratios) * 3 // 4]:.2f}"
        )


def floods(table: Table) -> None:
    """Many pairs at once, with and without room in the queue for them."""
    cost = {}
    for count in FLOODS:
        cost[count], megabytes, _whole, note = flood(count)
        relative = cost[count] / cost[FLOODS[0]]
        ratio = f", {relative:4.2f} × (bar 1.3: {verdict(relative <= 1.3)})" if count != FLOODS[0] else ""
        table.row(
            f"{count:,} pairs at once",
            f"{cost[count] * 1e3:6.2f} ms a pair{ratio}; {megabytes:.0f} MB (bar 150: {verdict(megabytes <= 150)}); {note}",
        )
    _, megabytes, _whole, note = flood(FLOODS[-1], most=1000)
    table.row(f"{FLOODS[-1]:,}, 1,000 may wait", f"{megabytes:.0f} MB (bar 150: {verdict(megabytes <= 150)}); {note}")


def main() -> None:
    """Print the table."""
    table = Table()
    looking(table)
    floods(table)
    times = latency()
    p50, p99 = (times[round((len(times) - 1) * share)] * 1e3 for share in (0.5, 0.99))
    found = f"p50 {p50:.1f} ms (bar 50: {verdict(p50 <= 50)}), p99 {p99:.1f} ms (bar 250: {verdict(p99 <= 250)})"
    table.row(f"{len(times):,} pairs, one by one", f"renamed in → accepted: {found}")
    for what, has_warm_worker in ((f"idle for {IDLE_SECONDS:.0f} s", False), ("the same, warm worker", True)):
        share, megabytes, woken = idle(has_warm_worker=has_warm_worker)
        bars = verdict(share <= 0.002), verdict(megabytes <= 60)
        found = f"{share:.2%} of a core (bar 0.20 %: {bars[0]}), {megabytes:.0f} MB (bar 60: {bars[1]})"
        table.row(what, f"{found}, woken {woken:.0f} times a minute")
    table.row("work after 5 s of rest", f"{cost_of_rest():.1f} × the same work at once")


if __name__ == "__main__":
    main()
