"""How long after `accepted` a job's status.json is on the disk, while a worker runs that never sends anything.

Both moments are seen from outside, by polling the journal and the outbox. Run: python -m tests.benchmarks status
"""

import time

from tests.benchmarks.daemon.daemon_home import QUICK, Home, Table, a_home, verdict

SINGLES = 20 if QUICK else 100
TOGETHER = 150
#: Seconds: p99 of a pair dropped alone, and the last of those dropped at once.
SINGLE_BAR, LAST_BAR = 0.1, 2.0
PATIENCE_SECONDS = 30.0


def delays(home: Home, names: list[str]) -> list[float]:
    """Drop these pairs at once; the seconds from `accepted` to status.json of each, infinite if it did not come."""
    for name in names:
        home.drop(name)
    seen: dict[str, float] = {}
    end = time.monotonic() + PATIENCE_SECONDS
    while len(seen) < len(names) and time.monotonic() < end:
        home.read_journal()
        for path in (home.home / "outbox").glob("*/source/*.jpg"):
            if path.stem in names and path.stem not in seen and (path.parents[1] / "status.json").exists():
                seen[path.stem] = time.monotonic()
        time.sleep(0.002)
    home.read_journal()
    return sorted(max(0.0, seen.get(name, float("inf")) - home.accepted.get(f"{name}.jpg", end)) for name in names)


def main() -> None:
    """Print the table."""
    table = Table()
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="1000") as home, home.running():
        single = sorted(delays(home, [f"single{number}"])[0] for number in range(SINGLES))
        p99 = single[round((len(single) - 1) * 0.99)]
        words = f"p50 {single[len(single) // 2] * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, bar {SINGLE_BAR * 1e3:.0f} ms"
        table.row("a single pair", f"{words} ({verdict(p99 <= SINGLE_BAR)})")
    with a_home(MULTIPLANE_QUEUE__MAX_PENDING="1000") as home, home.running():
        last = delays(home, [f"pair{number}" for number in range(TOGETHER)])[-1]
        table.row(f"the last of {TOGETHER} at once", f"{last:.2f} s, bar {LAST_BAR:.0f} s ({verdict(last <= LAST_BAR)})")


if __name__ == "__main__":
    main()
