"""What one command costs in a process of its own: seconds on the clock, processor time, memory at most."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MULTIPLANE = os.path.join(os.path.dirname(sys.executable), "multiplane")
EMPTY = (sys.executable, "-c", "pass")


class Cost(NamedTuple):
    """Medians over some processes, and the `spread` of `wall`, slowest less fastest.

    `wall` and `processor` are in seconds, `memory` in MB; it is never less than what the benchmark itself holds.
    """

    wall: float
    processor: float
    memory: float
    spread: float


def cost(command: Sequence[str], environment: Mapping[str, str], rounds: int = 5) -> Cost:
    """What the command costs. Ends the benchmark if it fails."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        # Linux counts in KiB, macOS in bytes.
        memory = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        found.append((wall, used.ru_utime + used.ru_stime, memory))
    walls, processor, memory = zip(*found, strict=True)
    return Cost(*(statistics.median(values) for values in (walls, processor, memory)), max(walls) - min(walls))


def row(what: str, found: Cost, empty: Cost, bar: float) -> str:
    """A line of a table. `empty`: what an empty interpreter costs. `bar`: how many seconds the command may take."""
    return (
        f"{what:<44} {found.wall:>6.2f} s (bar {bar:.2f}), spread {found.spread:.2f}, processor {found.processor:>6.2f} s, "
        f"{found.wall / empty.wall:>5.1f} times an empty interpreter, at most {found.memory:.0f} MB"
    )
