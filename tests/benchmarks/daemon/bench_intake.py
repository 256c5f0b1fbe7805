"""The cost of scanning an inbox: a full scan with its decision, compared with bare scandir and lstat, in one run.

Run: .venv/bin/python tests/benchmarks/daemon/bench_intake.py [files …]. Bar: unchanged files ≤ 1.5 times bare scandir + lstat.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from daemon.intake import Control, Decision, Hint, Memory, step, taken
from daemon.watch import Scanner

ROUNDS = 15


def best(*works: Callable[[], object]) -> list[float]:
    """The fastest of several rounds for each, seconds of processor time; in turns, so that other load falls on all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, spent in zip(works, times, strict=True):
            start = time.thread_time()
            work()
            spent.append(time.thread_time() - start)
    return [min(several) for several in times]


def bare(path: bytes) -> None:
    """What any scanner has to do at least."""
    with os.scandir(path) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def fill(inbox: Path, count: int, kind: str) -> None:
    """`count` files: pictures that wait, pairs, or files nobody cares for."""
    for i in range(count):
        name = {"lonely": f"IMG_{i:06}.jpg", "ignored": f".old_{i:06}", "pairs": f"IMG_{i // 2:06}{('.jpg', '.yaml')[i % 2]}"}[
            kind
        ]
        (inbox / name).write_bytes(b"x")


class Loop:
    """Scanner and intake with a clock of their own."""

    def __init__(self, inbox: Path) -> None:
        self.scanner = Scanner(os.fsencode(inbox), network=False, read_control=lambda p, e, k: Control(k, e))
        self.memory = Memory()
        self.now = 0.0
        self.decision: Decision

    def full(self) -> None:
        """A full look and its decision."""
        self.decision = step(self.memory, self.scanner.scan(self.now))
        self.memory = self.decision.memory

    def glance(self, *names: bytes) -> None:
        """A look at some names that were renamed in, and its decision."""
        hints = [Hint(b"", name, "renamed_in", self.now) for name in names]
        self.decision = step(self.memory, self.scanner.scan_names(self.now, {b"": set(names)}), hints)
        self.memory = self.decision.memory


@contextlib.contextmanager
def at_rest(count: int, kind: str) -> Iterator[tuple[bytes, Loop]]:
    """An inbox whose files all have been judged, and nothing is left to be done with them."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), count, kind)
        loop = Loop(Path(folder))
        for loop.now in (0.0, 3.0, 6.0):
            loop.full()
        yield os.fsencode(folder), loop


def rescan(count: int, kind: str) -> None:
    """Unchanged files at rest: the minute's full look."""
    with at_rest(count, kind) as (root, loop):
        look = loop.scanner.scan(loop.now)
        floor, ours, alone = best(lambda: bare(root), loop.full, lambda: step(loop.memory, look))
        row(f"rescan, {kind}", count, floor, ours, f"step alone {alone * 1e6:8.1f} µs = {alone / count * 1e9:6.2f} ns a file")


def rescan_ratios(count: int, rounds: int) -> list[float]:
    """Processor times of full looks at so many pictures at rest, over those of bare scandir and lstat before each; ascending."""
    ratios = []
    with at_rest(count, "lonely") as (root, loop):
        for _ in range(rounds):
            moments = [time.thread_time()]
            for work in (lambda: bare(root), loop.full):
                work()
                moments.append(time.thread_time())
            ratios.append((moments[2] - moments[1]) / (moments[1] - moments[0]))
    return sorted(ratios)


def arrival(count: int) -> None:
    """One pair renamed in beside many that wait: what the latency of a pair pays for the others."""
    times = []
    with at_rest(count, "lonely") as (root, loop):
        for i in range(20):
            names = (f"new{i}.jpg".encode(), f"new{i}.yaml".encode())
            paths = [Path(os.fsdecode(os.path.join(root, name))) for name in names]
            for path in paths:
                path.write_bytes(b"x")
            start = time.thread_time()
            loop.glance(*names)
            times.append(time.thread_time() - start)
            assert [r.image.name for r in loop.decision.ready] == [names[0]]
            for path in paths:
                path.unlink()
            loop.memory = taken(loop.memory, loop.decision.ready, loop.now)
        (floor,) = best(lambda: bare(root))
        row("a pair comes", count, floor, sorted(times)[len(times) // 2], "")


def flood(count: int) -> None:
    """All pairs at once, first look to all ready, taken a thousand at a time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, count, "pairs")
        loop = Loop(root)
        (floor,) = best(lambda: bare(os.fsencode(root)))
        start = time.thread_time()
        for loop.now in (0.0, 1.0, 2.0):
            loop.full()
        ready = time.thread_time() - start
        assert len(loop.decision.ready) == count // 2
        start = time.thread_time()
        while loop.decision.ready:
            loop.memory = taken(loop.memory, loop.decision.ready[:1000], loop.now)
            loop.glance()
        took = time.thread_time() - start
        pairs = count // 2
        row(
            "flood of pairs",
            count,
            floor,
            ready,
            f"{ready / pairs * 1e6:5.1f} µs a pair to ready, {took / pairs * 1e6:5.1f} µs to take",
        )


def row(what: str, count: int, floor: float, ours: float, note: str) -> None:
    """One line of the table."""
    print(f"{what:18} {count:7,} {floor * 1e3:9.2f} {ours * 1e3:9.2f} {ours / floor:7.2f}  {note}")


def main() -> None:
    """Print the table."""
    print(f"{'what':18} {'files':>7} {'bare ms':>9} {'ours ms':>9} {'ratio':>7}")
    for count in [int(a) for a in sys.argv[1:]] or [1000, 10_000, 50_000]:
        rescan(count, "lonely")
        rescan(count, "ignored")
        arrival(count)
        flood(count)


if __name__ == "__main__":
    main()
